import { describe, expect, test } from 'vitest';

import { BackgroundWork } from '../../src/cache/background.ts';
import type { PurgeAnswer, PurgeCommand } from '../../src/cache/operations.ts';
import { createPurgeSchedule } from '../../src/cache/schedule.ts';
import type { ScheduledPurge } from '../../src/core/config.ts';
import { ok, refused, type Problem, type Result } from '../../src/core/problem.ts';
import { nextCronRunMs } from '../../src/cron.ts';
import { FakeClock } from '../support/clock.ts';

const hourMs = 3_600_000;

function entry(cron: string, zone = 'UTC', route = 'event-search'): ScheduledPurge {
  return { cron, zone, selector: { by: 'route', route }, soft: true };
}

function setUp(schedule: readonly ScheduledPurge[], answer?: Result<PurgeAnswer>) {
  const clock = new FakeClock();
  const purges: { readonly at: string; readonly command: PurgeCommand }[] = [];
  const problems: Problem[] = [];
  const answered: PurgeAnswer = {
    id: '1',
    complete: true,
    sidecars: [],
    missing: [],
    matched: 0,
    dryRun: false,
    soft: true,
  };
  const background = new BackgroundWork((_name, error) => {
    throw error;
  });
  const running = createPurgeSchedule({
    schedule,
    nextRun: nextCronRunMs,
    purger: {
      purge(command) {
        purges.push({ at: new Date(clock.nowMs()).toISOString(), command });
        return Promise.resolve(answer ?? ok(answered));
      },
    },
    clock,
    background,
    onRefused: (_entry, problem) => problems.push(problem),
  });
  return { clock, purges, problems, background, running, times: () => purges.map((purge) => purge.at) };
}

describe('the purge schedule', () => {
  test('purges at each instant of the expression, with the entry’s selector', () => {
    const { clock, purges, running, times } = setUp([entry('0 6 * * *')]);
    running.start();
    clock.advance(18 * hourMs - 1);
    expect(times()).toEqual([]);
    clock.advance(1);
    expect(purges).toEqual([
      {
        at: '2026-11-24T06:00:00.000Z',
        command: { selector: { by: 'route', route: 'event-search' }, soft: true, dryRun: false, source: 'schedule' },
      },
    ]);
    clock.advance(48 * hourMs);
    expect(times()).toEqual(['2026-11-24T06:00:00.000Z', '2026-11-25T06:00:00.000Z', '2026-11-26T06:00:00.000Z']);
  });

  test('reads the expression in the entry’s time zone, also where its clocks change', () => {
    const { clock, running, times } = setUp([entry('30 2 * * *', 'Europe/Berlin')]);
    // 2026-11-23 12:00Z, on to the end of March: 03-29 has no 02:30 in Berlin.
    clock.advance(Date.UTC(2027, 2, 26, 12) - clock.nowMs());
    running.start();
    clock.advance(72 * hourMs);
    expect(times()).toEqual(['2027-03-27T01:30:00.000Z', '2027-03-28T01:00:00.000Z', '2027-03-29T00:30:00.000Z']);
  });

  test('keeps several entries apart', () => {
    const { clock, purges, running } = setUp([entry('0 * * * *', 'UTC', 'a'), entry('30 * * * *', 'UTC', 'b')]);
    running.start();
    clock.advance(2 * hourMs);
    const routes = purges.map(({ command }) => (command.selector.by === 'route' ? command.selector.route : ''));
    expect(routes).toEqual(['b', 'a', 'b', 'a']);
  });

  test('does not purge after it was stopped', () => {
    const { clock, running, times } = setUp([entry('* * * * *')]);
    running.start();
    clock.advance(60_000);
    running.stop();
    clock.advance(hourMs);
    expect(times()).toHaveLength(1);
  });

  test('an expression that never comes due is never armed', () => {
    const { clock, running, times } = setUp([entry('0 0 30 2 *')]);
    running.start();
    clock.advance(400 * 24 * hourMs);
    expect(times()).toEqual([]);
  });

  test('tells of a purge that was refused, and goes on with the next', async () => {
    const problem: Problem = { status: 503, code: 'purge-not-guaranteed', title: 't', detail: 'd' };
    const { clock, problems, background, running } = setUp([entry('0 * * * *')], refused(problem));
    running.start();
    clock.advance(2 * hourMs);
    await background.idle();
    expect(problems).toEqual([problem, problem]);
  });

  test('a wall clock that was set back makes it wait until the instant has come', () => {
    let skewMs = 0;
    const clock = new FakeClock();
    const skewed = {
      nowMs: () => clock.nowMs() + skewMs,
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs: number, callback: () => void) => clock.after(delayMs, callback),
    };
    const times: string[] = [];
    const running = createPurgeSchedule({
      schedule: [entry('0 13 * * *')],
      nextRun: nextCronRunMs,
      purger: {
        purge() {
          times.push(new Date(skewed.nowMs()).toISOString());
          return Promise.resolve(refused({ status: 503, code: 'c', title: 't', detail: 'd' }));
        },
      },
      clock: skewed,
      background: new BackgroundWork(() => undefined),
      onRefused: () => undefined,
    });
    running.start();
    clock.advance(hourMs / 2);
    skewMs = -10 * 60_000;
    clock.advance(hourMs / 2 + 10 * 60_000 - 1);
    expect(times).toEqual([]);
    clock.advance(1);
    expect(times).toEqual(['2026-11-23T13:00:00.000Z']);
  });

  test('a timer that fires early, or a wall clock set back in the last wait, makes it wait for what is left', () => {
    const timers: { readonly delayMs: number; readonly callback: () => void }[] = [];
    let nowMs = Date.UTC(2026, 10, 23, 12, 59, 30);
    let purges = 0;
    const running = createPurgeSchedule({
      schedule: [entry('0 13 * * *')],
      nextRun: nextCronRunMs,
      purger: {
        purge() {
          purges += 1;
          return Promise.resolve(refused({ status: 503, code: 'c', title: 't', detail: 'd' }));
        },
      },
      clock: {
        nowMs: () => nowMs,
        monotonicMs: () => nowMs,
        after(delayMs, callback) {
          timers.push({ delayMs, callback });
          return () => {};
        },
      },
      background: new BackgroundWork(() => undefined),
      onRefused: () => undefined,
    });
    /** The last timer fires after so much of its time on the wall clock. */
    const fire = (elapsedMs: number): void => {
      nowMs += elapsedMs;
      timers.at(-1)?.callback();
    };
    running.start();
    fire(29_999);
    fire(-10_000);
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([30_000, 1, 10_001]);
    expect(purges).toBe(0);
    fire(10_001);
    expect(purges).toBe(1);
    // The next one is that of tomorrow, in pieces.
    expect(timers.slice(3).map(({ delayMs }) => delayMs)).toEqual([60_000]);
  });

  test('a wall clock that was set forward, as after a suspend, is noticed within a minute', () => {
    let skewMs = 0;
    const clock = new FakeClock();
    const { running, times } = (() => {
      const seen: string[] = [];
      const schedule = createPurgeSchedule({
        schedule: [entry('0 6 * * *')],
        nextRun: nextCronRunMs,
        purger: {
          purge() {
            seen.push(new Date(clock.nowMs() + skewMs).toISOString());
            return Promise.resolve(refused({ status: 503, code: 'c', title: 't', detail: 'd' }));
          },
        },
        clock: {
          nowMs: () => clock.nowMs() + skewMs,
          monotonicMs: () => clock.monotonicMs(),
          after: (delayMs, callback) => clock.after(delayMs, callback),
        },
        background: new BackgroundWork(() => undefined),
        onRefused: () => undefined,
      });
      return { running: schedule, times: seen };
    })();
    running.start();
    skewMs = 20 * hourMs;
    clock.advance(60_000);
    expect(times).toEqual(['2026-11-24T08:01:00.000Z']);
  });
});
