import { METHODS } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createExplainer } from '../../src/cache/explain.ts';
import type { CoherenceStatus, Invalidity, PositionJudge } from '../../src/cache/fleet-ports.ts';
import type { Explanation } from '../../src/cache/operations.ts';
import type { InspectedRead, StoredView } from '../../src/cache/ports.ts';
import { renderExplanation } from '../../src/cli/render-explanation.ts';
import type { Route } from '../../src/core/route.ts';
import { createAnswerReader } from '../../src/upstream/answer-reader.ts';
import { sha256, StoreSetUp } from '../support/operations.ts';
import { honourRoute, routeOf } from '../support/policy.ts';

const status: CoherenceStatus = {
  leased: true,
  leaseAgeMs: 100,
  leaseMs: 2000,
  epoch: '00112233445566ff',
  applied: 7,
  lag: 0,
  floor: 0,
  scopes: 1,
  skewMs: 0,
};

type Judged = Parameters<PositionJudge['invalidity']>[0];

interface Traits {
  readonly route?: Route;
  readonly status?: Partial<CoherenceStatus>;
  readonly judge?: (item: Judged) => Invalidity | undefined;
  readonly store?: (memory: StoredView) => StoredView;
}

/** As if what memory holds were a variant, whose marker a purge covers. */
function underPurgedMarker(memory: StoredView): StoredView {
  return {
    async inspect(key) {
      const read = await memory.inspect('forecast|/forecast');
      if (read === undefined || key !== read.item.key) return read;
      const { url, route, upstream, tags, position } = read.item;
      const marker = { key, url, route, upstream, tags, position, names: ['x-a'], retainUntilMs: 0 };
      return { ...read, item: { ...marker, kind: 'vary' }, invalid: 'purged' };
    },
  };
}

/** A process of a fleet, with a fresh response in memory unless the store says otherwise. */
function setUp({ route = routeOf(), status: more = {}, judge = () => undefined, store }: Traits = {}) {
  const at = new StoreSetUp([route]);
  onTestFinished(() => at[Symbol.dispose]());
  at.put('/forecast', { tags: ['older'] });
  const explainer = createExplainer({
    table: at.table,
    upstreams: new Map(),
    answers: createAnswerReader(new Map()),
    listeners: () => [{ name: 'default', host: '127.0.0.1', port: 8080 }],
    store: store?.(at.store) ?? at.store,
    coherence: { status: () => ({ ...status, ...more }), invalidity: judge },
    clock: at.clock,
    sha256,
    methods: new Set(METHODS),
    graphql: undefined,
  });
  return async (headers: Readonly<Record<string, string>> = {}): Promise<Explanation> => {
    const answer = await explainer.explain({ url: '/forecast', headers });
    if (!answer.ok) throw new Error(answer.error.detail);
    return answer.value;
  };
}

describe('explaining a request to one of a fleet', () => {
  test('shows the lease, the place in the purge log, and that what is stored is valid', async () => {
    const explanation = await setUp()();
    expect(explanation).toMatchObject({
      coherence: { leased: true, epoch: '00112233445566ff', applied: 7, lag: 0 },
      stored: { position: { epoch: 'one', seq: 0 }, valid: true, invalidBecause: null },
      decision: { would: 'hit' },
    });
    const { text } = renderExplanation(explanation);
    expect(text).toContain('purge position one/0\n');
    expect(text).toMatch(/purges +leased; epoch 00112233445566ff, applied up to 7\n/);
  });

  test.each(['epoch', 'floor', 'purged'] as const)('shows what is stored and not served: %s', async (because) => {
    const explanation = await setUp({ judge: () => because, status: { lag: 2 } })();
    expect(explanation).toMatchObject({
      stored: { valid: false, invalidBecause: because },
      decision: { would: 'miss', fwd: 'uri-miss' },
    });
    const { text } = renderExplanation(explanation);
    expect(text).toMatch(/purge position one\/0, not served: [a-z]/);
    expect(text).toContain('2 purges behind');
  });

  test('shows a variant as invalid where its marker is, and does not say that other variants are stored', async () => {
    expect(await setUp({ store: underPurgedMarker })()).toMatchObject({
      stored: { valid: false, invalidBecause: 'purged' },
      decision: { would: 'miss', fwd: 'uri-miss' },
    });
  });

  test('judges by what was stored with the response and by what the rules say of the request today', async () => {
    const judged: Judged[] = [];
    await setUp({ judge: (item) => void judged.push(item) })();
    const tags = new Set(judged.map((item) => item.tags.join(' ')));
    expect([...tags]).toEqual(['older', 'route:forecast upstream:weather']);
  });

  test.each<[Route['onLeaseLost'], string, string | null]>([
    ['bypass', 'miss', 'bypass'],
    ['serve-if-upstream-fails', 'miss', 'bypass'],
    ['error', 'error', null],
  ])('without a lease says what the route does then: %s', async (onLeaseLost, would, fwd) => {
    const route = routeOf({}, { onLeaseLost });
    const explanation = await setUp({ route, status: { leased: false }, judge: () => 'lease' })();
    expect(explanation).toMatchObject({
      coherence: { leased: false },
      stored: { valid: false, invalidBecause: 'lease' },
      decision: { would, fwd },
    });
    expect(explanation.problem?.code).toBe(onLeaseLost === 'error' ? 'lease-lost' : undefined);
    expect(renderExplanation(explanation).text).toContain('no lease: nothing is served from store');
  });

  test('without a lease only-if-cached is refused as if nothing were stored', async () => {
    const explained = setUp({ route: honourRoute(), status: { leased: false }, judge: () => 'lease' });
    expect(await explained({ 'cache-control': 'only-if-cached' })).toMatchObject({
      decision: { would: 'error' },
      problem: { status: 504, code: 'not-stored' },
    });
  });

  test('looks on behalf of the request, and takes the store at its word that a read would not find it', async () => {
    const asked: unknown[] = [];
    const seenAs = (more: Partial<InspectedRead>) => (memory: StoredView) => ({
      async inspect(key: string, on?: Parameters<StoredView['inspect']>[1]) {
        asked.push(on?.route.name, on?.keyed.url);
        const read = await memory.inspect(key);
        return read && { ...read, ...more };
      },
    });
    const inRedis = await setUp({ store: seenAs({ tier: 'redis' }) })();
    expect(inRedis).toMatchObject({ stored: { tier: 'redis', hits: null }, decision: { would: 'hit' } });
    expect(asked).toEqual(['forecast', '/forecast']);
    const invalid = await setUp({ store: seenAs({ invalid: 'purged' }) })();
    expect(invalid).toMatchObject({ stored: { valid: false, invalidBecause: 'purged' }, decision: { would: 'miss' } });
    const leftAlone = await setUp({ store: seenAs({ tier: 'redis', isLeftAlone: true }) })();
    expect(leftAlone).toMatchObject({
      stored: { valid: true },
      decision: { would: 'miss', fwd: 'uri-miss', reason: expect.stringContaining('breaker') },
    });
  });

  test('is silent about a purge log where none is shared', async () => {
    const at = new StoreSetUp();
    onTestFinished(() => at[Symbol.dispose]());
    const explainer = createExplainer({
      table: at.table,
      upstreams: new Map(),
      answers: createAnswerReader(new Map()),
      listeners: () => [{ name: 'default', host: '127.0.0.1', port: 8080 }],
      store: at.store,
      clock: at.clock,
      sha256,
      methods: new Set(METHODS),
      graphql: undefined,
    });
    const answer = await explainer.explain({ url: '/files/a' });
    expect(answer).toMatchObject({ ok: true, value: { coherence: null } });
    expect(renderExplanation(answer.ok ? answer.value : {}).text).not.toContain('purges');
  });
});
