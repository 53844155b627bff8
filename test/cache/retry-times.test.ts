import { describe, expect, it, onTestFinished } from 'vitest';

import { RetryTimes } from '../../src/cache/retry-times.ts';
import type { Route } from '../../src/core/route.ts';
import { FakeClock } from '../support/clock.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { keyedOf, param, tableOf } from '../support/operations.ts';
import { fieldsOf, HOUR, honourRoute, MINUTE, routeOf } from '../support/policy.ts';

const retryAfter = fieldsOf('retry-after: 600');
const swr = { staleWhileRevalidateMs: 6 * HOUR };

function stage(route: Route) {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  const warm = (path: string) => {
    const input = { route, keyed: keyedOf(tableOf([route]), path), purpose: 'warm', reuseAbove: 0 } as const;
    return rig.refresher.refresh(input, new AbortController().signal);
  };
  /** Asks, answers the call and waits for what is asked for. */
  const answered = async <T>(asked: Promise<T>, status: number, fields = fieldsOf()): Promise<T> => {
    await rig.settle();
    rig.call(rig.calls.length - 1).answer(status, 'x', fields);
    const result = await asked;
    await rig.settle();
    return result;
  };
  const store = async (...asked: readonly (readonly string[])[]): Promise<void> => {
    for (const [path = '', ...fields] of asked) await answered(rig.get(path, ...fields), 200, stored);
    await rig.pass(61 * MINUTE, 61 * MINUTE);
  };
  return { rig, warm, answered, store };
}

const stored = fieldsOf('cache-control: max-age=3600, stale-while-revalidate=20000');

/** How many calls a refresh of another response and one of the same make, once one refresh was refused. */
async function callsAfter(route: Route, ...fields: readonly string[]): Promise<readonly number[]> {
  const { rig, answered, store } = stage(route);
  await store(['/forecast?place=a', ...fields], ['/forecast?place=b', ...fields]);
  await answered(rig.get('/forecast?place=a', ...fields), 429, retryAfter);
  const callsFor = async (path: string): Promise<number> => {
    const before = rig.calls.length;
    await rig.get(path, ...fields);
    await rig.settle();
    return rig.calls.length - before;
  };
  // Past the second for which a refresh that failed is not repeated anyway.
  await rig.pass(5000, 5000);
  return [await callsFor('/forecast?place=b'), await callsFor('/forecast?place=a')];
}

function ruled(secret: boolean): Partial<Route> {
  return {
    params: new Map([param('place', { type: 'text', fold: true }, { secret })]),
    unknownQuery: 'drop',
  };
}

describe('an upstream that said Retry-After to warming', () => {
  it('with a 429 is asked by warming and refreshes again when it is over, not before', async () => {
    const status = 429;
    const { rig, warm, answered, store } = stage(routeOf(swr));
    await store(['/forecast?place=a']);
    expect(await answered(warm('/forecast?place=b'), status, retryAfter)).toMatchObject({
      status,
      retryAfterMs: 600_000,
    });
    const before = rig.calls.length;
    expect((await rig.get('/forecast?place=a')).outcome).toBe('stale');
    await rig.pass(599_000, 599_000);
    expect((await rig.get('/forecast?place=a')).outcome).toBe('stale');
    const detail = 'not asked for: upstream weather had said Retry-After 2026-11-23T13:11:00Z';
    expect(await warm('/forecast?place=c')).toEqual({
      result: 'failed',
      status: undefined,
      detail,
      retryAfterMs: 1000,
    });
    expect(rig.calls).toHaveLength(before);
    await rig.pass(1000, 1000);
    expect((await rig.get('/forecast?place=a')).outcome).toBe('stale');
    await rig.settle();
    expect(rig.calls).toHaveLength(before + 1);
    expect(await answered(warm('/forecast?place=c'), 200)).toMatchObject({ result: 'fetched' });
  });

  it('is asked for clients as ever', async () => {
    const { rig, warm, answered } = stage(routeOf());
    await answered(warm('/forecast?place=a'), 429, retryAfter);
    expect((await answered(rig.get('/forecast?place=a'), 200)).outcome).toBe('miss');
    // What is good is reused.
    expect(await warm('/forecast?place=a')).toMatchObject({ result: 'reused' });
  });

  it('is not left alone for what a client was told', async () => {
    const { rig, warm, answered } = stage(routeOf());
    await answered(rig.get('/forecast?place=a'), 429, retryAfter);
    expect(await answered(warm('/forecast?place=a'), 200)).toMatchObject({ result: 'fetched' });
  });
});

describe('an upstream that said Retry-After to a refresh', () => {
  it('is left alone by all of them where the request had nothing of a client', async () => {
    expect(await callsAfter(routeOf(swr, ruled(false)))).toEqual([0, 0]);
  });

  it.each<[string, Route, string?]>([
    ['a field of his', routeOf(swr, { ...ruled(false), headers: ['x-key'] }), 'x-key: his'],
    ['a secret of his', routeOf(swr, ruled(true))],
    ['what he likes in the query', routeOf(swr, { unknownQuery: 'keep' })],
    ['whatever it is', honourRoute({}, { rawQuery: true })],
  ])('is left alone for the same response alone where it may be about one client: %s', async (_what, route, field) => {
    expect(await callsAfter(route, ...(field === undefined ? [] : [field]))).toEqual([1, 0]);
  });
});

describe('an upstream that said Retry-After with a 503, as of one path whose servers are away', () => {
  it.each([
    ['warming', { status: 503, retryAfterMs: 600_000, isAlone: true }],
    ['a refresh', { outcome: 'stale' }],
  ])('to %s is asked for all else, and for that when it is over', async (by, told) => {
    const { rig, warm, answered, store } = stage(routeOf(swr, ruled(false)));
    await store(['/forecast?place=a'], ['/forecast?place=b']);
    const asked: Promise<object> = by === 'warming' ? warm('/forecast?place=a') : rig.get('/forecast?place=a');
    expect(await answered(asked, 503, retryAfter)).toMatchObject(told);
    await rig.pass(599_000, 599_000);
    const before = rig.calls.length;
    expect((await rig.get('/forecast?place=a')).outcome).toBe('stale');
    expect(await warm('/forecast?place=a')).toMatchObject({ status: undefined, retryAfterMs: 1000, isAlone: true });
    expect(rig.calls).toHaveLength(before);
    expect((await answered(rig.get('/forecast?place=b'), 200)).outcome).toBe('stale');
    expect(await answered(warm('/forecast?place=c'), 200)).toMatchObject({ result: 'fetched' });
    expect(rig.calls).toHaveLength(before + 2);
    await rig.pass(1000, 1000);
    expect(await answered(warm('/forecast?place=a'), 200)).toMatchObject({ result: 'fetched' });
  });

  it('is asked for that too once a client was given it', async () => {
    const { rig, warm, answered, store } = stage(routeOf({ ...swr, ttlMs: MINUTE, clientCacheControl: 'honour' }));
    await store(['/forecast?place=a']);
    await answered(rig.get('/forecast?place=a'), 503, retryAfter);
    const askAnew = (): ReturnType<typeof rig.get> => rig.get('/forecast?place=a', 'cache-control: no-cache');
    for (const status of [503, 404]) {
      expect((await answered(askAnew(), status, retryAfter)).status).toBe(status);
      expect(await warm('/forecast?place=a')).toMatchObject({ status: undefined });
    }
    expect((await answered(askAnew(), 200)).status).toBe(200);
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    const before = rig.calls.length;
    await rig.get('/forecast?place=a');
    await rig.settle();
    expect(rig.calls).toHaveLength(before + 1);
  });
});

describe('times to ask again', () => {
  it('are the longer of two', () => {
    const clock = new FakeClock();
    const times = new RetryTimes(clock);
    times.putOff('weather', 60_000);
    times.putOff('weather', 10_000);
    expect([times.leftMs('weather'), times.leftMs('events')]).toEqual([60_000, undefined]);
    clock.advance(60_000);
    expect(times.leftMs('weather')).toBeUndefined();
  });

  it('are bounded: of single responses the one put off first is forgotten', () => {
    const times = new RetryTimes(new FakeClock(), 2);
    times.putOff('events', 60_000);
    for (const key of ['a', 'b', 'a', 'c']) times.putOffKey(key, 60_000);
    expect(['a', 'b', 'c'].map((key) => times.has('weather', key))).toEqual([false, true, true]);
    expect(times.has('events', 'a')).toBe(true);
  });
});
