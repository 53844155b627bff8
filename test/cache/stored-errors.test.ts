import { describe, expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, HOUR, MINUTE, routeOf, SECOND } from '../support/policy.ts';

function rigOf(route: Route): ExchangeRig {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

/** A request that goes upstream as the rig's next call, which ends so. */
async function answered(rig: ExchangeRig, end: (call: ReturnType<ExchangeRig['call']>) => void) {
  const next = rig.calls.length;
  const asked = rig.get();
  await rig.settle();
  end(rig.call(next));
  return asked;
}

const quota = (staleWhileRevalidateMs = 0): Route =>
  routeOf({ statusTtlMs: new Map([[429, MINUTE]]), staleIfErrorMs: 6 * HOUR, staleWhileRevalidateMs });

describe('a stored error', () => {
  it('is replaced by the next one once it is stale, so that statusTtl holds calls back for good', async () => {
    const rig = rigOf(quota());
    await answered(rig, (call) => call.answer(429, 'first'));
    for (const body of ['second', 'third']) {
      await rig.pass(MINUTE + SECOND, MINUTE + SECOND);
      const seen = await answered(rig, (call) => call.answer(429, body));
      expect([seen.status, seen.text, seen.cacheStatus]).toEqual([429, body, 'forecache; fwd=stale; stored']);
      expect((await rig.get()).cacheStatus).toMatch(/^forecache; hit; /);
    }
    expect(rig.calls).toHaveLength(3);
  });

  it('is replaced by the next one behind an answer within stale-while-revalidate', async () => {
    const rig = rigOf(quota(HOUR));
    await answered(rig, (call) => call.answer(429, 'first'));
    await rig.pass(MINUTE + SECOND, MINUTE + SECOND);
    // The window is the operator's word, and upstream is asked behind it.
    expect((await rig.get()).text).toBe('first');
    await rig.settle();
    rig.call(1).answer(429, 'second');
    await rig.settle();
    const next = await rig.get();
    expect([next.text, next.outcome]).toEqual(['second', 'hit']);
    expect(rig.calls).toHaveLength(2);
  });

  it('is not served in the place of a good response that was fetched behind it', async () => {
    const rig = rigOf(quota(HOUR));
    await answered(rig, (call) => call.answer(200, 'good'));
    await rig.pass(HOUR + MINUTE, HOUR + MINUTE);
    expect((await rig.get()).text).toBe('good');
    await rig.settle();
    rig.call(1).answer(429, 'quota');
    await rig.settle();
    expect((await rig.get()).text).toBe('good');
  });

  it('need not pass the check of a route, which is about what upstream has found', async () => {
    const storeIf = { json: true, exists: ['$.data'], absent: [] };
    const rig = rigOf(routeOf({ statusTtlMs: new Map([[404, MINUTE]]), storeIf }));
    const seen = await answered(rig, (call) => call.answer(404, 'nothing there'));
    expect([seen.status, seen.cacheStatus]).toEqual([404, 'forecache; fwd=uri-miss; stored']);
    expect((await rig.get()).outcome).toBe('hit');
  });

  it.each([
    ['connect', 502],
    ['timeout', 504],
  ] as const)('that is stale never stands for an upstream that fails (%s)', async (failure, status) => {
    const rig = rigOf(honourRoute({ storeErrors: 'all', staleIfErrorMs: 6 * HOUR }));
    const fields = fieldsOf('cache-control: max-age=5, stale-if-error=86400', 'etag: "a"');
    await answered(rig, (call) => call.answer(503, 'down', fields));
    await rig.pass(3 * HOUR, 3 * HOUR);
    const seen = await answered(rig, (call) => call.fail(failure));
    expect([seen.status, seen.text.includes('down')]).toEqual([status, false]);
  });

  it('that is stale is no answer to a slow upstream', async () => {
    const rig = rigOf(routeOf({ statusTtlMs: new Map([[503, MINUTE]]), staleIfErrorMs: 6 * HOUR, softTimeoutMs: 200 }));
    await answered(rig, (call) => call.answer(503, 'down'));
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    const asked = rig.get();
    await rig.pass(201, 201);
    rig.call(1).answer(200, 'up');
    expect((await asked).text).toBe('up');
  });
});

describe.each([
  ['ruled', routeOf({ staleIfErrorMs: 6 * HOUR, maxStoredBytes: 4 })],
  ['honour', honourRoute({ ttlMs: HOUR, staleIfErrorMs: 6 * HOUR, retainMs: 24 * HOUR, maxStoredBytes: 4 })],
])('an error that is too large to be stored, on a %s route', (_name, route) => {
  it('is no better than what is stored, and is not read', async () => {
    const rig = rigOf(route);
    await answered(rig, (call) => call.answer(200, 'good'));
    await rig.pass(2 * HOUR, 2 * HOUR);
    const seen = await answered(rig, (call) => call.answer(503, 'a page that tells much'));
    expect([seen.status, seen.text, seen.outcome]).toEqual([200, 'good', 'stale-error']);
    expect(seen.cacheStatus).toMatch(/^forecache; fwd=stale; fwd-status=503; ttl=-\d+; detail=stale-error$/);
    expect(rig.cancelled).toBe(1);
  });

  it('is let go where a HEAD asked for it', async () => {
    const rig = rigOf(route);
    const head = rig.head();
    await rig.settle();
    rig.call(0).answer(503, 'a page that tells much');
    const seen = await head;
    expect([seen.status, seen.text, rig.cancelled]).toEqual([503, '', 1]);
  });

  it('is passed on where nothing is stored', async () => {
    const rig = rigOf(route);
    const seen = await answered(rig, (call) => call.answer(503, 'a page that tells much'));
    expect([seen.status, seen.outcome]).toEqual([503, 'miss']);
  });
});
