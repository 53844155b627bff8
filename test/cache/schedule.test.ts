import { describe, expect, onTestFinished, test } from 'vitest';

import type { JobLeases } from '../../src/cache/fleet-ports.ts';
import { localJobs } from '../../src/cache/local-jobs.ts';
import type { PurgeAnswer, PurgeCommand } from '../../src/cache/operations.ts';
import type { Clock } from '../../src/cache/ports.ts';
import { createPurgeSchedule, type PurgeScheduleParts } from '../../src/cache/schedule.ts';
import type { ScheduledPurge } from '../../src/core/config.ts';
import { ok, refused, type Problem, type Result } from '../../src/core/problem.ts';
import { nextCronRunMs } from '../../src/cron.ts';
import { FakeClock } from '../support/clock.ts';
import { JobFleet } from '../support/job-fleet.ts';
import { TestBackground } from '../support/operations.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function entry(cron: string, zone = 'UTC', route = 'event-search'): ScheduledPurge {
  return { cron, zone, selector: { by: 'route', route }, soft: true };
}

const purged: PurgeAnswer = {
  id: '1',
  complete: true,
  sidecars: [],
  missing: [],
  matched: 0,
  dryRun: false,
  soft: true,
};

const unsure: Problem = { status: 503, code: 'purge-not-guaranteed', title: 't', detail: 'd' };

type Answer = (command: PurgeCommand) => Promise<Result<PurgeAnswer>>;

/** A process with a schedule; several on one clock are a fleet. */
function setUp(
  schedule: readonly ScheduledPurge[],
  how: Partial<Pick<PurgeScheduleParts, 'skewMs' | 'storeOutlives'>> & {
    readonly clock?: FakeClock;
    readonly wall?: Clock;
    readonly leases?: JobLeases;
    readonly answer?: Answer;
  } = {},
) {
  const { clock = new FakeClock(), leases = localJobs, answer, wall, ...rest } = how;
  const purges: { readonly at: string; readonly command: PurgeCommand }[] = [];
  const problems: Problem[] = [];
  const background = new TestBackground();
  const running = createPurgeSchedule({
    schedule,
    nextRun: nextCronRunMs,
    purger: {
      purge(command) {
        purges.push({ at: new Date((wall ?? clock).nowMs()).toISOString(), command });
        return answer?.(command) ?? Promise.resolve(ok(purged));
      },
    },
    clock: wall ?? clock,
    background,
    leases,
    onRefused: (_entry, problem) => problems.push(problem),
    ...rest,
  });
  onTestFinished(() => {
    running.stop();
    expect(background.errors).toEqual([]);
  });
  return { clock, purges, problems, background, running, times: () => purges.map((purge) => purge.at) };
}

type Process = ReturnType<typeof setUp>;

/** Time in steps, with what was begun ended before the next. */
async function pass(processes: readonly Process[], ms: number, stepMs = minuteMs): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    processes[0]?.clock.advance(Math.min(stepMs, ms - passed));
    for (const { background } of processes) await background.idle();
  }
}

describe('the purge schedule', () => {
  test('purges at each instant of the expression, with the entry’s selector', async () => {
    const at = setUp([entry('0 6 * * *')]);
    at.running.start();
    await pass([at], 18 * hourMs - 1);
    expect(at.times()).toEqual([]);
    await pass([at], 1);
    expect(at.purges).toEqual([
      {
        at: '2026-11-24T06:00:00.000Z',
        command: { selector: { by: 'route', route: 'event-search' }, soft: true, dryRun: false, source: 'schedule' },
      },
    ]);
    await pass([at], 48 * hourMs);
    expect(at.times()).toEqual(['2026-11-24T06:00:00.000Z', '2026-11-25T06:00:00.000Z', '2026-11-26T06:00:00.000Z']);
  });

  test('reads the expression in the entry’s time zone, also where its clocks change', async () => {
    const at = setUp([entry('30 2 * * *', 'Europe/Berlin')]);
    // 2026-11-23 12:00Z, on to the end of March: 03-29 has no 02:30 in Berlin.
    at.clock.advance(Date.UTC(2027, 2, 26, 12) - at.clock.nowMs());
    at.running.start();
    await pass([at], 72 * hourMs);
    expect(at.times()).toEqual(['2027-03-27T01:30:00.000Z', '2027-03-28T01:00:00.000Z', '2027-03-29T00:30:00.000Z']);
  });

  test('keeps several entries apart', async () => {
    const at = setUp([entry('0 * * * *', 'UTC', 'a'), entry('30 * * * *', 'UTC', 'b')]);
    at.running.start();
    await pass([at], 2 * hourMs);
    const routes = at.purges.map(({ command }) => (command.selector.by === 'route' ? command.selector.route : ''));
    expect(routes).toEqual(['b', 'a', 'b', 'a']);
  });

  test('does not purge after it was stopped, not even what it had claimed', async () => {
    const fleet = new JobFleet(new FakeClock());
    const at = setUp([entry('* * * * *')], { leases: fleet.member('a') });
    at.running.start();
    await pass([at], minuteMs);
    at.clock.advance(minuteMs);
    at.running.stop();
    await pass([at], hourMs);
    expect(at.times()).toHaveLength(1);
    expect(fleet.holds.at(-1)).toBe(0);
  });

  test('an expression that never comes due is never armed', async () => {
    const at = setUp([entry('0 0 30 2 *')], { storeOutlives: true });
    at.running.start();
    await pass([at], 400 * 24 * hourMs, 24 * hourMs);
    expect(at.times()).toEqual([]);
  });

  test('a wall clock that was set back makes it wait until the instant has come', async () => {
    let skewMs = 0;
    const clock = new FakeClock();
    const at = setUp([entry('0 13 * * *')], { clock, wall: offBy(clock, () => skewMs) });
    at.running.start();
    await pass([at], hourMs / 2);
    skewMs = -10 * minuteMs;
    await pass([at], hourMs / 2 + 10 * minuteMs - 1);
    expect(at.times()).toEqual([]);
    await pass([at], 1);
    expect(at.times()).toEqual(['2026-11-23T13:00:00.000Z']);
  });

  test('a timer that fires early, or a wall clock set back in the last wait, makes it wait for what is left', async () => {
    const timers: { readonly delayMs: number; readonly callback: () => void }[] = [];
    let nowMs = Date.UTC(2026, 10, 23, 12, 59, 30);
    const at = setUp([entry('0 13 * * *')], {
      wall: {
        nowMs: () => nowMs,
        monotonicMs: () => nowMs,
        after(delayMs, callback) {
          timers.push({ delayMs, callback });
          return () => {};
        },
      },
    });
    /** The last timer fires after so much of its time on the wall clock. */
    const fire = (elapsedMs: number): void => {
      nowMs += elapsedMs;
      timers.at(-1)?.callback();
    };
    at.running.start();
    fire(29_999);
    fire(-10_000);
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([30_000, 1, 10_001]);
    await at.background.idle();
    expect(at.purges).toEqual([]);
    fire(10_001);
    await at.background.idle();
    expect(at.purges).toHaveLength(1);
    // The next one is that of tomorrow, in pieces.
    expect(timers.slice(3).map(({ delayMs }) => delayMs)).toEqual([minuteMs]);
  });

  test('a wall clock that was set forward, as after a suspend, is noticed within a minute', async () => {
    let skewMs = 0;
    const clock = new FakeClock();
    const at = setUp([entry('0 6 * * *')], { clock, wall: offBy(clock, () => skewMs) });
    at.running.start();
    skewMs = 20 * hourMs;
    await pass([at], minuteMs);
    expect(at.times()).toEqual(['2026-11-24T08:01:00.000Z']);
  });
});

describe('a scheduled purge that cannot be done', () => {
  test('is told of at once where repeating it cannot help, and the next one is tried', async () => {
    const problem: Problem = { status: 400, code: 'route-unknown', title: 't', detail: 'd' };
    const at = setUp([entry('0 * * * *')], { answer: () => Promise.resolve(refused(problem)) });
    at.running.start();
    await pass([at], 2 * hourMs);
    expect(at.problems).toEqual([problem, problem]);
    expect(at.purges).toHaveLength(2);
  });

  test('is repeated until it is guaranteed, and then no more', async () => {
    const answers = [refused(unsure), refused({ ...unsure, retryAfter: 2 }), ok(purged)];
    const at = setUp([entry('0 13 * * *')], { answer: () => Promise.resolve(answers.shift() ?? ok(purged)) });
    at.running.start();
    await pass([at], hourMs);
    await pass([at], hourMs, 1000);
    expect(at.times()).toEqual(['2026-11-23T13:00:00.000Z', '2026-11-23T13:00:05.000Z', '2026-11-23T13:00:07.000Z']);
    expect(at.problems).toEqual([]);
  });

  test('is not repeated where it is in the log and holds later', async () => {
    const later = { ...unsure, retryAfter: 300, holdsLater: true } as const;
    const at = setUp([entry('0 13 * * *')], { answer: () => Promise.resolve(refused(later)) });
    at.running.start();
    await pass([at], 3 * hourMs);
    expect(at.times()).toEqual(['2026-11-23T13:00:00.000Z']);
    expect(at.problems).toEqual([]);
  });

  test('is given up, and told of once, when the next instant is due', async () => {
    const at = setUp([entry('0,1 13 * * *')], { answer: () => Promise.resolve(refused(unsure)) });
    at.running.start();
    await pass([at], hourMs);
    await pass([at], minuteMs - 1, 1000);
    expect(at.times()).toHaveLength(12);
    expect(at.problems).toEqual([unsure]);
  });

  test('waits for Redis to answer again where it could not be claimed', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    fleet.down = true;
    const at = setUp([entry('0 13 * * *')], { clock, leases: fleet.member('a') });
    at.running.start();
    await pass([at], hourMs + 20 * minuteMs, 1000);
    expect(at.purges).toEqual([]);
    fleet.down = false;
    await pass([at], 5000, 1000);
    expect(at.times()).toEqual(['2026-11-23T13:20:05.000Z']);
    await pass([at], hourMs, 1000);
    expect(at.times()).toHaveLength(1);
  });

  test('is given up with a reason where Redis did not answer until the next instant', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    fleet.down = true;
    const at = setUp([entry('0 * * * *')], { clock, leases: fleet.member('a') });
    at.running.start();
    await pass([at], 2 * hourMs, 1000);
    expect(at.problems).toMatchObject([{ code: 'jobs-unavailable' }]);
  });
});

function fleetOf(size: number, schedule: readonly ScheduledPurge[], answer?: Answer) {
  const clock = new FakeClock();
  const fleet = new JobFleet(clock);
  const members = Array.from({ length: size }, (_, index) => fleet.member(`p${index}`));
  const processes = members.map((leases) => setUp(schedule, { clock, leases, ...(answer && { answer }) }));
  return { clock, fleet, members, processes, times: () => processes.flatMap((one) => one.times()).toSorted() };
}

describe('the purge schedule of a fleet', () => {
  test('purges each instant once, whoever comes first', async () => {
    const { processes, times } = fleetOf(3, [entry('0 * * * *')]);
    for (const { running } of processes) running.start();
    await pass(processes, 3 * hourMs);
    expect(times()).toEqual(['2026-11-23T13:00:00.000Z', '2026-11-23T14:00:00.000Z', '2026-11-23T15:00:00.000Z']);
  });

  test('takes over from one that crashed in the middle, when its lease has lapsed', async () => {
    const never = new Promise<never>(() => {});
    const answers = [never, Promise.resolve(ok(purged))];
    const { clock, fleet, members, processes, times } = fleetOf(
      2,
      [entry('0 13 * * *')],
      () => answers.shift() ?? never,
    );
    const [first, second] = processes;
    if (first === undefined || second === undefined) throw new Error('no fleet');
    first.running.start();
    second.running.start();
    clock.advance(hourMs);
    await second.background.idle();
    expect(times()).toHaveLength(1);
    members[0]?.crash();
    for (let seconds = 0; seconds < 60; seconds += 1) {
      clock.advance(1000);
      await second.background.idle();
    }
    expect(second.times()).toEqual([new Date(Date.UTC(2026, 10, 23, 13) + fleet.leaseMs).toISOString()]);
    expect(first.times()).toHaveLength(1);
  });

  test('goes by the clock of the fleet, so that a fast one does not purge early for all', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    const schedule = [entry('0 14 * * *')];
    const fast = setUp(schedule, {
      clock,
      wall: offBy(clock, () => hourMs),
      skewMs: () => -hourMs,
      leases: fleet.member('fast'),
    });
    const slow = setUp(schedule, {
      clock,
      wall: offBy(clock, () => -hourMs),
      skewMs: () => hourMs,
      leases: fleet.member('slow'),
    });
    fast.running.start();
    slow.running.start();
    await pass([fast, slow], 2 * hourMs - 1);
    expect([...fast.times(), ...slow.times()]).toEqual([]);
    await pass([fast, slow], 4 * hourMs);
    expect([...fast.times(), ...slow.times()]).toHaveLength(1);
  });

  test('one that starts after the instant makes up for it where nobody ran then, and for the last instant alone', async () => {
    const clock = new FakeClock(Date.UTC(2026, 10, 23, 12, 59));
    const fleet = new JobFleet(clock);
    const start = (id: string, storeOutlives: boolean): Process => {
      const made = setUp([entry('0,10,20 12 * * *')], { clock, leases: fleet.member(id), storeOutlives });
      made.running.start();
      return made;
    };
    const local = start('without', false);
    const first = start('first', true);
    await pass([local, first], 1);
    const second = start('second', true);
    await pass([local, first, second], minuteMs);
    expect([local, first, second].map((one) => one.times().length)).toEqual([0, 1, 0]);
  });

  test('one that starts more than an hour after the instant lets it be', async () => {
    const clock = new FakeClock(Date.UTC(2026, 10, 23, 13, 0, 0, 1));
    const at = setUp([entry('0 12 * * *')], { clock, leases: new JobFleet(clock).member('a'), storeOutlives: true });
    at.running.start();
    await pass([at], hourMs);
    expect(at.times()).toEqual([]);
  });

  test('a done purge is remembered until the next instant, for two hours at least and a week at most', async () => {
    for (const [cron, hold] of [
      ['0 * * * *', 2 * hourMs],
      ['0 1 * * *', 24 * hourMs],
      ['0 1 1 12 *', 7 * 24 * hourMs],
    ] as const) {
      const clock = new FakeClock(Date.UTC(2026, 11, 1, 0, 59));
      const fleet = new JobFleet(clock);
      const at = setUp([entry(cron)], { clock, leases: fleet.member('a') });
      at.running.start();
      await pass([at], minuteMs);
      expect([cron, ...fleet.holds]).toEqual([cron, hold]);
    }
  });
});

/** The same clock, but with a wall that is off. */
function offBy(clock: FakeClock, skewMs: () => number): Clock {
  return {
    nowMs: () => clock.nowMs() + skewMs(),
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, callback) => clock.after(delayMs, callback),
  };
}
