import { describe, expect, onTestFinished, test } from 'vitest';

import type { JobLeases } from '../../src/cache/fleet-ports.ts';
import { localJobs } from '../../src/cache/local-jobs.ts';
import type { WarmReport, WarmRequest } from '../../src/cache/operations.ts';
import type { Refresher, RefreshInput, RefreshOutcome } from '../../src/cache/refresher.ts';
import { RetryTimes } from '../../src/cache/retry-times.ts';
import { createWarmer } from '../../src/cache/warm.ts';
import type { WarmConfig, WarmJob } from '../../src/core/config.ts';
import { FakeClock } from '../support/clock.ts';
import { JobFleet } from '../support/job-fleet.ts';
import { keyedOf, sha256, tableOf, TestBackground, warmRecords } from '../support/operations.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function job(
  name: string,
  route: string,
  rest: Partial<WarmJob> & { readonly params?: Record<string, string> } = {},
): WarmJob {
  const { params = {}, ...others } = rest;
  return { name, route, with: new Map(Object.entries(params)), everyMs: hourMs, jitterMs: 0, zone: 'UTC', ...others };
}

const forecastJob = job('forecast', 'weather-forecast', { params: { location: '{location}' } });
const eventsJob = job('events', 'event-search', {
  params: { location: '{location}', start: '{today+1d}' },
  everyMs: 30 * minuteMs,
});

type Answer = (input: RefreshInput, signal: AbortSignal) => Promise<RefreshOutcome>;

const fetched: RefreshOutcome = { result: 'fetched', status: 200, detail: undefined };

interface Place {
  readonly clock?: FakeClock;
  readonly leases?: JobLeases;
}

function setUp(
  config: Partial<WarmConfig> = {},
  answer: Answer = () => Promise.resolve(fetched),
  random = () => 0,
  { clock = new FakeClock(), leases = localJobs }: Place = {},
) {
  const asked: { readonly at: number; readonly key: string; readonly input: RefreshInput }[] = [];
  const running = { now: 0, most: 0 };
  const refresher: Refresher = {
    async refresh(input, signal) {
      asked.push({ at: clock.nowMs() - startMs, key: input.keyed.key, input });
      running.now += 1;
      running.most = Math.max(running.most, running.now);
      try {
        return await answer(input, signal);
      } finally {
        running.now -= 1;
      }
    },
  };
  const startMs = clock.nowMs();
  const background = new TestBackground();
  const observer = warmRecords();
  const table = tableOf();
  const whole: WarmConfig = { locations: ['berlin', 'new york'], jobs: [], concurrency: 4, reuseAbove: 0.5, ...config };
  const retryTimes = new RetryTimes(clock);
  const parts = { config: whole, table, refresher, observer, clock, background, leases, retryTimes, sha256, random };
  const warmer = createWarmer(parts);
  onTestFinished(() => {
    warmer.stop();
    expect(background.errors).toEqual([]);
  });
  /** Starts the jobs and runs what is due at once. */
  const begin = async (): Promise<void> => {
    warmer.start();
    clock.advance(0);
    await background.idle();
  };
  /** Time in steps, with what was begun ended before the next. */
  const pass = async (ms: number, stepMs = minuteMs): Promise<void> => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      clock.advance(Math.min(stepMs, ms - passed));
      await background.idle();
    }
  };
  return { clock, asked, running, background, records: observer.records, warmer, table, begin, pass };
}

async function report(running: ReturnType<typeof setUp>, request: WarmRequest): Promise<WarmReport> {
  const answer = await running.warmer.run(request);
  if (!answer.ok) throw new Error(answer.error.detail);
  return answer.value;
}

function byRoute(name: string, ...sets: readonly Record<string, string>[]): WarmRequest {
  return { kind: 'route', route: name, with: sets };
}

describe('warming jobs', () => {
  test('a job of locations asks once for each, with exactly the key of a client', async () => {
    const at = setUp({ jobs: [forecastJob] });
    await at.begin();
    expect(at.asked.map(({ key }) => key)).toEqual([
      keyedOf(at.table, '/weather/forecast?city=BERLIN').key,
      keyedOf(at.table, '/weather/forecast?days=7&location=New+York').key,
    ]);
    expect(at.asked[0]?.input).toMatchObject({ purpose: 'warm', reuseAbove: 0.5, route: { name: 'weather-forecast' } });
  });

  test('dates are those of the day of the run, in the job’s zone', async () => {
    const tomorrow = job('events', 'event-search', {
      params: { location: 'x', start: '{today+7d}' },
      everyMs: 24 * hourMs,
      zone: 'Pacific/Auckland',
    });
    const at = setUp({ jobs: [tomorrow] });
    await at.begin();
    await at.pass(24 * hourMs, hourMs);
    // 12:00 UTC on 11-23 is 01:00 on 11-24 in Auckland.
    expect(at.asked.map(({ input }) => input.keyed.url)).toEqual([
      '/events/search?location=x&start=2026-12-01',
      '/events/search?location=x&start=2026-12-02',
    ]);
  });

  test('a job without a location asks once', async () => {
    const at = setUp({ jobs: [job('one', 'event-search', { params: { location: 'lima' } })] });
    await at.begin();
    expect(at.asked).toHaveLength(1);
  });

  test('jobs run at the start and then each at its own interval', async () => {
    const at = setUp({ jobs: [forecastJob, eventsJob], locations: ['lima'] });
    await at.begin();
    await at.pass(2 * hourMs);
    const times = (name: string): readonly number[] =>
      at.asked.filter(({ input }) => input.route.name === name).map((one) => one.at / minuteMs);
    expect(times('weather-forecast')).toEqual([0, 60, 120]);
    expect(times('event-search')).toEqual([0, 30, 60, 90, 120]);
    expect(at.records.map(({ job: name }) => name).toSorted()).toEqual([
      ...Array(5).fill('events'),
      ...Array(3).fill('forecast'),
    ]);
  });

  test('each run is moved by a random part of the jitter, which does not add up; the first comes soon', async () => {
    const draws = [0.5, 0, 0.9, 0.1];
    const jittered = { ...forecastJob, jitterMs: 10 * minuteMs };
    const at = setUp({ jobs: [jittered], locations: ['lima'] }, undefined, () => draws.shift() ?? 0);
    at.warmer.start();
    await at.pass(4 * hourMs - 1, 1000);
    expect(at.asked.map((one) => one.at / minuteMs)).toEqual([5 / 60, 60, 129, 181]);
  });

  test('a job never runs twice at once; after a run longer than its interval it goes on at once', async () => {
    const gate = Promise.withResolvers<RefreshOutcome>();
    const answers = [gate.promise];
    const at = setUp({ jobs: [forecastJob], locations: ['lima'] }, () => answers.shift() ?? Promise.resolve(fetched));
    at.warmer.start();
    at.clock.advance(0);
    await expect.poll(() => at.asked).toHaveLength(1);
    at.clock.advance(2.5 * hourMs);
    expect(at.asked).toHaveLength(1);
    gate.resolve(fetched);
    await at.background.idle();
    at.clock.advance(0);
    await at.background.idle();
    expect(at.asked).toHaveLength(2);
    expect(at.asked[1]?.at).toBe(2.5 * hourMs);
    await at.pass(hourMs);
    expect(at.asked[2]?.at).toBe(3.5 * hourMs);
  });

  test('after it was stopped no job begins, and what waits for its turn is not fetched', async () => {
    const gate = Promise.withResolvers<RefreshOutcome>();
    const at = setUp({ jobs: [forecastJob], concurrency: 1 }, () => gate.promise);
    at.warmer.start();
    at.clock.advance(0);
    await expect.poll(() => at.asked).toHaveLength(1);
    at.warmer.stop();
    const stopped = at.background.stop();
    gate.resolve({ result: 'failed', status: undefined, detail: 'aborted' });
    await stopped;
    await at.pass(3 * hourMs, hourMs);
    expect(at.asked).toHaveLength(1);
    expect(at.records).toMatchObject([{ job: 'forecast', fetched: 0, reused: 0, failed: 2 }]);
  });

  test('a failing location does not stop the others, and is counted', async () => {
    const at = setUp({ jobs: [forecastJob], locations: ['berlin', 'nowhere', 'lima', 'rome'] }, (input) =>
      Promise.resolve(
        input.keyed.url.includes('nowhere') ? { result: 'failed', status: 404, detail: 'status' } : fetched,
      ),
    );
    await at.begin();
    expect(at.records).toEqual([
      { job: 'forecast', fetched: 3, reused: 0, failed: 1, reason: 'status', durationMs: 0 },
    ]);
  });

  test('all jobs together keep to the limit of fetches at once', async () => {
    const locations = Array.from({ length: 20 }, (_, index) => `place ${index}`);
    const at = setUp({ jobs: [forecastJob, eventsJob], locations, concurrency: 3 }, async () => {
      await Promise.resolve();
      return fetched;
    });
    await at.begin();
    expect(at.asked).toHaveLength(40);
    expect(at.running.most).toBe(3);
  });
});

/** Processes that started some time apart, on one clock. */
function fleetOf(apartMs: readonly number[], config: Partial<WarmConfig>, answer?: Answer, random?: () => number) {
  const clock = new FakeClock();
  const fleet = new JobFleet(clock);
  const members = apartMs.map((_, index) => fleet.member(`p${index}`));
  const processes = members.map((leases) => setUp(config, answer, random, { clock, leases }));
  const startMs = clock.nowMs();
  const settle = async (): Promise<void> => {
    for (const { background } of processes) await background.idle();
  };
  /** Starts each at its time, and goes on until so much has passed since the first. */
  const pass = async (untilMs: number, stepMs = minuteMs): Promise<void> => {
    while (clock.nowMs() - startMs < untilMs) {
      const atMs = clock.nowMs() - startMs;
      for (const [index, dueMs] of apartMs.entries()) if (dueMs === atMs) processes[index]?.warmer.start();
      clock.advance(stepMs);
      await settle();
    }
  };
  const times = (): readonly number[] =>
    processes.flatMap(({ asked }) => asked.map(({ at }) => at / minuteMs)).toSorted((a, b) => a - b);
  return { clock, fleet, members, processes, pass, times };
}

describe('warming jobs of a fleet', () => {
  const hourly = { jobs: [forecastJob], locations: ['lima'] };

  test('a job is run once an interval, early by a twentieth at most, however far apart the processes started', async () => {
    const { pass, times } = fleetOf(
      [0, 10, 25, 50].map((minutes) => minutes * minuteMs),
      hourly,
    );
    await pass(10 * hourMs);
    const gaps = times()
      .slice(1)
      .map((at, index) => at - (times()[index] ?? 0));
    expect(gaps.length).toBeGreaterThan(8);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(57);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(60);
  });

  test('a process alone keeps its interval, whatever the jitter moves', async () => {
    const draws = [0.9, 0, 0.9, 0, 0.9, 0, 0.9, 0];
    const jittered = { jobs: [{ ...forecastJob, jitterMs: 10 * minuteMs }], locations: ['lima'] };
    const { pass, times } = fleetOf([0], jittered, undefined, () => draws.shift() ?? 0);
    await pass(8 * hourMs, minuteMs / 2);
    const gaps = times()
      .slice(1)
      .map((at, index) => at - (times()[index] ?? 0));
    expect(gaps.length).toBeGreaterThan(5);
    // An hour, and nine tenths of the jitter; without asking again it would be two.
    expect(Math.max(...gaps)).toBeLessThanOrEqual(70);
  });

  test('one that crashes in the middle is taken over from when its lease has lapsed', async () => {
    const never = new Promise<never>(() => {});
    const answers: Promise<RefreshOutcome>[] = [never];
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    const crashing = fleet.member('crashing');
    const first = setUp(hourly, () => answers.shift() ?? never, undefined, { clock, leases: crashing });
    const second = setUp(hourly, undefined, undefined, { clock, leases: fleet.member('second') });
    first.warmer.start();
    clock.advance(0);
    await expect.poll(() => first.asked).toHaveLength(1);
    second.warmer.start();
    await second.pass(5 * minuteMs, 1000);
    expect(second.asked).toEqual([]);
    crashing.crash();
    await second.pass(minuteMs, 1000);
    expect(second.asked).toHaveLength(1);
    const takenOverMs = (second.asked[0]?.at ?? 0) - 5 * minuteMs;
    expect(takenOverMs).toBeGreaterThanOrEqual(fleet.leaseMs);
    expect(takenOverMs).toBeLessThanOrEqual(fleet.leaseMs + crashing.retryMs);
  });

  test('a run that a stop cut short is somebody else’s at once', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    const gate = Promise.withResolvers<RefreshOutcome>();
    const first = setUp(hourly, () => gate.promise, undefined, { clock, leases: fleet.member('first') });
    const second = setUp(hourly, undefined, undefined, { clock, leases: fleet.member('second') });
    first.warmer.start();
    clock.advance(0);
    await expect.poll(() => first.asked).toHaveLength(1);
    first.warmer.stop();
    const stopped = first.background.stop();
    gate.resolve({ result: 'failed', status: undefined, detail: 'aborted' });
    await stopped;
    expect(fleet.holds).toEqual([0]);
    await second.begin();
    expect(second.asked).toHaveLength(1);
  });

  test('a run that was claimed while it was stopped does not begin', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    const at = setUp(hourly, undefined, undefined, { clock, leases: fleet.member('one') });
    at.warmer.start();
    clock.advance(0);
    at.warmer.stop();
    await at.background.idle();
    expect(at.asked).toEqual([]);
    expect(fleet.holds).toEqual([0]);
  });

  test('the time that a run took is no part of the wait for the next', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    const gate = Promise.withResolvers<RefreshOutcome>();
    const at = setUp(hourly, () => gate.promise, undefined, { clock, leases: fleet.member('one') });
    at.warmer.start();
    clock.advance(0);
    await expect.poll(() => at.asked).toHaveLength(1);
    clock.advance(20 * minuteMs);
    gate.resolve(fetched);
    await at.background.idle();
    expect(fleet.holds).toEqual([37 * minuteMs]);
  });

  test('nobody warms while Redis does not answer, and a daily job does within a minute of its return', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    fleet.down = true;
    const daily = { jobs: [{ ...forecastJob, everyMs: 24 * hourMs }], locations: ['lima'] };
    const at = setUp(daily, undefined, undefined, { clock, leases: fleet.member('one') });
    await at.begin();
    await at.pass(3 * hourMs);
    expect(at.asked).toEqual([]);
    fleet.down = false;
    await at.pass(minuteMs);
    expect(at.asked).toHaveLength(1);
  });

  test('what an operator asks for is done by who was asked, whoever runs the jobs', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    fleet.down = true;
    const at = setUp(hourly, undefined, undefined, { clock, leases: fleet.member('one') });
    expect(await report(at, { kind: 'locations', locations: ['quito'] })).toMatchObject({ fetched: 1 });
  });

  test('two configurations that mean different things by a name are both warmed', async () => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    const older = setUp(hourly, undefined, undefined, { clock, leases: fleet.member('older') });
    const newer = setUp({ ...hourly, locations: ['lima', 'cusco'] }, undefined, undefined, {
      clock,
      leases: fleet.member('newer'),
    });
    await older.begin();
    await newer.begin();
    expect([older.asked.length, newer.asked.length]).toEqual([1, 2]);
  });
});

describe('warming by request', () => {
  test('reports what was fetched, reused and failed, in the order asked for', async () => {
    const outcomes: RefreshOutcome[] = [
      fetched,
      { result: 'reused', status: undefined, detail: undefined },
      { result: 'failed', status: 503, detail: 'upstream-status' },
    ];
    const at = setUp({ concurrency: 1 }, () => Promise.resolve(outcomes.shift() ?? fetched));
    const made = await report(
      at,
      byRoute('weather-forecast', { location: 'Lima' }, { city: 'cusco' }, { location: 'x', days: '03' }),
    );
    expect(made).toEqual({
      fetched: 1,
      reused: 1,
      failed: 1,
      durationMs: 0,
      items: [
        { url: '/weather/forecast?days=7&location=lima', route: 'weather-forecast', result: 'fetched', status: 200 },
        { url: '/weather/forecast?days=7&location=cusco', route: 'weather-forecast', result: 'reused' },
        {
          url: '/weather/forecast?days=3&location=x',
          route: 'weather-forecast',
          result: 'failed',
          status: 503,
          detail: 'upstream-status',
        },
      ],
    });
    expect(at.records).toEqual([
      { job: 'api', fetched: 1, reused: 1, failed: 1, reason: 'upstream-status', durationMs: 0 },
    ]);
  });

  test('after a 429 its upstream is asked for nothing more in that run: what is good is reused, the rest fails by name', async () => {
    const refused: RefreshOutcome = { result: 'failed', status: 429, detail: 'not stored: upstream-status' };
    let isLimited = true;
    const at = setUp({ jobs: [forecastJob, eventsJob], concurrency: 1 }, (input) => {
      const isAsked = input.withoutCall === undefined;
      if (input.keyed.url.endsWith('=lima')) return Promise.resolve({ ...fetched, result: 'reused' });
      if (!isAsked) return Promise.resolve({ result: 'failed', status: undefined, detail: input.withoutCall });
      return Promise.resolve(isLimited && input.route.name === 'weather-forecast' ? refused : fetched);
    });
    const places = ['rome', 'lima', 'oslo', 'bern'];
    const made = await report(at, { kind: 'locations', locations: places });
    const unasked = 'not asked for: upstream weather had answered with 429 (Too Many Requests)';
    expect(made.items.filter((item) => item.route === 'weather-forecast')).toMatchObject([
      { result: 'failed', status: 429 },
      { result: 'reused' },
      { result: 'failed', detail: unasked },
      { result: 'failed', detail: unasked },
    ]);
    // Another upstream said nothing of the kind.
    expect(made).toMatchObject({ fetched: 4, reused: 1, failed: 3 });
    expect(at.records).toMatchObject([{ job: 'api', fetched: 4, reused: 1, failed: 3, unasked: 2 }]);
    // The next run finds out anew.
    isLimited = false;
    expect(await report(at, { kind: 'locations', locations: places })).toMatchObject({
      fetched: 7,
      reused: 1,
      failed: 0,
    });
  });

  test('what another thread has heard of Retry-After holds for later runs until then, and the report says when', async () => {
    const said: RefreshOutcome = { result: 'failed', status: 503, detail: 'not stored: status', retryAfterMs: 90_500 };
    let answer = said;
    const at = setUp({ concurrency: 1 }, (input) => {
      const { withoutCall } = input;
      if (withoutCall !== undefined)
        return Promise.resolve({ result: 'failed', status: undefined, detail: withoutCall });
      return Promise.resolve(input.route.name === 'weather-forecast' ? answer : fetched);
    });
    const both = [{ location: 'rome' }, { location: 'lima' }];
    const retryAt = '2026-11-23T12:01:31Z';
    const detail = `not asked for: upstream weather had said Retry-After ${retryAt}`;
    const unasked = { url: expect.any(String), route: 'weather-forecast', result: 'failed', detail, retryAt };
    expect((await report(at, byRoute('weather-forecast', ...both))).items).toEqual([
      expect.objectContaining({ result: 'failed', status: 503, retryAt }),
      unasked,
    ]);
    at.clock.advance(90_000);
    expect((await report(at, byRoute('weather-forecast', ...both))).items).toEqual([unasked, unasked]);
    expect(await report(at, byRoute('event-search', { location: 'rome' }))).toMatchObject({ fetched: 1 });
    expect(at.records.map((record) => record.unasked)).toEqual([1, 2, undefined]);
    at.clock.advance(500);
    answer = fetched;
    expect(await report(at, byRoute('weather-forecast', ...both))).toMatchObject({ fetched: 2, failed: 0 });
  });

  test('what another thread has heard of one response holds of that alone', async () => {
    const said = {
      result: 'failed',
      status: 503,
      detail: 'not stored: status',
      retryAfterMs: 90_500,
      isAlone: true,
    } as const;
    const at = setUp({ concurrency: 1 }, ({ keyed, withoutCall }) => {
      if (withoutCall !== undefined)
        return Promise.resolve({ result: 'failed', status: undefined, detail: withoutCall });
      return Promise.resolve(keyed.url.endsWith('=rome') ? said : fetched);
    });
    const ask = byRoute('weather-forecast', { location: 'rome' }, { location: 'lima' });
    expect(await report(at, ask)).toMatchObject({ fetched: 1, items: [{ status: 503 }, { result: 'fetched' }] });
    const detail: unknown = expect.stringMatching(/^not asked for: upstream weather had said Retry-After /);
    expect(await report(at, ask)).toMatchObject({ fetched: 1, items: [{ detail }, { result: 'fetched' }] });
    expect(at.records.map((record) => record.unasked)).toEqual([undefined, 1]);
  });

  test.each([
    ['at that time', 10 * minuteMs, [0, 10, 70, 130]],
    ['after a minute at the soonest', 1000, [0, 1, 61, 121]],
    ['at its next turn where that is sooner', 2 * hourMs, [0, 60, 120, 180]],
  ])('a job that was put off by Retry-After is run again %s', async (_when, retryAfterMs, minutes) => {
    const clock = new FakeClock();
    const fleet = new JobFleet(clock);
    const place = { clock, leases: fleet.member('a') };
    const told: RefreshOutcome = { result: 'failed', status: 429, detail: 'not stored: status', retryAfterMs };
    let isFirst = true;
    const answer: Answer = ({ withoutCall }) => {
      if (withoutCall !== undefined)
        return Promise.resolve({ result: 'failed', status: undefined, detail: withoutCall });
      const outcome = isFirst ? told : fetched;
      isFirst = false;
      return Promise.resolve(outcome);
    };
    const at = setUp({ jobs: [forecastJob], locations: ['rome', 'lima'], concurrency: 1 }, answer, () => 0, place);
    await at.begin();
    await at.pass(3 * hourMs + 15 * minuteMs);
    const runs = at.asked.filter(({ input }) => input.keyed.url.endsWith('=rome')).map((one) => one.at / minuteMs);
    expect(runs.slice(0, 4)).toEqual(minutes);
    // Nobody else runs it sooner, and somebody does where this one is gone by then.
    expect(fleet.holds[0]).toBe((minutes[1] ?? 0) * 0.95 * minuteMs);
  });

  /** When a job of a day is run in its first six hours, by minutes, of which each run leaves so many of four. */
  async function runsThatLeave(left: readonly number[]): Promise<readonly number[]> {
    const locations = ['rome', 'lima', 'oslo', 'bern'];
    let asked = 0;
    const answer: Answer = ({ withoutCall }) => {
      if (withoutCall !== undefined)
        return Promise.resolve({ result: 'failed', status: undefined, detail: withoutCall });
      const [run, place] = [Math.floor(asked / 4), asked % 4];
      asked += 1;
      const isLeft = place >= 4 - (left[Math.min(run, left.length - 1)] ?? 0);
      const told = { result: 'failed', status: 503, detail: 'no', retryAfterMs: 1000, isAlone: true } as const;
      return Promise.resolve(isLeft ? told : fetched);
    };
    const jobs = [{ ...forecastJob, everyMs: 24 * hourMs }];
    const at = setUp({ jobs, locations, concurrency: 1 }, answer);
    await at.begin();
    await at.pass(6 * hourMs);
    return at.asked.filter((_one, index) => index % 4 === 0).map((one) => one.at / minuteMs);
  }

  test('a job of which as much is put off each time is run again after twice the wait each time', async () => {
    expect(await runsThatLeave([2])).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 255]);
  });

  test('a job of which less is put off than ever before waits no longer', async () => {
    expect(await runsThatLeave([3, 2, 1, 0])).toEqual([0, 1, 2, 3]);
    expect(await runsThatLeave([3, 3, 2, 3, 2, 2, 1, 0])).toEqual([0, 1, 3, 4, 6, 10, 18, 19]);
  });

  test('locations run the jobs that use one, for these locations alone', async () => {
    const fixed = job('fixed', 'event-search', { params: { location: 'rome' } });
    const at = setUp({ jobs: [forecastJob, fixed, eventsJob] });
    const made = await report(at, { kind: 'locations', locations: ['Quito'] });
    expect(made.items.map((item) => item.url)).toEqual([
      '/weather/forecast?days=7&location=quito',
      '/events/search?location=quito&start=2026-11-24',
    ]);
  });

  test('dates may be asked for, in UTC', async () => {
    const at = setUp();
    const made = await report(at, byRoute('event-search', { location: 'lima', start: '{today-1d}' }));
    expect(made.items[0]?.url).toBe('/events/search?location=lima&start=2026-11-22');
  });

  test('paths are made from the pattern, encoded, with optional parts left out', async () => {
    const at = setUp();
    const made = await report(
      at,
      byRoute('by-path', { place: 'New York' }, { place: 'lima', day: '2026-11-23', x: '1&2' }),
    );
    expect(made.items).toEqual([
      expect.objectContaining({ result: 'fetched', url: '/places/new%20york' }),
      expect.objectContaining({ result: 'fetched', url: '/places/lima/2026-11-23?x=1%262' }),
    ]);
    const files = await report(at, byRoute('files', { 0: 'a b/c' }));
    expect(files.items).toEqual([expect.objectContaining({ result: 'fetched', url: '/files/a%20b/c' })]);
  });

  test('routes of a host or a listener are asked for there', async () => {
    const at = setUp();
    expect((await report(at, byRoute('by-host', {}))).items).toEqual([
      { url: '//news.test/v1/news', route: 'by-host', result: 'fetched', status: 200 },
    ]);
    expect((await report(at, byRoute('by-listener', {}))).items).toMatchObject([
      { url: '/v1/tides', result: 'fetched' },
    ]);
  });

  test.each<[string, string, Record<string, string>, string]>([
    ['a required parameter is missing', 'event-search', {}, 'location'],
    ['a value does not normalise', 'event-search', { location: 'lima', start: 'soon' }, 'start'],
    [
      'a parameter is misspelt',
      'weather-forecast',
      { location: 'lima', dayz: '3' },
      'the route has no parameter "dayz"',
    ],
    ['a group of the path has no value', 'by-path', { day: 'x' }, 'the path needs a value for "place"'],
    ['the path would leave its route', 'by-path', { place: '..' }, 'dot segment'],
    ['the path does not match', 'by-path', { place: '' }, 'the path does not match the route'],
    ['a placeholder is unknown', 'event-search', { location: '{tomorrow}' }, '{tomorrow} is not a placeholder'],
    ['a location is asked for where there is none', 'event-search', { location: '{location}' }, 'there is no location'],
    ['the text is no Unicode', 'event-search', { location: '\ud800' }, 'not well-formed'],
    ['the route is not cached', 'relay', { 0: 'x' }, 'the route is not cached'],
  ])('it is reported, and nothing thrown or fetched, where %s', async (_why, name, values, detail) => {
    const at = setUp();
    const made = await report(at, byRoute(name, values));
    expect(made).toMatchObject({ fetched: 0, reused: 0, failed: 1 });
    expect(made.items).toEqual([
      { route: name, result: 'failed', url: expect.any(String), detail: expect.stringContaining(detail) },
    ]);
    expect(at.asked).toEqual([]);
  });

  test('what failed is shown without secrets', async () => {
    const at = setUp();
    const made = await report(
      at,
      byRoute('weather-forecast', { days: '99', location: 'lima', token: 's3cret', ApiKey: 's3cret' }),
    );
    expect(made.items).toMatchObject([{ result: 'failed' }]);
    expect(JSON.stringify(made)).not.toContain('s3cret');
    const bad = await report(at, byRoute('weather-forecast', { days: '99', location: 'lima', token: 's3cret' }));
    expect(bad.items[0]?.url).toBe('/weather/forecast?days=99&location=lima&token=***');
    expect(JSON.stringify(bad)).not.toContain('s3cret');
  });

  test.each<[string, WarmRequest, string]>([
    ['an unknown route', byRoute('event-serch', {}), 'route-unknown'],
    ['locations without a job of them', { kind: 'locations', locations: ['x'] }, 'warm-no-job'],
    [
      'too many requests',
      byRoute('event-search', ...Array.from({ length: 1001 }, () => ({ location: 'x' }))),
      'warm-too-many',
    ],
  ])('%s is refused', async (_what, request, code) => {
    const at = setUp();
    const answer = await at.warmer.run(request);
    expect(answer).toMatchObject({ ok: false, error: { status: 400, code } });
    expect(at.asked).toEqual([]);
  });
});
