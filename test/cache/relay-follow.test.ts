import { describe, expect, it, onTestFinished } from 'vitest';

import type { RelayedHead, RelayFollowUp } from '../../src/cache/handled.ts';
import type { PurgeReceipt } from '../../src/cache/ports.ts';
import { ok, type Result } from '../../src/core/problem.ts';
import type { ProxyRequest } from '../../src/core/request.ts';
import type { CachePolicy, Route } from '../../src/core/route.ts';
import { ExchangeRig, type RigOptions } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, requestOf, SECOND } from '../support/policy.ts';

function rigOf(policy: Partial<CachePolicy> = {}, route: Partial<Route> = {}, options: RigOptions = {}): ExchangeRig {
  const routes = [honourRoute(policy, { rawQuery: true, match: '/*', ...route })];
  const rig = new ExchangeRig({ ...options, routes });
  onTestFinished(() => {
    expect(rig.background.errors).toEqual([]);
    rig[Symbol.dispose]();
  });
  return rig;
}

/** A request that went upstream by the relay, which answers it when told to. */
interface Sent {
  readonly cacheStatus: string;
  answer(status: number, ...fields: readonly string[]): RelayFollowUp;
}

async function send(rig: ExchangeRig, request: Partial<ProxyRequest> = {}): Promise<Sent> {
  const asked = requestOf({ method: 'POST', ...request });
  const handled = await rig.exchange.handle(asked, { interim: () => {}, whenOver: () => {}, isOver: false });
  if (handled.kind !== 'relay') throw new Error('not relayed');
  const requestTimeMs = rig.clock.nowMs();
  return {
    cacheStatus: handled.relay.cacheStatus,
    answer: (status, ...fields) => {
      const head: RelayedHead = {
        status,
        fields: fieldsOf(...fields),
        requestTimeMs,
        responseTimeMs: rig.clock.nowMs(),
      };
      return handled.relay.settled(head);
    },
  };
}

async function finish(
  rig: ExchangeRig,
  { ready, tap }: RelayFollowUp,
  content = 'posted',
  complete = true,
): Promise<void> {
  await ready;
  for (const char of content) tap?.chunk(Buffer.from(char));
  tap?.end(complete);
  await rig.background.idle();
}

const explicit = ['Cache-Control: max-age=60', 'Content-Location: /forecast'];
const upstreamAsked = 'forecache; fwd=uri-miss; stored';

describe('the answer to an unsafe method', () => {
  it('is held back until what it made invalid is gone', async () => {
    const rig = rigOf();
    rig.memory.put(rig.stored());
    const { ready } = (await send(rig)).answer(204);
    await ready;
    const asked = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'new', fieldsOf('Cache-Control: max-age=60'));
    expect(await asked).toMatchObject({ text: 'new', cacheStatus: upstreamAsked });
  });

  it('that failed leaves what is stored, and nobody waits', async () => {
    const rig = rigOf();
    rig.memory.put(rig.stored());
    expect((await send(rig)).answer(500)).toEqual({ ready: undefined, tap: undefined });
    expect(await rig.get()).toMatchObject({ text: 'stored', outcome: 'hit' });
  });

  it('takes along all variants of the URL, and the URL that Location names', async () => {
    const rig = rigOf({}, { forwardHeaders: ['accept-language'] });
    const vary = fieldsOf('Cache-Control: max-age=60', 'Vary: Accept-Language');
    for (const [index, language] of ['de', 'fr'].entries()) {
      const asked = rig.get('/forecast', `Accept-Language: ${language}`);
      await rig.settle();
      rig.call(index).answer(200, language, vary);
      await asked;
    }
    rig.memory.put(rig.stored('/made'));
    rig.memory.put(rig.stored('/forecast?other'));
    await finish(rig, (await send(rig)).answer(201, 'Location: made'));
    const left = rig.memory.list({ limit: 10 }).map(({ item }) => item.url);
    expect(left).toEqual(['/forecast?other']);
  });

  it.each<readonly [where: string, options: RigOptions, limits: readonly string[]]>([
    ['purgeWait, and that is told', { purgeWaitMs: 3 * SECOND }, ['store.redis.purgeWait']],
    // There is no such option without Redis, so nothing is counted under its name.
    ['two seconds without Redis', {}, []],
  ])('is held back no longer than %s', async (_where, options, limits) => {
    const rig = rigOf({}, {}, options);
    const { promise, resolve } = Promise.withResolvers<Result<PurgeReceipt>>();
    rig.log.append = () => promise;
    const { ready } = (await send(rig)).answer(204);
    let isReady = false;
    void ready?.then(() => (isReady = true));
    await rig.pass((options.purgeWaitMs ?? 2 * SECOND) - 1, SECOND);
    expect([isReady, rig.limits]).toEqual([false, []]);
    await rig.pass(1);
    expect([isReady, rig.limits]).toEqual([true, limits]);
    resolve(ok({ id: 'late', complete: true, sidecars: [], missing: [] }));
    await rig.background.idle();
  });

  it('costs no limit where the purge holds in time', async () => {
    const rig = rigOf();
    await (await send(rig)).answer(204).ready;
    await rig.pass(10 * SECOND, SECOND);
    expect(rig.limits).toEqual([]);
  });
});

describe('the answer to a POST (RFC 9110 §9.3.3)', () => {
  it('with explicit freshness and its own URL as Content-Location answers later GETs', async () => {
    const rig = rigOf();
    rig.memory.put(rig.stored());
    await finish(rig, (await send(rig)).answer(200, ...explicit, 'X-Own: 1'));
    expect(await rig.get()).toMatchObject({
      status: 200,
      text: 'posted',
      cacheStatus: 'forecache; hit; ttl=60; detail=memory',
    });
    expect(rig.calls).toHaveLength(0);
  });

  it('does not say that it is stored: its head is sent before that is known', async () => {
    const rig = rigOf();
    const sent = await send(rig);
    await finish(rig, sent.answer(200, ...explicit));
    expect([sent.cacheStatus, rig.memory.stats().responses]).toEqual(['forecache; fwd=method', 1]);
  });

  it.each([
    ['/int/q', true],
    ['http://weather.test/int/q', true],
    ['//weather.test/int/q', true],
    ['', true],
    ['http://proxy.test/pub/q', true],
    // Upstream's own resource of that name is another one.
    ['/pub/q', false],
    ['http://weather.test/pub/q', false],
    ['http://proxy.test/int/q', false],
  ])('through forward is stored by upstream’s own name for it: %j %s', async (location, stored) => {
    const rig = rigOf({}, { match: '/pub/:rest', forward: '/int/{rest}' });
    const sent = await send(rig, { path: '/pub/q', host: 'proxy.test', fields: fieldsOf('Host: proxy.test') });
    await finish(rig, sent.answer(200, 'Cache-Control: max-age=60', `Content-Location: ${location}`));
    expect(rig.memory.list({ limit: 10 }).map(({ item }) => item.url)).toEqual(stored ? ['/pub/q'] : []);
  });

  it.each(['/forecast?x=1', '/forecast', 'http://proxy.test/forecast?x=1'])(
    'is not stored where a GET of its URL would ask upstream for less, as %s or not',
    async (location) => {
      const rig = rigOf({}, { rawQuery: false, unknownQuery: 'drop' });
      const sent = await send(rig, { query: 'x=1', host: 'proxy.test', fields: fieldsOf('Host: proxy.test') });
      await finish(rig, sent.answer(200, 'Cache-Control: max-age=60', `Content-Location: ${location}`));
      expect(rig.memory.stats().responses).toBe(0);
    },
  );

  it.each([
    ['no lifetime of its own', ['Content-Location: /forecast']],
    ['a heuristic one', ['Content-Location: /forecast', 'Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT']],
    ['no Content-Location', ['Cache-Control: max-age=60']],
    ['another Content-Location', ['Cache-Control: max-age=60', 'Content-Location: /forecast?x']],
    ['a foreign one', ['Cache-Control: max-age=60', 'Content-Location: http://evil.test/forecast']],
    ['two of them', [...explicit, 'Content-Location: /forecast']],
    ['no-store', ['Cache-Control: max-age=60, no-store', 'Content-Location: /forecast']],
    ['Vary: *', [...explicit, 'Vary: *']],
  ])('is not stored with %s', async (_what, fields) => {
    const rig = rigOf({ heuristicFraction: 0.1, heuristicMaxMs: 1_000_000, ttlMs: undefined });
    await finish(rig, (await send(rig)).answer(200, ...fields));
    expect(rig.memory.stats().responses).toBe(0);
  });

  it('is not stored with more tags than are read, by which a purge would not find it', async () => {
    const rig = rigOf({}, { maxUpstreamTags: 1 });
    await finish(rig, (await send(rig)).answer(200, ...explicit, 'Cache-Groups: "one", "two"'));
    expect([rig.memory.stats().responses, rig.storage, rig.limits]).toEqual([0, ['tags'], ['routes.maxUpstreamTags']]);
  });

  it('is not stored by the lifetime that the rule gives', async () => {
    const rig = rigOf({ ttlMs: 60 * SECOND });
    await finish(rig, (await send(rig)).answer(200, 'Content-Location: /forecast'));
    expect(rig.memory.stats().responses).toBe(0);
  });

  it.each(['PUT', 'PATCH', 'M-SEARCH'])('is not stored where the method is %s', async (method) => {
    const rig = rigOf();
    await finish(rig, (await send(rig, { method })).answer(200, ...explicit));
    expect(rig.memory.stats().responses).toBe(0);
  });

  it.each([
    'Cookie: a=1',
    'Authorization: Bearer x',
    'X-HTTP-Method-Override: DELETE',
    'X-Original-URL: /evil',
    'X-Own: 1',
    'If-Match: "1"',
    'Range: bytes=0-1',
    'Cache-Control: no-store',
  ])('is not stored where upstream saw what no GET shows it: %s', async (line) => {
    const rig = rigOf({ clientCacheControl: 'honour' });
    await finish(rig, (await send(rig, { fields: fieldsOf(line) })).answer(200, ...explicit, 'Cache-Control: public'));
    expect(rig.memory.stats().responses).toBe(0);
  });

  it('is stored with what every client says of itself and its content', async () => {
    const rig = rigOf();
    const fields = fieldsOf(
      'Host: x',
      'User-Agent: curl',
      'Accept: */*',
      'Content-Type: text/plain',
      'Content-Length: 2',
    );
    await finish(rig, (await send(rig, { fields })).answer(200, ...explicit));
    expect(await rig.get()).toMatchObject({ text: 'posted', outcome: 'hit' });
  });

  it('is stored for the variant that its request selected', async () => {
    const rig = rigOf({}, { forwardHeaders: ['*'] });
    const sent = await send(rig, { fields: fieldsOf('Accept-Language: de', 'X-Own: 1') });
    await finish(rig, sent.answer(200, ...explicit, 'Vary: Accept-Language'));
    expect(await rig.get('/forecast', 'Accept-Language: de')).toMatchObject({ text: 'posted', outcome: 'hit' });
    const french = rig.get('/forecast', 'Accept-Language: fr');
    await rig.settle();
    rig.call(0).answer(200, 'fr');
    expect(await french).toMatchObject({ text: 'fr', fwd: 'vary-miss' });
  });

  it('is stored for any coding where none of the client’s is asked for', async () => {
    const rig = rigOf({}, { forwardHeaders: ['accept-encoding'], asksPlain: true });
    const sent = await send(rig, { fields: fieldsOf('Accept-Encoding: br') });
    await finish(rig, sent.answer(200, ...explicit, 'Vary: Accept-Encoding'));
    expect(await rig.get('/forecast', 'Accept-Encoding: gzip')).toMatchObject({ text: 'posted', outcome: 'hit' });
  });

  it('is stored whatever its request had by a name that the upstream puts on itself', async () => {
    const rig = rigOf({}, { forwardHeaders: ['*'], putOn: ['accept-language', 'x-tenant'] });
    const sent = await send(rig, { fields: fieldsOf('Accept-Language: de', 'X-Tenant: a') });
    await finish(rig, sent.answer(200, ...explicit, 'Vary: Accept-Language, X-Tenant'));
    expect(await rig.get('/forecast', 'Accept-Language: fr')).toMatchObject({ text: 'posted', outcome: 'hit' });
  });

  it('is not stored where it varies by a field that GETs of the route do not send', async () => {
    const rig = rigOf();
    const sent = await send(rig, { fields: fieldsOf('Accept-Language: de') });
    await finish(rig, sent.answer(200, ...explicit, 'Vary: Accept-Language'));
    expect(rig.memory.stats().responses).toBe(0);
  });

  it('that breaks off is not stored', async () => {
    const rig = rigOf();
    await finish(rig, (await send(rig)).answer(200, ...explicit), 'post', false);
    expect(rig.memory.stats().responses).toBe(0);
  });

  it('of exactly maxStoredBytes is stored, one byte more is not, and that is told', async () => {
    for (const [content, stored, limits] of [
      ['sixsix', 1, []],
      ['sixsixx', 0, ['routes.maxStoredBytes']],
    ] as const) {
      const rig = rigOf({ maxStoredBytes: 6 });
      await finish(rig, (await send(rig)).answer(200, ...explicit), content);
      expect([rig.memory.stats().responses, rig.limits]).toEqual([stored, limits]);
    }
  });

  it('that does not pass the check of the route is not stored', async () => {
    const rig = rigOf({ storeIf: { json: true, exists: [], absent: [] } });
    await finish(rig, (await send(rig)).answer(200, ...explicit), 'no json');
    expect(rig.memory.stats().responses).toBe(0);
    await finish(rig, (await send(rig)).answer(200, ...explicit), '{}');
    expect(rig.memory.stats().responses).toBe(1);
  });
});

describe('a purge beside a POST whose answer would be stored', () => {
  const scopes = ['all', 'r:forecast', 'u:/forecast', 'k:forecast|/forecast', 'p:/fore', 't:route:forecast'];

  it.each(scopes)('by %s while it is upstream keeps its answer out', async (scope) => {
    const rig = rigOf();
    const sent = await send(rig);
    await rig.purge(scope);
    await finish(rig, sent.answer(200, ...explicit));
    expect(rig.memory.stats().responses).toBe(0);
    expect(rig.storage).toEqual(['purged']);
  });

  it.each(scopes)('by %s while the content comes keeps it out', async (scope) => {
    const rig = rigOf();
    const followUp = (await send(rig)).answer(200, ...explicit);
    await followUp.ready;
    await rig.purge(scope);
    await finish(rig, followUp);
    expect(rig.memory.stats().responses).toBe(0);
  });

  it('of a group that the answer turns out to belong to keeps it out', async () => {
    const rig = rigOf();
    const sent = await send(rig);
    await rig.purge('t:group:http://weather.test:scenic');
    await finish(rig, sent.answer(200, ...explicit, 'Cache-Groups: "scenic"'));
    expect(rig.memory.stats().responses).toBe(0);
  });

  it('of another URL that a rule of upstream’s makes one with it keeps it out', async () => {
    const learning = [...explicit.slice(0, 1), 'Content-Location: /forecast?a=1', 'No-Vary-Search: params'];
    for (const [scope, stored] of [
      ['u:/forecast?a=2', 0],
      ['k:forecast|/forecast?a=2', 0],
      ['u:/other?a=2', 1],
    ] as const) {
      const rig = rigOf({}, { noVarySearch: true });
      const sent = await send(rig, { query: 'a=1' });
      await rig.purge(scope);
      await finish(rig, sent.answer(200, ...learning));
      expect(Math.min(1, rig.memory.stats().responses)).toBe(stored);
    }
  });

  it('of something else leaves it in', async () => {
    const rig = rigOf();
    const sent = await send(rig);
    await rig.purge('u:/other');
    const followUp = sent.answer(200, ...explicit);
    await followUp.ready;
    await rig.purge('u:/forecast?x');
    await finish(rig, followUp);
    expect(await rig.get()).toMatchObject({ text: 'posted', outcome: 'hit' });
  });

  it('that comes between its own and the answer to that keeps it out: nobody could tell them apart', async () => {
    const rig = rigOf();
    const sent = await send(rig);
    const append = rig.log.append.bind(rig.log);
    rig.log.append = async (request) => {
      await rig.purge('u:/forecast');
      return append(request);
    };
    await finish(rig, sent.answer(200, ...explicit));
    expect(rig.memory.stats().responses).toBe(0);
  });

  it('that the log refuses empties this process of the URL, by each key that it has', async () => {
    const rig = rigOf({}, { noVarySearch: true });
    const asked = rig.get('/forecast?a=1');
    await rig.settle();
    rig.call(0).answer(200, 'old', fieldsOf('Cache-Control: max-age=60', 'No-Vary-Search: params'));
    await asked;
    expect(await rig.get('/forecast?a=2')).toMatchObject({ text: 'old', outcome: 'hit' });
    rig.log.refusal = { status: 503, code: 'purge-unavailable', title: 'No', detail: 'Redis does not answer.' };
    await finish(rig, (await send(rig, { query: 'a=3' })).answer(204));
    const again = rig.get('/forecast?a=2');
    await rig.settle();
    rig.call(1).answer(200, 'new', fieldsOf('Cache-Control: max-age=60'));
    expect((await again).text).toBe('new');
  });

  it('that the log refuses keeps it out', async () => {
    const rig = rigOf();
    rig.log.refusal = { status: 503, code: 'purge-unavailable', title: 'No', detail: 'Redis does not answer.' };
    await finish(rig, (await send(rig)).answer(200, ...explicit));
    expect([rig.memory.stats().responses, rig.refusedInvalidations]).toEqual([0, ['forecast: purge-unavailable']]);
  });

  it('without a lease nothing is stored', async () => {
    const rig = rigOf();
    rig.log.leased = false;
    const sent = await send(rig);
    rig.log.leased = true;
    await finish(rig, sent.answer(200, ...explicit));
    expect(rig.memory.stats().responses).toBe(0);
  });
});

describe('a fetch that was under way when a POST came', () => {
  it('is not stored over the answer to the POST', async () => {
    const rig = rigOf();
    const early = rig.get();
    await rig.settle();
    const { ready, tap } = (await send(rig)).answer(200, ...explicit);
    await ready;
    tap?.chunk(Buffer.from('posted'));
    tap?.end(true);
    await rig.settle();
    expect(rig.memory.stats().responses).toBe(1);
    rig.call(0).answer(200, 'old', fieldsOf('Cache-Control: max-age=60'));
    expect((await early).text).toBe('old');
    expect(await rig.get()).toMatchObject({ text: 'posted', outcome: 'hit' });
  });
});
