import { describe, expect, onTestFinished, test } from 'vitest';

import { ExchangeRig, lateStore, type RigOptions } from '../support/exchange-rig.ts';
import { honourRoute, HOUR, requestOf, routeOf } from '../support/policy.ts';
import { keyedOf, tableOf } from '../support/operations.ts';

const hour = { staleIfErrorMs: HOUR };

function rigOf(options: RigOptions = {}): ExchangeRig {
  const rig = new ExchangeRig(options);
  onTestFinished(() => rig[Symbol.dispose]());
  return rig;
}

/** A rig without a lease, with something fresh in memory. */
function unleased(route = routeOf(hour)): ExchangeRig {
  const rig = rigOf({ routes: [route] });
  rig.memory.put(rig.stored());
  rig.log.leased = false;
  return rig;
}

describe('without a lease', () => {
  test('invariant 3: nothing is served from store, and nothing fetched is stored', async () => {
    const rig = unleased();
    const asked = rig.get();
    await rig.pass(2);
    rig.call(0).answer(200, 'fetched');
    expect(await asked).toMatchObject({
      status: 200,
      text: 'fetched',
      cacheStatus: 'forecache; fwd=bypass; detail=lease',
      outcome: 'miss',
      fwd: 'bypass',
    });
    expect(rig.storage).toEqual(['no-lease']);
    expect(rig.fleet).toEqual([{ kind: 'refused', reason: 'lease' }]);
    rig.log.leased = true;
    // What was stored before is judged by the log again, and is what it was.
    expect(await rig.get()).toMatchObject({ text: 'stored', outcome: 'hit' });
  });

  test('a request that allows only what is stored is refused as if nothing were', async () => {
    const rig = unleased(honourRoute({}, { onLeaseLost: 'serve-if-upstream-fails' }));
    const reply = await rig.get('/forecast', 'cache-control: only-if-cached');
    expect(reply).toMatchObject({ status: 504, cacheStatus: 'forecache; detail=not-stored' });
    expect(rig.calls).toHaveLength(0);
  });

  test('a route that would rather fail answers 504 and calls nobody', async () => {
    const rig = unleased(routeOf(hour, { onLeaseLost: 'error' }));
    const reply = await rig.get();
    expect(reply).toMatchObject({ status: 504, cacheStatus: 'forecache; detail=lease', outcome: 'error' });
    expect(JSON.parse(reply.text)).toMatchObject({ type: expect.stringContaining('lease-lost') });
    expect(rig.calls).toHaveLength(0);
    expect(rig.fleet).toEqual([{ kind: 'refused', reason: 'lease' }]);
  });

  test.each([
    ['does not answer', (rig: ExchangeRig) => rig.call(0).fail(), 'forecache; fwd=bypass; ttl=3599; detail=lease'],
    [
      'answers 503',
      (rig: ExchangeRig) => rig.call(0).answer(503, 'down'),
      'forecache; fwd=bypass; fwd-status=503; ttl=3599; detail=lease',
    ],
  ])('a route that would rather serve what may be purged does when upstream %s', async (_, fails, cacheStatus) => {
    const rig = unleased(routeOf(hour, { onLeaseLost: 'serve-if-upstream-fails' }));
    const asked = rig.get();
    await rig.pass(2);
    fails(rig);
    expect(await asked).toMatchObject({ status: 200, text: 'stored', outcome: 'stale-error', cacheStatus });
  });

  test('such a route prefers upstream, and never serves what is known to be purged', async () => {
    const rig = unleased(routeOf(hour, { onLeaseLost: 'serve-if-upstream-fails' }));
    const first = rig.get();
    await rig.pass(2);
    rig.call(0).answer(200, 'fetched');
    expect(await first).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=bypass; detail=lease' });
    const second = rig.get();
    await rig.pass(2);
    await rig.purge();
    rig.call(1).fail();
    expect(await second).toMatchObject({ status: 502, outcome: 'error' });
  });

  test('such a route finds the variant that the request selects', async () => {
    const route = honourRoute(hour, { onLeaseLost: 'serve-if-upstream-fails', forwardHeaders: ['accept-language'] });
    const rig = rigOf({ routes: [route] });
    const german = rig.get('/forecast', 'accept-language: de');
    await rig.settle();
    rig.call(0).answer(200, 'Wetter', [
      ['vary', 'accept-language'],
      ['cache-control', 'max-age=60, stale-if-error=600'],
    ]);
    expect(await german).toMatchObject({ text: 'Wetter', cacheStatus: 'forecache; fwd=uri-miss; stored' });
    rig.log.leased = false;
    const [again, french] = [rig.get('/forecast', 'accept-language: de'), rig.get('/forecast', 'accept-language: fr')];
    await rig.pass(4);
    for (const call of rig.calls.slice(1)) call.fail();
    expect(await again).toMatchObject({ status: 200, text: 'Wetter' });
    expect(await french).toMatchObject({ status: 502 });
  });

  test('such a route serves it too where the lease was lost only while upstream was asked, and says that it may be purged', async () => {
    const rig = rigOf({ routes: [routeOf(hour, { onLeaseLost: 'serve-if-upstream-fails' })] });
    const nowMs = rig.clock.nowMs();
    const { freshness } = rig.stored();
    rig.memory.put(rig.stored('/forecast', { freshness: { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs } }));
    const asked = rig.get();
    await rig.settle();
    rig.log.leased = false;
    rig.call(0).fail();
    expect(await asked).toMatchObject({ status: 200, text: 'stored', outcome: 'stale-error' });
    expect((await asked).cacheStatus).toBe('forecache; fwd=bypass; ttl=0; detail=lease');
  });

  test('such a route serves it at once once upstream has kept a request waiting, and says that it may be purged', async () => {
    const rig = unleased(routeOf(hour, { onLeaseLost: 'serve-if-upstream-fails' }));
    const first = rig.get();
    await rig.pass(2);
    rig.call(0).fail('timeout');
    await first;
    expect(await rig.get()).toMatchObject({
      text: 'stored',
      cacheStatus: 'forecache; fwd=bypass; ttl=3599; detail=lease',
    });
  });

  test('a route that bypasses has no fallback, though the lease was lost only while upstream was asked', async () => {
    const rig = rigOf({ routes: [routeOf(hour)] });
    const nowMs = rig.clock.nowMs();
    const { freshness } = rig.stored();
    rig.memory.put(rig.stored('/forecast', { freshness: { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs } }));
    const leased = rig.get();
    await rig.settle();
    rig.call(0).fail();
    expect(await leased).toMatchObject({ text: 'stored', outcome: 'stale-error' });
    const lost = rig.get();
    await rig.settle();
    rig.log.leased = false;
    rig.call(1).fail();
    expect(await lost).toMatchObject({ status: 502, cacheStatus: 'forecache; fwd=stale; detail=connect' });
  });

  test('an answer of an honour route is shared by those who wait, each with its own variant', async () => {
    const rig = rigOf({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })] });
    rig.log.leased = false;
    const germans = [rig.get('/forecast', 'accept-language: de'), rig.get('/forecast', 'accept-language: de')];
    const french = rig.get('/forecast', 'accept-language: fr');
    await rig.pass(4);
    const fields = [
      ['vary', 'accept-language'],
      ['cache-control', 'max-age=60'],
    ] as const;
    rig.call(0).answer(200, 'Wetter', fields);
    // Those who want the other variant are a burst of their own.
    await rig.pass(4);
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'météo', fields);
    expect((await Promise.all(germans)).map(({ text, cacheStatus }) => [text, cacheStatus])).toEqual([
      ['Wetter', 'forecache; fwd=bypass; detail=lease'],
      ['Wetter', 'forecache; fwd=bypass; collapsed; detail=lease'],
    ]);
    expect(await french).toMatchObject({ text: 'météo', cacheStatus: 'forecache; fwd=bypass; detail=lease' });
    expect(rig.memory.stats().responses).toBe(0);
  });

  test('those who want different variants do not wait for one another where upstream is known to vary', async () => {
    const rig = rigOf({ routes: [honourRoute({}, { forwardHeaders: ['accept-language'] })] });
    const fields = [
      ['vary', 'accept-language'],
      ['cache-control', 'max-age=60'],
    ] as const;
    const known = rig.get('/forecast', 'accept-language: en');
    await rig.settle();
    rig.call(0).answer(200, 'weather', fields);
    await known;
    rig.log.leased = false;
    const languages = ['de', 'fr', 'de', 'fr'];
    const asked = languages.map((language) => rig.get('/forecast', `accept-language: ${language}`));
    await rig.pass(4);
    expect(rig.calls).toHaveLength(3);
    rig.call(1).answer(200, 'Wetter', fields);
    rig.call(2).answer(200, 'météo', fields);
    const texts = (await Promise.all(asked)).map(({ text }) => text);
    expect(texts).toEqual(['Wetter', 'météo', 'Wetter', 'météo']);
  });

  test('nothing is warmed: what would be fetched could not be stored', async () => {
    const rig = unleased();
    const keyed = keyedOf(tableOf([routeOf(hour)]), '/forecast');
    const input = { route: routeOf(hour), keyed, purpose: 'warm', reuseAbove: 0 } as const;
    const outcome = await rig.refresher.refresh(input, new AbortController().signal);
    expect(outcome).toMatchObject({ result: 'failed', status: undefined });
    expect(rig.calls).toHaveLength(0);
  });
});

describe('what a store answers late', () => {
  test('is not served when the lease ended while it was waited for', async () => {
    const gates: (() => void)[] = [];
    const rig = rigOf({ between: (memory) => lateStore(memory, gates) });
    rig.memory.put(rig.stored());
    const asked = rig.get();
    rig.log.leased = false;
    gates[0]?.();
    await rig.pass(3);
    rig.call(0).answer(200, 'fetched');
    expect(await asked).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=bypass; detail=lease' });
    expect(rig.fleet).toEqual([{ kind: 'refused', reason: 'lease' }]);
  });

  test.each([['all'], ['t:route:forecast'], ['t:older'], ['u:/forecast'], ['r:forecast']])(
    'is not served when %s was purged while it was waited for',
    async (scope) => {
      const gates: (() => void)[] = [];
      const rig = rigOf({ routes: [routeOf({}, { tags: [] })], between: (memory) => lateStore(memory, gates) });
      // Stored under older rules, with other tags than those that the rules give it today (invariant 13).
      rig.memory.put(rig.stored('/forecast', { tags: ['older'] }));
      const asked = rig.get();
      await rig.purge(scope);
      gates[0]?.();
      await rig.settle();
      rig.call(0).answer(200, 'fetched');
      expect(await asked).toMatchObject({ text: 'fetched', cacheStatus: 'forecache; fwd=uri-miss; stored' });
      expect(rig.fleet).toEqual([{ kind: 'refused', reason: 'purged' }]);
    },
  );

  test('is served with its tier when nothing happened meanwhile', async () => {
    const gates: (() => void)[] = [];
    const rig = rigOf({ between: (memory) => lateStore(memory, gates) });
    rig.memory.put(rig.stored());
    const asked = rig.get();
    await rig.purge('r:other');
    gates[0]?.();
    expect(await asked).toMatchObject({ text: 'stored', cacheStatus: 'forecache; hit; ttl=3600; detail=redis' });
  });
});

/** A stale response with other tags than those that the rules give it today, and a request that went upstream for it. */
async function refetched(): Promise<{ readonly rig: ExchangeRig; readonly asked: ReturnType<ExchangeRig['get']> }> {
  const rig = rigOf({ routes: [routeOf({ ...hour, keepForValidationMs: HOUR }, { tags: [] })] });
  const nowMs = rig.clock.nowMs();
  const { freshness } = rig.stored();
  const stale = { ...freshness, freshUntilMs: nowMs, swrUntilMs: nowMs };
  rig.memory.put(rig.stored('/forecast', { tags: ['older'], etag: '"1"', freshness: stale }));
  const asked = rig.get();
  await rig.settle();
  return { rig, asked };
}

describe('what was stored under older rules (invariant 13)', () => {
  test('is fallen back on where upstream fails', async () => {
    const { rig, asked } = await refetched();
    rig.call(0).fail('connect');
    expect((await asked).text).toBe('stored');
  });

  test.each(['t:route:forecast', 't:older'])('is not, where %s was purged while upstream was asked', async (scope) => {
    const { rig, asked } = await refetched();
    await rig.purge(scope);
    rig.call(0).fail('connect');
    expect((await asked).status).toBe(502);
  });
});

describe('the purge after an unsafe method', () => {
  test('that the log refuses is told, and empties this process at least', async () => {
    const rig = rigOf({ routes: [honourRoute()] });
    rig.memory.put(rig.stored());
    rig.log.refusal = { status: 503, code: 'purge-unavailable', title: 'No', detail: 'Redis does not answer.' };
    const handled = await rig.exchange.handle(requestOf({ method: 'POST' }));
    if (handled.kind !== 'relay') throw new Error('not relayed');
    handled.relay.settled({ status: 200, fields: [], requestTimeMs: 0, responseTimeMs: 0 });
    await rig.background.idle();
    expect(rig.refusedInvalidations).toEqual(['forecast: purge-unavailable']);
    expect(rig.background.errors).toEqual([]);
    expect(rig.memory.stats().responses).toBe(0);
  });
});
