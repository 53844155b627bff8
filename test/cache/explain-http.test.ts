import { METHODS } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createExplainer } from '../../src/cache/explain.ts';
import { explainedTopics, type ExplainedTopic } from '../../src/cache/explained-http.ts';
import { LearnedSearch } from '../../src/cache/learned-search.ts';
import type { Explanation, ExplainRequest } from '../../src/cache/operations.ts';
import { renderExplanation } from '../../src/cli/render-explanation.ts';
import { readGraphql } from '../../src/core/graphql-text.ts';
import type { RelayReason } from '../../src/core/classify-request.ts';
import type { FreshnessSource } from '../../src/core/freshness.ts';
import type {
  failureReasons,
  headReasons,
  reuseReasons,
  softTimeoutReasons,
  staleForbidderReasons,
} from '../../src/core/reasons.ts';
import type { CachePolicy, Route } from '../../src/core/route.ts';
import type { PassReason } from '../../src/core/storage-policy.ts';
import type { StoredResponse } from '../../src/core/stored-response.ts';
import { createAnswerReader } from '../../src/upstream/answer-reader.ts';
import { keyedOf, param, sha256, StoreSetUp } from '../support/operations.ts';
import { fieldsOf, freshnessWith, HOUR, honourRoute, MINUTE, routeOf, SECOND, T0 } from '../support/policy.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

/** Every field goes upstream, and every error is stored that says how long it is fresh. */
function honoured(policy: Partial<CachePolicy> = {}, rest: Partial<Route> = {}): Route {
  return honourRoute(
    { storeErrors: 'all', ...policy },
    { match: '/*', rawQuery: true, forwardHeaders: ['*'], noVarySearch: true, ...rest },
  );
}

function ruled(policy: Partial<CachePolicy> = {}, rest: Partial<Route> = {}): Route {
  return routeOf(policy, { match: '/*', ...rest });
}

type Put = Partial<StoredResponse> & { readonly url?: string };

interface Row {
  readonly route?: Route;
  /** What is stored under `/a`; nothing where it is absent. */
  readonly put?: Put;
  /** Milliseconds after it was stored. */
  readonly later?: number;
  readonly request?: Partial<ExplainRequest>;
  readonly response?: ExplainRequest['response'];
  /** What the explanation has to say. */
  readonly says: string;
}

class Ground implements Disposable {
  readonly at: StoreSetUp;
  readonly explainer: ReturnType<typeof createExplainer>;
  readonly search: LearnedSearch;

  constructor(route: Route) {
    this.at = new StoreSetUp([route]);
    const { table, store, clock } = this.at;
    this.search = new LearnedSearch({ limit: () => {} }, clock);
    const upstreams = new Map([['weather', upstreamConfig('https://weather.test')]]);
    this.explainer = createExplainer({
      table,
      store,
      clock,
      sha256,
      methods: new Set(METHODS),
      graphql: readGraphql,
      search: this.search,
      upstreams,
      answers: createAnswerReader(upstreams),
      listeners: () => [{ name: 'default', host: '127.0.0.1', port: 8080 }],
    });
  }

  async explain(request: Partial<ExplainRequest>): Promise<Explanation> {
    const answer = await this.explainer.explain({ url: '/a', ...request });
    if (!answer.ok) throw new Error(answer.error.detail);
    return answer.value;
  }

  [Symbol.dispose](): void {
    this.at[Symbol.dispose]();
  }
}

function groundOf({ route = honoured(), put, later = 0 }: Omit<Row, 'says'>): Ground {
  const ground = new Ground(route);
  onTestFinished(() => ground[Symbol.dispose]());
  if (put !== undefined) ground.at.put('/a', put);
  ground.at.clock.advance(later);
  return ground;
}

function explain({ request, response, ...row }: Omit<Row, 'says'>): Promise<Explanation> {
  return groundOf(row).explain({ ...request, ...(response === undefined ? {} : { response }) });
}

function notesOf({ notes }: Pick<Explanation, 'notes'>, topic: ExplainedTopic): readonly string[] {
  return notes.filter((note) => note.topic === topic).map((note) => note.text);
}

/** `name: value` lines as the call takes them. */
function headers(...lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(fieldsOf(...lines));
}

function answered(status: number, ...lines: readonly string[]): NonNullable<ExplainRequest['response']> {
  return { status, headers: headers(...lines) };
}

const fresh = 'cache-control: max-age=60';
const lastWeek = 'last-modified: Mon, 16 Nov 2026 12:00:00 GMT';
const query = { methods: ['POST'], as: 'json', maxBytes: 100 } as const;

describe('an answer of upstream’s that is not stored says why', () => {
  const rows: Readonly<Record<PassReason, Row>> = {
    method: { request: { method: 'HEAD' }, response: answered(200, fresh), says: 'RFC 9111 §4.3.5' },
    status: { route: ruled(), response: answered(404, fresh), says: 'RFC 9111 §3' },
    partial: {
      request: { headers: { range: 'bytes=0-1' } },
      response: answered(206, fresh, 'content-range: bytes 0-1/5'),
      says: 'RFC 9111 §3.3',
    },
    'vary-star': { response: answered(200, fresh, 'vary: a, *'), says: 'RFC 9111 §4.1' },
    authorization: {
      request: { headers: { authorization: 'Bearer a' } },
      response: answered(200, fresh),
      says: 'RFC 9111 §3.5',
    },
    // Relayed, so that it is never asked whether it may be stored.
    cookie: { request: { headers: { cookie: 'a=1' } }, response: answered(200, fresh), says: 'RFC 9111 §7.3' },
    'request-no-store': {
      request: { headers: { 'cache-control': 'no-store' } },
      response: answered(200, fresh),
      says: 'RFC 9111 §5.2.1.5',
    },
    'no-store': { response: answered(200, 'cache-control: no-store'), says: 'RFC 9111 §5.2.2.5' },
    private: { response: answered(200, 'cache-control: private, max-age=9'), says: 'RFC 9111 §5.2.2.7' },
    'not-understood': {
      response: answered(299, 'cache-control: max-age=9, must-understand'),
      says: 'RFC 9111 §5.2.2.3',
    },
    'no-freshness': { response: answered(200), says: 'RFC 9111 §3' },
    'no-cache': { response: answered(200, 'cache-control: no-cache, max-age=9'), says: 'RFC 9111 §5.2.2.4' },
    'stale-on-arrival': { response: answered(200, 'cache-control: max-age=0'), says: 'RFC 9111 §4.2' },
    'request-error': {
      route: honoured({ storeErrors: 'resource' }),
      response: answered(400, fresh),
      says: 'storeErrors: resource; RFC 9111 §7.1',
    },
    'not-explicit': {
      route: honoured({}, { content: query, noVarySearch: false }),
      request: { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' },
      response: answered(200, 'etag: "1"'),
      says: 'RFC 9110 §9.3.3',
    },
  };

  test.each(Object.entries(rows))('%s', async (token, row) => {
    const { answer } = await explain(row);
    expect(answer).toMatchObject({ stored: false, key: null, tags: [], invalidates: [] });
    expect(answer?.reason).toContain(row.says);
    expect(answer?.token).toBe(token === 'cookie' ? null : token);
    expect(answer?.sent?.cacheStatus).toContain(token === 'cookie' ? 'fwd=bypass' : `detail=${token}`);
  });
});

describe('a request that is not looked up says why', () => {
  const rows: Readonly<Record<RelayReason, Row>> = {
    'cache-off': { route: ruled({}, { cache: 'off' }), says: 'the route is not cached' },
    method: { request: { method: 'PATCH' }, says: 'RFC 9110 §9.2.3' },
    upgrade: { request: { headers: { upgrade: 'websocket', connection: 'upgrade' } }, says: 'RFC 9110 §7.8' },
    authorization: { route: ruled(), request: { headers: { authorization: 'Bearer a' } }, says: 'RFC 9111 §3.5' },
    cookie: { route: ruled(), request: { headers: { cookie: 'a=1' } }, says: 'RFC 9111 §7.3' },
    'method-override': { request: { headers: { 'x-http-method': 'DELETE' } }, says: 'RFC 9111 §7.1' },
    precondition: { request: { headers: { 'if-match': '"1"' } }, says: 'RFC 9111 §4.3.2' },
    'post-if-none-match': {
      route: honoured({}, { content: query, noVarySearch: false }),
      request: {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'if-none-match': '*' },
        body: '{}',
      },
      says: 'If-None-Match of a POST asks that nothing be there yet, which is no query (RFC 9110 §13.1.2)',
    },
    'content-type': {
      route: ruled({}, { content: query }),
      request: { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'a' },
      says: 'RFC 10008 §2.7',
    },
    'content-coding': {
      route: ruled({}, { content: query }),
      request: { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: 'a' },
      says: 'RFC 10008 §2.7',
    },
    'content-length': {
      route: ruled({}, { content: { ...query, maxBytes: 1 } }),
      request: { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' },
      says: 'content.maxBytes',
    },
    'content-invalid': {
      route: ruled({}, { content: query }),
      request: { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1,"a":1}' },
      says: 'it names a member of an object twice',
    },
    'graphql-url': {
      route: ruled({}, { content: { ...query, as: 'graphql' } }),
      request: { method: 'POST', url: '/weather?query=mutation{a}', headers: { 'content-type': 'application/json' } },
      says: 'RFC 9110 §9.2.1',
    },
    content: {
      route: ruled({}, { content: { ...query, as: 'graphql' } }),
      request: { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"query":"mutation{a}"}' },
      says: 'RFC 9110 §9.2.1',
    },
  };

  test.each(Object.entries(rows))('%s', async (_reason, row) => {
    const { decision, sent } = await explain(row);
    expect(decision.would).toBe('relayed');
    expect(decision.reason).toContain(row.says);
    expect(sent).toEqual({ status: null, cacheStatus: `forecache; fwd=${decision.fwd ?? ''}` });
  });
});

describe('a method that the proxy does not serve is refused, as on the wire', () => {
  test.each([
    ['TRACE', 405, 'method-not-allowed', 'TRACE is not relayed.'],
    ['CONNECT', 405, 'method-not-allowed', 'CONNECT is not relayed.'],
    ['BREW', 400, 'request-malformed', 'BREW is no method that is known here'],
    ['get', 400, 'request-malformed', 'get is no method that is known here'],
  ])('%s: %i', async (method, status, code, says) => {
    for (const url of ['/a', '//other.test/a']) {
      const { decision, problem, sent, answer } = await explain({
        request: { url, method },
        response: answered(200, fresh),
      });
      expect(decision).toMatchObject({ would: 'rejected', fwd: null, reason: expect.stringContaining(says) });
      expect(problem).toMatchObject({ status, code });
      expect(sent).toEqual({ status, cacheStatus: `forecache; detail=${code}` });
      expect(answer).toBeNull();
    }
  });

  test('and no other is', async () => {
    for (const method of METHODS.filter((one) => one !== 'TRACE' && one !== 'CONNECT')) {
      expect((await explain({ request: { method } })).problem).toBeNull();
    }
  });
});

describe('a lifetime says whose it is, in seconds and with its section', () => {
  const nextHour = { kind: 'every', everyMs: HOUR, offsetMs: 0, jitterMs: 0 } as const;
  const rows: Readonly<Record<FreshnessSource, Row & { readonly seconds: number }>> = {
    'rule ttl': { route: ruled(), response: answered(200), seconds: 3600, says: 'RFC 9111 §4.2.2' },
    'rule statusTtl': {
      route: ruled({ statusTtlMs: new Map([[404, MINUTE]]) }),
      response: answered(404),
      seconds: 60,
      says: 'RFC 9111 §4.2.2',
    },
    cap: {
      route: ruled({ upstreamCacheControl: 'cap' }),
      response: answered(200, 'cache-control: max-age=9000'),
      seconds: 3600,
      says: 'RFC 9111 §4.2.1',
    },
    expireAt: {
      route: ruled({ ttlMs: 3 * HOUR, expireAt: nextHour }),
      later: 15 * MINUTE,
      response: answered(200),
      seconds: 2700,
      says: 'RFC 9111 §4.2',
    },
    'cdn-cache-control': {
      response: answered(200, 'cdn-cache-control: max-age=30', 'cache-control: no-store'),
      seconds: 30,
      says: 'RFC 9213 §2.2',
    },
    's-maxage': {
      response: answered(200, 'cache-control: s-maxage=20, max-age=9'),
      seconds: 20,
      says: 'RFC 9111 §4.2.1, §5.2.2.10',
    },
    'max-age': { response: answered(200, fresh, 'age: 10'), seconds: 60, says: 'RFC 9111 §4.2.1, §5.2.2.1' },
    expires: {
      response: answered(200, 'expires: Mon, 23 Nov 2026 12:00:40 GMT'),
      seconds: 40,
      says: 'RFC 9111 §4.2.1, §5.3',
    },
    heuristic: {
      route: honoured({ heuristicFraction: 0.1, heuristicMaxMs: 24 * HOUR }),
      response: answered(200, lastWeek),
      seconds: 60_480,
      says: '(RFC 9111 §4.2.2): heuristicFraction 0.1 of that time, heuristicMax 86400 s at most',
    },
    none: { response: answered(200, 'etag: "1"'), seconds: 0, says: 'RFC 9111 §4.2, §4.3' },
  };

  test.each(Object.entries(rows))('%s', async (source, row) => {
    const { answer } = await explain(row);
    expect(answer).toMatchObject({ stored: true, token: null, key: 'forecast|/a' });
    expect(answer?.reason).toContain('RFC 9111 §3');
    const [lifetime = ''] = notesOf({ notes: answer?.notes ?? [] }, 'lifetime');
    expect(lifetime.startsWith(`${row.seconds} s, by ${source}: `)).toBe(true);
    expect(lifetime).toContain(row.says);
  });

  test('one that retain cuts says so, and the age on arrival is counted', async () => {
    const { answer } = await explain({
      route: honoured({ retainMs: MINUTE }),
      response: answered(200, 'cache-control: max-age=900', 'age: 30'),
    });
    const notes = { notes: answer?.notes ?? [] };
    expect(notesOf(notes, 'lifetime')[0]).toMatch(/^90 s, cut to what retain allows, by max-age/);
    expect(notesOf(notes, 'age')[0]).toMatch(/^30 s: 30 s on arrival \(.*RFC 9111 §4\.2\.3, §5\.1\)/);
  });

  test('one that ends with retain is not cut by it', async () => {
    const { answer } = await explain({ route: ruled({ retainMs: HOUR }), response: answered(200) });
    expect(notesOf({ notes: answer?.notes ?? [] }, 'lifetime')[0]).toMatch(/^3600 s, by rule ttl: /);
    const short = await explain({ route: ruled({ retainMs: HOUR - SECOND }), response: answered(200) });
    expect(notesOf({ notes: short.answer?.notes ?? [] }, 'lifetime')[0]).toMatch(
      /^3599 s, cut to what retain allows, /,
    );
  });
});

const stale = { freshUntilMs: T0 + MINUTE, swrUntilMs: T0 + MINUTE, sieUntilMs: T0 + MINUTE, source: 'max-age' };

/** A stored response that is fresh for a minute. */
function minute(more: Partial<StoredResponse['freshness']> = {}, rest: Put = {}): Put {
  return { freshness: freshnessWith({ ...stale, ...more }), ...rest };
}

const directive = (text: string) => ({ headers: { 'cache-control': text } });

describe('what is done with what is stored says why', () => {
  const rows: Readonly<Record<keyof typeof reuseReasons, Row>> = {
    fresh: { put: minute(), says: 'RFC 9111 §4.2' },
    stale: { put: minute(), later: 2 * MINUTE, says: 'RFC 9111 §4.2' },
    forbidden: { put: minute({ mustRevalidate: true }), later: 2 * MINUTE, says: 'RFC 9111 §4.2.4' },
    // The store drops what is past retention, so that it is not even found.
    'past-retention': { put: minute({ retainUntilMs: T0 + 2 * MINUTE }), later: 2 * MINUTE, says: 'nothing stored' },
    'request-no-cache': { put: minute(), request: directive('no-cache'), says: 'RFC 9111 §5.2.1.4' },
    'no-cache': { put: minute({ alwaysValidate: true }), says: 'RFC 9111 §5.2.2.4' },
    'max-age': { put: minute(), later: 9 * SECOND, request: directive('max-age=5'), says: 'RFC 9111 §5.2.1.1' },
    'min-fresh': { put: minute(), request: directive('min-fresh=90'), says: 'RFC 9111 §5.2.1.3' },
    'stale-while-revalidate': {
      put: minute({ swrUntilMs: T0 + 3 * MINUTE }),
      later: 2 * MINUTE,
      says: 'RFC 5861 §3',
    },
    'max-stale': { put: minute(), later: 2 * MINUTE, request: directive('max-stale'), says: 'RFC 9111 §5.2.1.2' },
    'vary-miss': { says: 'RFC 9111 §4.1' },
    'uri-miss': { says: 'nothing stored under this key' },
    'only-if-cached': { request: directive('only-if-cached'), says: 'RFC 9111 §5.2.1.7' },
  };

  test.each(Object.entries(rows))('%s', async (token, row) => {
    const ground = groundOf(row);
    if (token === 'vary-miss') await putVariants(ground);
    const { decision, sent } = await ground.explain(row.request ?? {});
    expect(decision.reason).toContain(row.says);
    const isHit = decision.would === 'hit' || decision.would === 'stale';
    expect(sent?.cacheStatus).toContain(isHit ? 'forecache; hit; ttl=' : decision.fwd === null ? 'detail=' : 'fwd=');
    expect(sent?.status ?? null).toBe(isHit ? 200 : decision.would === 'error' ? 504 : null);
  });
});

describe('how upstream is asked for what is stale', () => {
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
  test.each<[string, Omit<Row, 'says'>, string, string]>([
    ['GET is validated', {}, 'revalidated', 'stale (RFC 9111 §4.2); upstream is asked with the stored validators'],
    [
      'HEAD goes upstream as it is',
      { request: { method: 'HEAD' } },
      'miss',
      'stale (RFC 9111 §4.2); upstream is asked by HEAD, without the stored validators (RFC 9111 §4.3.5)',
    ],
    [
      'HEAD is validated by a GET where the rule decides',
      { route: ruled(), request: { method: 'HEAD' } },
      'revalidated',
      'stale (RFC 9111 §4.2); upstream is asked with the stored validators',
    ],
    [
      'POST is fetched whole',
      { route: ruled({}, { content: query }), request: post },
      'miss',
      'stale (RFC 9111 §4.2); upstream is asked for the whole, since If-None-Match means something else for POST (RFC 9110 §13.1.2)',
    ],
  ])('%s', async (_how, row, would, reason) => {
    const ground = groundOf(row);
    const { key } = await ground.explain(row.request ?? {});
    ground.at.put('/a', { ...minute({}, { etag: '"1"' }), ...(key === null ? {} : { key }) });
    ground.at.clock.advance(2 * MINUTE);
    const { decision, sent } = await ground.explain(row.request ?? {});
    expect(decision).toEqual({ would, fwd: 'stale', reason });
    expect(sent?.cacheStatus).toBe('forecache; fwd=stale');
  });
});

/** A variant of `/a` in German, put there as a fetch would. */
async function putVariants({ at }: Ground): Promise<void> {
  const { key, url, tags } = at.put('/a');
  const position = at.purgeLog.position();
  const german = { key: `${key} accept-language=de`, fields: fieldsOf('content-language: de') };
  at.put('/a', german);
  at.store.put({
    kind: 'vary',
    key,
    route: 'forecast',
    upstream: 'weather',
    url,
    tags,
    position,
    names: ['accept-language'],
    languages: [['de', 'de']],
    retainUntilMs: T0 + HOUR,
  });
}

describe('what a client gets when upstream fails says why', () => {
  const tooLate = { put: minute(), later: 2 * MINUTE };
  const sie = { put: minute({ sieUntilMs: T0 + 5 * MINUTE }), later: 2 * MINUTE };
  const unreachable = 'if upstream cannot be reached: ';
  const error = 'if upstream answers 5xx or 429: ';
  const rows: Readonly<Record<Exclude<keyof typeof failureReasons, 'no-failure'>, Row>> = {
    'stale-if-error': { ...sie, says: `${error}what is stored, stale: within stale-if-error (RFC 5861 §4)` },
    'request-stale-if-error': {
      ...tooLate,
      request: directive('stale-if-error=600'),
      says: `${error}what is stored, stale: within the request's stale-if-error (RFC 5861 §4)`,
    },
    disconnected: {
      ...tooLate,
      says: `${unreachable}what is stored, stale: disconnected from upstream (RFC 9111 §4.2.4)`,
    },
    nothing: { says: `${unreachable}502: nothing stored` },
    forbidden: { ...tooLate, says: `${error}passed on: the stored response may not be served stale (RFC 9111 §4.2.4)` },
    error: {
      put: minute({ sieUntilMs: T0 + 5 * MINUTE }, { status: 503 }),
      later: 2 * MINUTE,
      says: `${unreachable}502: the stored response is an error itself and stale, so no better than another (RFC 5861 §4)`,
    },
    'cut-off': {
      put: minute({ mustRevalidate: true }),
      later: 2 * MINUTE,
      says: `${unreachable}504: disconnected, and must-revalidate or its like forbids a stale answer, so 504 (RFC 9111 §5.2.2.2)`,
    },
  };

  test.each(Object.entries(rows))('%s', async (_token, row) => {
    expect(notesOf(await explain(row), 'failure')).toContain(row.says);
  });

  test('an error that is no better than what is stored is not stored, and says so', async () => {
    const { answer } = await explain({ ...sie, response: answered(503, fresh) });
    expect(answer).toMatchObject({
      stored: false,
      reason: 'what is stored is served in its place: within stale-if-error (RFC 5861 §4)',
      sent: { status: 200, cacheStatus: 'forecache; fwd=stale; fwd-status=503; ttl=-60; detail=stale-error' },
    });
  });

  test('nothing is said of failures where upstream is not asked', async () => {
    expect(notesOf(await explain({ put: minute() }), 'failure')).toEqual([]);
  });

  const soft = ruled({ softTimeoutMs: 500 });
  const within = minute({ sieUntilMs: T0 + 5 * MINUTE });
  const softRows: Readonly<Record<Exclude<keyof typeof softTimeoutReasons, 'no-rule'>, Row>> = {
    served: { route: soft, put: within, later: 2 * MINUTE, says: 'RFC 5861 §3, §4' },
    forbidden: { route: soft, put: minute({ mustRevalidate: true }), later: 2 * MINUTE, says: 'RFC 9111 §4.2.4' },
    'too-old': { route: soft, put: minute(), later: 2 * MINUTE, says: 'RFC 5861 §3, §4' },
    error: {
      route: soft,
      put: minute({ sieUntilMs: T0 + 5 * MINUTE }, { status: 503 }),
      later: 2 * MINUTE,
      says: 'no better than waiting',
    },
    request: {
      route: ruled({ softTimeoutMs: 500, clientCacheControl: 'honour' }),
      put: within,
      later: 2 * MINUTE,
      request: directive('no-cache'),
      says: 'RFC 9111 §5.2.1',
    },
  };

  test.each(Object.entries(softRows))('after softTimeout: %s', async (token, row) => {
    const [note = ''] = notesOf(await explain(row), 'softTimeout');
    expect(note).toContain('after 500 ms, ');
    expect(note).toContain(token === 'served' ? 'it is served stale' : 'the client waits on');
    expect(note).toContain(row.says);
  });

  test('without a softTimeout nothing is said of it', async () => {
    expect(notesOf(await explain({ route: ruled(), put: within, later: 2 * MINUTE }), 'softTimeout')).toEqual([]);
  });
});

describe('the answer to a HEAD or a 304 says what it makes of what is stored', () => {
  const put = minute({}, { etag: '"1"', fields: fieldsOf('etag: "1"', fresh) });
  const rows: Readonly<Record<keyof typeof headReasons, Row & { readonly stored: boolean }>> = {
    updated: { response: answered(200, 'etag: "1"', fresh), stored: true, says: 'RFC 9111 §4.3.5' },
    differs: { response: answered(200, 'etag: "2"', fresh), stored: false, says: 'RFC 9111 §4.3.5' },
    varies: { response: answered(200, 'etag: "1"', fresh, 'vary: accept'), stored: false, says: '§4.1, §4.3.5' },
    ignored: { response: answered(404), stored: false, says: 'only a 200 to HEAD' },
    confirmed: {
      response: answered(304, 'etag: "1"', fresh),
      request: { method: 'HEAD', headers: { 'if-none-match': '"1"' } },
      stored: true,
      says: 'RFC 9111 §4.3.4',
    },
  };

  test.each(Object.entries(rows))('HEAD: %s', async (token, { stored, says, ...row }) => {
    const { answer } = await explain({ put, later: 2 * MINUTE, request: { method: 'HEAD' }, ...row });
    expect(answer).toMatchObject({ stored, invalidates: stored || token === 'ignored' ? [] : ['k:forecast|/a'] });
    expect(answer?.reason).toContain(says);
  });

  test('a 304 confirms it, and it lives on', async () => {
    const { answer, decision } = await explain({ put, later: 2 * MINUTE, response: answered(304, 'etag: "1"', fresh) });
    expect(decision.would).toBe('revalidated');
    expect(answer).toMatchObject({
      stored: true,
      reason: expect.stringContaining('RFC 9111 §4.3.4') as unknown,
      sent: { status: 200, cacheStatus: 'forecache; fwd=stale; fwd-status=304; stored' },
    });
  });

  test('a 304 that confirms it and takes the right to keep it away says why', async () => {
    const response = answered(304, 'etag: "1"', 'cache-control: private');
    const { answer } = await explain({ put, later: 2 * MINUTE, response });
    expect(answer).toMatchObject({ stored: false, token: 'private', invalidates: ['k:forecast|/a'] });
    expect(answer?.reason).toContain('RFC 9111 §5.2.2.7');
    const request = { headers: { authorization: 'Bearer a' } };
    const own = await explain({ put, later: 2 * MINUTE, request, response: answered(304, 'etag: "1"', fresh) });
    expect(own.answer).toMatchObject({ stored: false, token: 'authorization', invalidates: [] });
  });

  test('a 304 of another response drops it, and upstream is asked once more', async () => {
    const { answer } = await explain({ put, later: 2 * MINUTE, response: answered(304, 'etag: "2"') });
    expect(answer).toMatchObject({
      stored: false,
      sent: null,
      invalidates: ['k:forecast|/a'],
      reason: expect.stringContaining('RFC 9111 §4.3.4') as unknown,
    });
  });

  test('a 304 that nobody has asked for is no answer', async () => {
    const { answer } = await explain({ response: answered(304) });
    expect(answer).toMatchObject({ stored: false, token: 'upstream-malformed', sent: { status: 502 } });
    expect(answer?.reason).toContain('RFC 9110 §15.3.7, §15.4.5');
  });
});

describe('what is stored says', () => {
  const forbidders: Readonly<Record<keyof typeof staleForbidderReasons, string>> = {
    'no-cache': 'RFC 9111 §5.2.2.4',
    'must-revalidate': 'RFC 9111 §5.2.2.2',
    'proxy-revalidate': 'RFC 9111 §5.2.2.8',
    's-maxage': 'RFC 9111 §5.2.2.10',
  };

  test.each(Object.entries(forbidders))('which directive forbids to serve it stale: %s', async (name, section) => {
    const value = name === 's-maxage' ? 's-maxage=60' : `max-age=60, ${name}`;
    const { answer } = await explain({ response: answered(200, `cache-control: ${value}`, 'etag: "1"') });
    expect(notesOf({ notes: answer?.notes ?? [] }, 'stale')[0]).toMatch(/^never served /);
    expect(notesOf({ notes: answer?.notes ?? [] }, 'stale')[0]).toContain(section);
  });

  test('its stale windows, also after a soft purge', async () => {
    const ground = groundOf({ put: minute({ swrUntilMs: T0 + 2 * MINUTE, sieUntilMs: T0 + 6 * MINUTE }) });
    const windows =
      'served stale for 60 s while it is refreshed behind the answer (stale-while-revalidate, RFC 5861 §3), for 300 s after a failure of upstream (stale-if-error, RFC 5861 §4)';
    expect(notesOf(await ground.explain({}), 'stale')[0]).toContain(windows);
    ground.at.clock.advance(10 * SECOND);
    await ground.at.purgeLog.append({ scopes: ['all'], soft: true });
    ground.at.clock.advance(10 * SECOND);
    expect(notesOf(await ground.explain({}), 'stale')[0]).toContain(windows);
  });

  test('that a stale error stands for no other failure', async () => {
    const ground = groundOf({ put: minute({ swrUntilMs: T0 + 2 * MINUTE, sieUntilMs: T0 + HOUR }, { status: 503 }) });
    const [note = ''] = notesOf(await ground.explain({}), 'stale');
    expect(note).toContain('served stale for 60 s while it is refreshed');
    expect(note).not.toContain('after a failure');
    expect(note).not.toContain('cannot be reached');
  });

  test('how a must-understand outweighs a no-store', async () => {
    const { answer } = await explain({
      response: answered(200, 'cache-control: max-age=9, no-store, must-understand'),
    });
    expect(notesOf({ notes: answer?.notes ?? [] }, 'storage')[1]).toContain('RFC 9111 §5.2.2.3');
  });

  test.each<[string, readonly string[], string]>([
    [
      'max-age=abc',
      ['cache-control: max-age=abc'],
      'max-age=abc is no delta-seconds, so that it counts as stale (RFC 9111 §1.2.2, §4.2.1)',
    ],
    [
      's-maxage without a number',
      ['cache-control: s-maxage, max-age=9'],
      's-maxage is no delta-seconds, so that it counts as stale (RFC 9111 §1.2.2, §4.2.1)',
    ],
    ['Expires: 0', ['expires: 0'], 'Expires is no single HTTP-date, so that it is past already (RFC 9111 §5.3)'],
    [
      'an empty CDN-Cache-Control',
      ['cdn-cache-control:', fresh],
      'CDN-Cache-Control does not count: it is empty, no Dictionary, or its lifetime is no Integer of 0 or more (RFC 9213 §2.1, §2.2)',
    ],
    [
      'a CDN-Cache-Control with a lifetime in quotes',
      ['cdn-cache-control: max-age="60"', 'cache-control: no-store'],
      'CDN-Cache-Control does not count: it is empty, no Dictionary, or its lifetime is no Integer of 0 or more (RFC 9213 §2.1, §2.2)',
    ],
  ])('why a lifetime does not count: %s', async (_what, lines, says) => {
    const { answer } = await explain({ response: answered(200, 'etag: "1"', ...lines) });
    expect(notesOf({ notes: answer?.notes ?? [] }, 'lifetime').slice(1)).toEqual([says]);
    const byRule = await explain({ route: ruled(), response: answered(200, 'etag: "1"', ...lines) });
    expect(notesOf({ notes: byRule.answer?.notes ?? [] }, 'lifetime')).toHaveLength(1);
  });

  test('nothing of the kind where its lifetime can be read', async () => {
    for (const line of [fresh, 'cdn-cache-control: max-age=9', 'expires: Mon, 23 Nov 2026 12:00:40 GMT']) {
      const { answer } = await explain({ response: answered(200, line) });
      expect(notesOf({ notes: answer?.notes ?? [] }, 'lifetime')).toHaveLength(1);
    }
  });

  test.each([
    ['public', 'max-age=60, public', 'public'],
    ['must-revalidate and s-maxage', 's-maxage=60, must-revalidate', 'must-revalidate, s-maxage'],
  ])('by which right it is for all although one caller asked: %s', async (_what, value, named) => {
    const request = { headers: { authorization: 'Bearer a' } };
    const response = answered(200, `cache-control: ${value}`);
    const { answer } = await explain({ request, response });
    expect(notesOf({ notes: answer?.notes ?? [] }, 'storage')).toContain(
      `the request had Authorization; the answer may be stored for all, since it says ${named} (RFC 9111 §3.5)`,
    );
    const others = [
      await explain({ response }),
      await explain({ route: honoured({}, { headers: ['authorization'] }), request, response }),
    ];
    for (const other of others) expect(JSON.stringify(other.answer?.notes)).not.toContain('§3.5');
  });

  test('what is left out of it as one caller’s', async () => {
    const response = answered(200, fresh, 'set-cookie: a=1', 'x-ratelimit-remaining: 5', 'x-a: 1');
    const left = async (route: Route) =>
      notesOf({ notes: (await explain({ route, response })).answer?.notes ?? [] }, 'storage').slice(1);
    const fields = 'left out of it, as one caller’s: set-cookie, x-ratelimit-remaining';
    expect(await left(honoured({ storeFields: 'safe' }))).toEqual([`${fields} (storeFields: safe; RFC 9111 §7.3)`]);
    expect(await left(ruled())).toEqual([`${fields} (RFC 9111 §7.3)`]);
    expect(await left(honoured({ storeFields: 'all' }))).toEqual([]);
  });

  const gzip = 'content-encoding: gzip';
  const plain = { 'accept-encoding': 'identity' };
  const off = 'Content-Encoding gzip is taken off, if it is one that the proxy knows: ';
  const on = 'Content-Encoding gzip stays on: ';
  test.each<[Record<string, string>, string, string]>([
    [plain, fresh, `${off}the client's Accept-Encoding rules it out (RFC 9110 §12.5.3)`],
    [{}, fresh, `${on}the client takes it: what Accept-Encoding does not rule out is accepted (RFC 9110 §12.5.3)`],
    [plain, `${fresh}, no-transform`, `${on}the answer says no-transform (RFC 9111 §5.2.2.6, RFC 9110 §7.7)`],
    [{ ...plain, 'cache-control': 'no-transform' }, fresh, `${on}the request says no-transform (RFC 9111 §5.2.1.6)`],
  ])('what becomes of its coding for a request with %j', async (fields, line, says) => {
    const request = { headers: fields };
    const put = minute({}, { fields: fieldsOf(gzip, line) });
    expect(notesOf(await explain({ put, request }), 'coding')).toEqual([says]);
    const { answer } = await explain({ request, response: answered(200, gzip, line) });
    expect(notesOf({ notes: answer?.notes ?? [] }, 'coding')).toEqual([says]);
  });

  test('of its coding what the mode makes of it, and nothing where there is none or nothing is sent', async () => {
    const codingOf = async (row: Omit<Row, 'says'>) =>
      notesOf({ notes: (await explain(row)).answer?.notes ?? [] }, 'coding');
    expect(await codingOf({ route: ruled(), response: answered(200, gzip) })).toEqual([
      'Content-Encoding gzip is taken off when it comes: the route stores content without its coding, the same for all (RFC 9110 §8.4)',
    ]);
    expect(await codingOf({ response: answered(200, gzip, 'cache-control: private') })).toEqual([
      `${on}what is not stored is passed on as it comes`,
    ]);
    expect(await codingOf({ response: answered(200, fresh) })).toEqual([]);
    expect(await codingOf({ request: { method: 'HEAD' }, response: answered(200, gzip) })).toEqual([]);
    const put = minute({}, { etag: '"1"', fields: fieldsOf(gzip, fresh) });
    expect(notesOf(await explain({ put, request: { headers: { 'if-none-match': '"1"' } } }), 'coding')).toEqual([]);
  });

  test('the tags that upstream has given it, apart from those of the route', async () => {
    const route = honoured({}, { tags: ['own'], tagsFrom: ['surrogate-key'] });
    const response = answered(200, fresh, 'cache-groups: "g"', 'surrogate-key: one two');
    const { answer } = await explain({ route, response });
    expect(answer?.tags).toEqual([
      'route:forecast',
      'upstream:weather',
      'own',
      'group:https://weather.test:g',
      'one',
      'two',
    ]);
    const [groups, fields] = notesOf({ notes: answer?.notes ?? [] }, 'tags');
    expect(groups).toMatch(/: group:https:\/\/weather\.test:g \(Cache-Groups, RFC 9875 §2\)$/);
    expect(fields).toMatch(/tagsFrom names: one, two$/);
  });

  test('which variant is selected, and where its language is the reason', async () => {
    const ground = groundOf({});
    await putVariants(ground);
    const of = (language: string) => ground.explain({ headers: { 'accept-language': language } });
    expect(notesOf(await of('DE'), 'vary')).toEqual([
      expect.stringMatching(/selects accept-language=de \(RFC 9111 §4\.1\)$/),
    ]);
    const chosen = await of('de, fr;q=0.5');
    expect(chosen.decision.would).toBe('hit');
    expect(notesOf(chosen, 'vary')[1]).toContain('Content-Language: de; RFC 9110 §12.5.4');
    const { answer } = await ground.explain({
      headers: { 'accept-language': 'es' },
      response: answered(200, fresh, 'vary: accept-language'),
    });
    expect(answer?.key).toBe('forecast|/a accept-language=es');
    expect(notesOf({ notes: answer?.notes ?? [] }, 'vary')[0]).toContain('told apart by accept-language=es');
  });

  test('when the data changes next, by whose clock, and what the jitter of the key adds', async () => {
    const daily = { kind: 'daily', atMinutes: 0, zone: '{tz}', fallbackZone: 'UTC', jitterMs: 30_000 } as const;
    const route = ruled(
      { expireAt: daily },
      { match: '/a', params: new Map([param('tz', { type: 'text', fold: false })]) },
    );
    const ground = groundOf({ route });
    const [note = ''] = notesOf(await ground.explain({ url: '/a?tz=America/Lima' }), 'expireAt');
    expect(note).toMatch(/^the data changes next at 2026-11-24T05:00:00\.000Z, by the clock of America\/Lima;/);
    expect(Number(/jitter of (?<s>[0-9]+) s/.exec(note)?.groups?.['s'])).toBeLessThanOrEqual(30);
    expect(notesOf(await ground.explain({}), 'expireAt')[0]).toContain(
      '2026-11-24T00:00:00.000Z, by the clock of UTC, which is fallbackZone: the request names no zone;',
    );
    expect(notesOf(await ground.explain({ url: '/a?tz=auto' }), 'expireAt')[0]).toContain(
      'T00:00:00.000Z, by the clock of UTC, which is fallbackZone: what the request names is no time zone;',
    );
    expect(notesOf(await ground.explain({ url: '/a?tz=America/Lima,America/Lima' }), 'expireAt')[0]).toContain(
      'T05:00:00.000Z, by the clock of America/Lima;',
    );
  });

  test('that without a zone the data is taken to change at the next quarter of an hour', async () => {
    const daily = { kind: 'daily', atMinutes: 0, zone: '{tz}', fallbackZone: undefined, jitterMs: 0 } as const;
    const params = new Map([param('tz', { type: 'text', fold: false })]);
    const ground = groundOf({ route: ruled({ expireAt: daily }, { match: '/a', params }) });
    const [note] = notesOf(await ground.explain({ url: '/a?tz=auto' }), 'expireAt');
    expect(note).toMatch(
      /^the data changes next at 2026-11-23T12:15:00\.000Z, the next quarter of an hour at which it can be that time at the place: what the request names is no time zone, and fallbackZone is not set;/,
    );
  });
});

describe('the request says which of its own demands count', () => {
  test.each([
    ['max-age=5', 'counts (RFC 9111 §5.2.1.1)'],
    ['max-stale', 'counts (RFC 9111 §5.2.1.2)'],
    ['min-fresh=5', 'counts (RFC 9111 §5.2.1.3)'],
    ['no-cache', 'counts (RFC 9111 §5.2.1.4)'],
    ['no-store', 'counts (RFC 9111 §5.2.1.5)'],
    ['only-if-cached', 'counts (RFC 9111 §5.2.1.7)'],
    ['stale-if-error=5', 'counts (RFC 5861 §4)'],
    ['max-age=abc', 'does not count: it is no delta-seconds (RFC 9111 §1.2.2)'],
    ['no-transform', 'counts (RFC 9111 §5.2.1.6)'],
    ['nothing-to-see-here', 'is not known here and ignored (RFC 9111 §5.2.3)'],
  ])('%s', async (given, says) => {
    expect(notesOf(await explain({ request: directive(given) }), 'client')).toEqual([`${given} ${says}`]);
  });

  test('no-transform on a route whose store holds no codings says why it does not count', async () => {
    for (const clientCacheControl of ['ignore', 'honour'] as const) {
      const request = directive('no-transform');
      expect(notesOf(await explain({ route: ruled({ clientCacheControl }), request }), 'client')).toEqual([
        'no-transform does not count: the route stores content without its coding, the same for all (RFC 9111 §5.2.1.6)',
      ]);
    }
  });

  test('a route that ignores them says so, and Pragma counts nowhere', async () => {
    const request = { headers: { 'cache-control': 'no-cache', pragma: 'no-cache' } };
    expect(notesOf(await explain({ route: ruled(), request }), 'client')).toEqual([
      'no-cache does not count: the route ignores it (clientCacheControl; RFC 9111 §5.2.1.4)',
      'Pragma counts nowhere (RFC 9111 §5.4)',
    ]);
  });

  const put = minute({}, { etag: '"1"', lastModified: 'Mon, 16 Nov 2026 12:00:00 GMT' });
  test.each<[Omit<Row, 'says'>, Record<string, string>, number | null, string]>([
    [{ put }, { 'if-none-match': '"1"' }, 304, 'answered 304 from store (RFC 9110 §13.1.2'],
    [{ put }, { 'if-none-match': '"2"' }, 200, 'answered in full from store (RFC 9110 §13.1.2'],
    [
      { put },
      { 'if-modified-since': 'Mon, 16 Nov 2026 12:00:00 GMT' },
      304,
      'answered 304 from store (RFC 9110 §13.1.3',
    ],
    [{}, { 'if-none-match': '"1"' }, null, 'goes upstream as it is'],
    [{ route: ruled() }, { 'if-none-match': '"1"' }, null, 'is not sent upstream'],
    [{ put }, { range: 'bytes=0-1' }, 206, '206 (RFC 9110 §14.2, §15.3.7)'],
    [{ put }, { range: 'bytes=99-' }, 416, '416 (RFC 9110 §14.2, §15.5.17)'],
    [{ put }, { range: 'lines=1-2' }, 200, 'Range is ignored'],
    [{ put }, { range: 'bytes=0-1', 'if-none-match': '*' }, 304, 'RFC 9110 §13.2.2'],
    [{}, { range: 'bytes=0-1' }, null, 'RFC 9111 §3.3'],
    [{ route: ruled() }, { range: 'bytes=0-1' }, null, 'the whole is fetched'],
  ])('a condition or range says what becomes of it (%#)', async (row, fields, status, says) => {
    const explanation = await explain({ ...row, request: { headers: fields } });
    expect(explanation.sent?.status).toBe(status);
    expect(notesOf(explanation, 'range' in fields ? 'range' : 'condition')).toEqual([expect.stringContaining(says)]);
  });

  test('a range of an answer whose length nobody has said leaves its status open', async () => {
    const request = { headers: { range: 'bytes=0-1' } };
    const { answer } = await explain({ route: ruled(), request, response: answered(200) });
    expect(answer).toMatchObject({ stored: true, sent: { status: null } });
  });

  test.each<[string, Put | undefined, Route, string]>([
    ['from store', minute(), honoured(), 'RFC 9110 §9.3.2'],
    ['upstream', undefined, honoured(), 'RFC 9111 §4.3.5'],
    ['by a GET', undefined, ruled(), 'from what a GET fetches (RFC 9110 §9.3.2)'],
  ])('HEAD is answered %s', async (_how, stored, route, says) => {
    const row = { route, request: { method: 'HEAD' }, ...(stored === undefined ? {} : { put: stored }) };
    expect(notesOf(await explain(row), 'method')).toEqual([expect.stringContaining(says)]);
  });

  test.each<[string, Omit<Row, 'says'>, readonly RegExp[]]>([
    ['are passed on by the book', {}, [/ are passed on to .*RFC 9110 §15\.2/]],
    [
      'are passed on where the request is relayed',
      { route: ruled(), request: { method: 'DELETE' } },
      [/ are passed on/],
    ],
    ['are not where the request upstream is the proxy’s own', { route: ruled() }, [/ are not .*RFC 9110 §15\.2/]],
    ['are not spoken of where upstream is not asked', { put: minute() }, []],
  ])('interim responses %s', async (_how, row, says) => {
    const notes = notesOf(await explain(row), 'interim');
    expect(notes).toEqual(says.map((text) => expect.stringMatching(text)));
  });

  test.each([
    ['QUERY', 'RFC 10008 §2.7'],
    ['POST', 'RFC 9110 §9.3.3'],
  ])('%s with content that is keyed says by what right', async (method, says) => {
    const route = ruled({}, { content: { ...query, methods: ['QUERY', 'POST'] } });
    const request = { method, headers: { 'content-type': 'application/json' }, body: '{}' };
    expect(notesOf(await explain({ route, request }), 'method')).toEqual([expect.stringContaining(says)]);
  });
});

describe('an unsafe method says what its answer makes invalid', () => {
  const request = { method: 'DELETE', url: '/a?b=1' };

  test('its URL, where upstream is in charge', async () => {
    const [note = ''] = notesOf(await explain({ request }), 'invalidation');
    expect(note).toMatch(/ u:\/a\?b=1 \(RFC 9111 §4\.4\)$/);
  });

  test.each<[string, Route, string]>([
    ['not by a rule that ignores upstream', ruled(), 'ignores the caching fields'],
    ['only groups where upstream may shorten', ruled({ upstreamCacheControl: 'cap' }), 'RFC 9875 §3'],
    ['nothing where nothing is cached', honoured({}, { cache: 'off' }), 'the route is not cached'],
  ])('%s', async (_what, route, says) => {
    expect(notesOf(await explain({ route, request }), 'invalidation')).toEqual([expect.stringContaining(says)]);
  });

  test('what a supposed answer names in Location and Cache-Group-Invalidation goes too; an error takes nothing', async () => {
    const gone = await explain({
      request,
      response: answered(201, 'location: /new', 'cache-group-invalidation: "g"'),
    });
    expect(gone.answer?.invalidates).toEqual(['t:group:https://weather.test:g', 'u:/a?b=1', 'u:/new']);
    const error = await explain({ request, response: answered(500) });
    expect(error.answer).toMatchObject({ stored: false, invalidates: [] });
    expect(notesOf({ notes: error.answer?.notes ?? [] }, 'invalidation')[0]).toContain('RFC 9111 §4.4');
  });

  test('the answer to a POST is stored for GETs where it says that it may be', async () => {
    const post = { method: 'POST' };
    const kept = await explain({ request: post, response: answered(200, fresh, 'content-location: /a') });
    expect(kept.answer).toMatchObject({ stored: true, key: 'forecast|/a' });
    expect(kept.answer?.reason).toContain('RFC 9110 §9.3.3');
    const elsewhere = await explain({ request: post, response: answered(200, fresh, 'content-location: /b') });
    expect(elsewhere.answer).toMatchObject({ stored: false });
    expect(elsewhere.answer?.reason).toContain('RFC 9110 §9.3.3');
  });
});

describe('a supposed answer', () => {
  test('changes nothing: nothing is stored, purged, learnt or used', async () => {
    const ground = groundOf({ put: minute({}, { etag: '"1"' }) });
    const before = await ground.explain({ url: '/b?x=1' });
    for (const method of ['GET', 'HEAD', 'DELETE', 'POST']) {
      const response = answered(200, fresh, 'no-vary-search: params=("x")', 'content-location: /b?x=1');
      await ground.explain({ url: '/b?x=1', method, response });
      await ground.explain({ url: '/a', method, response });
    }
    expect(await ground.explain({ url: '/b?x=1' })).toEqual(before);
    expect((await ground.explain({})).stored).toMatchObject({ valid: true, hits: 0 });
    expect(ground.at.purgeLog.position().seq).toBe(0);
    expect(ground.at.store.stats().responses).toBe(1);
    expect(ground.search.size).toBe(0);
  });

  test('to a request that is answered from store is explained as that of a fetch', async () => {
    const { decision, answer, sent } = await explain({
      put: minute(),
      response: answered(200, 'cache-control: private'),
    });
    expect(decision.would).toBe('hit');
    expect(sent).toEqual({ status: 200, cacheStatus: 'forecache; hit; ttl=60; detail=memory' });
    expect(answer).toMatchObject({ stored: false, token: 'private' });
    expect(answer?.notes[0]?.text).toContain('is answered from store');
  });

  test('to a request that never asks upstream is not explained', async () => {
    const { answer } = await explain({ request: directive('only-if-cached'), response: answered(200, fresh) });
    expect(answer).toMatchObject({
      stored: false,
      token: null,
      reason: 'upstream would not be asked',
      sent: { status: 504 },
    });
  });

  test('may teach what counts of the queries of its path', async () => {
    const response = answered(200, fresh, 'no-vary-search: params=("x")');
    const { answer } = await explain({
      route: honoured({}, { tagsFrom: ['surrogate-key'] }),
      request: { url: '/a?x=1&y=2' },
      response,
    });
    expect(notesOf({ notes: answer?.notes ?? [] }, 'tags')).toEqual([
      'search:/a, search:forecast|/a mark what is keyed by what upstream says of the queries of its path: a purge of any URL or key of it takes that along (No-Vary-Search, draft-ietf-httpbis-no-vary-search)',
    ]);
    expect(answer?.key).toMatch(/^forecast\|\/a\?y=2\|\?[0-9a-f]{16}$/);
    expect(answer?.tags).toEqual(expect.arrayContaining(['search:/a', 'search:forecast|/a']));
    expect(notesOf({ notes: answer?.notes ?? [] }, 'query')).toEqual([
      'it says of later queries of this path: x without a meaning, the order of parameters with one (No-Vary-Search, draft-ietf-httpbis-no-vary-search)',
    ]);
  });

  test('is keyed by what was learnt of its path before', async () => {
    const ground = groundOf({});
    const keyed = keyedOf(ground.at.table, '/a?x=1');
    ground.search.learn(keyed, {
      status: 200,
      fields: fieldsOf('no-vary-search: params=("x")'),
      requestTimeMs: T0 - 1,
    });
    const explanation = await ground.explain({ url: '/a?x=1&y=2' });
    expect(explanation.key).toMatch(/^forecast\|\/a\?y=2\|\?/);
    expect(notesOf(explanation, 'query')).toEqual([
      'upstream has said of the queries of this path: x without a meaning, the order of parameters with one (No-Vary-Search, draft-ietf-httpbis-no-vary-search)',
    ]);
    const { answer } = await ground.explain({ url: '/a?x=1&y=2', response: answered(200, fresh) });
    expect([answer?.key, ground.search.size]).toEqual(['forecast|/a?x=1&y=2', 1]);
  });

  test('has Vary without a meaning where every field that goes upstream is keyed', async () => {
    const { answer } = await explain({ route: ruled(), response: answered(200, 'vary: accept') });
    expect(answer?.key).toBe('forecast|/a');
    expect(notesOf({ notes: answer?.notes ?? [] }, 'vary')).toEqual([
      'Vary does not count, unlike in RFC 9111 §4.1: on a ruled route no field goes upstream but those that the key holds',
    ]);
  });

  test('that may be the fault of one request is told apart by all that went upstream, and says so', async () => {
    const route = honoured({ storeErrors: 'resource' }, { forwardHeaders: ['accept', 'x-a'] });
    const request = { headers: { 'x-a': '1' } };
    const varied = async (...lines: readonly string[]) =>
      notesOf(
        { notes: (await explain({ route, request, response: answered(400, fresh, ...lines) })).answer?.notes ?? [] },
        'vary',
      );
    const [plain = ''] = await varied();
    expect(plain).toMatch(
      /^a variant, told apart by accept\|x-a=#[0-9a-f]+ \(.*every field that went upstream.*storeErrors: resource; RFC 9111 §7\.1\)$/,
    );
    expect(plain).not.toContain('§4.1');
    expect((await varied('vary: x-b'))[0]).toContain('and those of Vary (RFC 9111 §4.1)');
  });

  test.each([
    ['no final status', { status: 103 }],
    ['no status of three digits', { status: 1000 }],
    ['no status', { status: 200.5 }],
    ['a field that no message can have', { status: 200, headers: { 'a b': 'c' } }],
  ])('with %s is refused', async (_what, response) => {
    const answer = await groundOf({}).explainer.explain({ url: '/a', response });
    expect(answer).toMatchObject({ ok: false, error: { status: 400, code: 'explain-invalid' } });
  });

  test('has any final status that can be stored, those of no class among them', async () => {
    for (const status of [600, 999]) {
      const { answer } = await explain({ response: answered(status, fresh) });
      expect(answer).toMatchObject({ stored: true, sent: { status } });
    }
  });

  test('is labelled behind the caches that are nearer to the origin (RFC 9211 §2)', async () => {
    const response = answered(200, fresh, 'cache-status: edge; hit');
    const ours = 'forecache; fwd=uri-miss; stored';
    expect((await explain({ response })).answer?.sent?.cacheStatus).toBe(`edge; hit, ${ours}`);
    expect((await explain({ route: ruled(), response })).answer?.sent?.cacheStatus).toBe(ours);
    const deleted = await explain({ request: { method: 'DELETE' }, response });
    expect(deleted.answer?.sent?.cacheStatus).toBe('edge; hit, forecache; fwd=method');
    const stored = await explain({ put: minute({}, { fields: fieldsOf(fresh, 'cache-status: edge; hit') }) });
    expect(stored.sent?.cacheStatus).toBe('edge; hit, forecache; hit; ttl=60; detail=memory');
  });

  test('is printed for people, with its notes', async () => {
    const { text } = renderExplanation(await explain({ response: answered(200, fresh, 'vary: accept') }));
    expect(text).toMatch(/^sends +upstream's status, Cache-Status: forecache; fwd=uri-miss$/m);
    expect(text).toMatch(/^such an answer of upstream's\nwould be +stored\nbecause +a final answer/m);
    expect(text).toMatch(/^lifetime +60 s, by max-age: /m);
    const passed = renderExplanation(await explain({ response: answered(200, 'cache-control: private') }));
    expect(passed.text).toMatch(/^would be +not stored \(private\)$/m);
    const head = renderExplanation(await explain({ route: ruled(), request: { method: 'HEAD' } }));
    expect(head.text).toMatch(/^upstream +weather: GET https:\/\/weather\.test\/a$/m);
  });
});

test('each topic of the documents is one that some explanation has', async () => {
  const ground = groundOf({ put: minute() });
  const noted = new Set<string>();
  const add = ({ notes, answer }: Explanation): void => {
    for (const { topic } of [...notes, ...(answer?.notes ?? [])]) noted.add(topic);
  };
  add(await ground.explain({ headers: { 'cache-control': 'max-age=1', 'if-none-match': '"1"', range: 'bytes=0-1' } }));
  add(await ground.explain({ method: 'HEAD' }));
  add(
    await ground.explain({
      url: '/a?b',
      response: answered(200, fresh, 'vary: accept', 'cache-groups: "g"', 'no-vary-search: params'),
    }),
  );
  add(await ground.explain({ method: 'DELETE' }));
  add(await ground.explain({ response: answered(200, fresh, 'content-encoding: gzip') }));
  const expireAt = { kind: 'every', everyMs: HOUR, offsetMs: 0, jitterMs: 0 } as const;
  add(await explain({ route: ruled({ softTimeoutMs: 1, expireAt }), put: minute(), later: 2 * MINUTE }));
  expect([...noted].toSorted()).toEqual([...explainedTopics].toSorted());
});
