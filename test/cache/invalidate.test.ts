import { describe, expect, it, vi } from 'vitest';

import type { RelayedHead } from '../../src/cache/handled.ts';
import { invalidate, type InvalidateDeps, invalidationBy, MAX_INVALIDATED_GROUPS } from '../../src/cache/invalidate.ts';
import { refused } from '../../src/core/problem.ts';
import type { ProxyRequest } from '../../src/core/request.ts';
import { MAX_NAMING_LINES } from '../../src/cache/named-places.ts';
import { matchRoute } from '../../src/core/route-table.ts';
import type { Route } from '../../src/core/route.ts';
import { groupTag } from '../../src/core/upstream-tags.ts';
import { sha256, StoreSetUp } from '../support/operations.ts';
import { decimal, integer, ruleOf, rulesOf } from '../support/routes.ts';
import { fieldsOf, honourRoute, requestOf, routeOf } from '../support/policy.ts';

const raw = { rawQuery: true };
const routes: readonly Route[] = [
  honourRoute({}, { name: 'honoured', match: '/h/*', ...raw }),
  honourRoute({}, { name: 'sibling', match: '/sibling/*', ...raw }),
  honourRoute({}, { name: 'by-host', match: '/h/*', host: 'named.test', ...raw }),
  honourRoute({}, { name: 'searched', match: '/searched', noVarySearch: true, ...raw }),
  honourRoute({}, { name: 'other-upstream', match: '/other/*', upstream: 'events', ...raw }),
  honourRoute({}, { name: 'same-origin', match: '/twin/*', upstream: 'twin', ...raw }),
  honourRoute({}, { name: 'off', match: '/off/*', cache: 'off', ...raw }),
  routeOf({ upstreamCacheControl: 'cap' }, { name: 'capped', match: '/cap/*' }),
  routeOf({}, { name: 'ruled', match: '/ruled/*' }),
];
const origins = new Map([
  ['weather', { origin: 'http://weather.test', totalTimeoutMs: 1 }],
  ['twin', { origin: 'http://weather.test', totalTimeoutMs: 1 }],
  ['events', { origin: 'https://events.test:8443', totalTimeoutMs: 1 }],
]);

interface Case {
  readonly request?: Partial<ProxyRequest>;
  readonly status?: number;
  /** Lines of the answer. */
  readonly fields?: readonly string[];
  readonly at?: readonly Route[];
}

/** Scopes that the answer to a request on the proxy `proxy.test:8080` makes invalid. */
function scopesBy({ request = {}, status = 200, fields = [], at = routes }: Case): readonly string[] {
  using set = new StoreSetUp(at);
  const deps: InvalidateDeps = {
    table: set.table,
    store: set.store,
    purgeLog: set.purgeLog,
    upstreams: origins,
    sha256,
  };
  const { query, path = '/h/a', ...rest } = { query: 'x=1', ...request };
  const asked = requestOf({
    method: 'PUT',
    host: 'proxy.test',
    fields: fieldsOf('Host: proxy.test:8080'),
    ...rest,
    path,
    query,
  });
  const match = matchRoute(set.table, asked);
  if (match === undefined) throw new Error('no route');
  const head: RelayedHead = { status, fields: fieldsOf(...fields), requestTimeMs: 0, responseTimeMs: 0 };
  return invalidationBy(deps, { match, request: asked }, head)?.scopes ?? [];
}

const own = 'u:/h/a?x=1';

const ruledAt = { pathParams: rulesOf(ruleOf('at', decimal(2))) };
const numbered = honourRoute(
  {},
  {
    name: 'forwarding',
    match: '/pub/:n/:s',
    forward: '/int/{n}x{s}',
    ...raw,
    pathParams: rulesOf(ruleOf('n', integer)),
  },
);

const numberedLast = { ...numbered, match: '/pub/:s/:n', forward: '/int/{s}x{n}' };
const narrow = honourRoute(
  {},
  { name: 'forwarding', match: String.raw`/pub/:at(\d+\.\d\d)`, forward: '/int/{at}', ...raw, ...ruledAt },
);

/** A field that names so many groups. */
function naming(count: number, name: string): string {
  return `Cache-Group-Invalidation: ${Array.from({ length: count }, (_, index) => `"${name}${index}"`).join(', ')}`;
}

describe('an unsafe method that succeeds (RFC 9111 §4.4)', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'M-SEARCH', 'FOO'])('%s makes its URL invalid', (method) => {
    expect(scopesBy({ request: { method } })).toEqual([own]);
  });

  it.each(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY'])('%s is safe and makes nothing invalid', (method) => {
    expect(scopesBy({ request: { method }, fields: ['Location: /h/b', 'Cache-Group-Invalidation: "g"'] })).toEqual([]);
  });

  it.each([200, 201, 204, 299, 301, 303, 399])('with %i does', (status) => {
    expect(scopesBy({ status, fields: ['Location: /h/b'] })).toEqual([own, 'u:/h/b']);
  });

  it.each([101, 199, 400, 404, 499, 500, 503, 599])('with %i does not', (status) => {
    expect(scopesBy({ status, fields: ['Location: /h/b', 'Cache-Group-Invalidation: "g"'] })).toEqual([]);
  });

  it('on a ruled route, or one that caches nothing, makes nothing invalid', () => {
    for (const path of ['/ruled/a', '/cap/a', '/off/a']) {
      expect(scopesBy({ request: { path }, fields: ['Location: /h/b'] })).toEqual([]);
    }
  });
});

describe('a purge for an unsafe method that is refused', () => {
  const invalidation = { scopes: ['u:/h/a'], keys: ['h|/h/a'] };

  it.each([
    ['that may not hold is made up for here, and told of', {}, 1],
    ['that is in the log and holds later leaves what was fetched since', { holdsLater: true }, 0],
  ] as const)('%s', async (_what, more, times) => {
    using set = new StoreSetUp(routes);
    const { table, store, purgeLog } = set;
    vi.spyOn(purgeLog, 'append').mockResolvedValue(
      refused({ status: 503, code: 'c', title: 't', detail: 'd', ...more }),
    );
    const onInvalidationRefused = vi.fn<NonNullable<InvalidateDeps['onInvalidationRefused']>>();
    const calls = [vi.spyOn(store, 'drop'), vi.spyOn(store, 'invalidate'), onInvalidationRefused];
    const deps: InvalidateDeps = { table, store, purgeLog, upstreams: origins, sha256, onInvalidationRefused };
    expect(await invalidate(deps, 'h', invalidation)).toBe(false);
    for (const call of calls) expect(call).toHaveBeenCalledTimes(times);
  });
});

describe('what Location and Content-Location name', () => {
  it.each([
    ['Location: /h/b', '/h/b'],
    ['Content-Location: /h/b?y=2', '/h/b?y=2'],
    ['Location: b', '/h/b'],
    ['Location: ../sibling/b', '/sibling/b'],
    ['Location: ?y=2', '/h/a?y=2'],
    ['Location: /h/b#part', '/h/b'],
    ["Location: /h/b?q='|", "/h/b?q='|"],
    ['Location: http://weather.test/h/b', '/h/b'],
    ['Location: HTTP://Weather.test:80/h/b', '/h/b'],
    ['Location: http://proxy.test:8080/h/b', '/h/b'],
    ['Location: https://proxy.test:8080/h/b', '/h/b'],
    ['Location: //proxy.test:8080/h/b', '/h/b'],
    ['Location: //weather.test/h/b', '/h/b'],
    ['Location: //Weather.test:80/h/b', '/h/b'],
    ['Location: /twin/b', '/twin/b'],
  ])('%s goes too', (line, url) => {
    expect(scopesBy({ fields: [line] })).toEqual([own, `u:${url}`]);
  });

  it.each([
    ['another host', 'Location: http://evil.test/h/b'],
    ['another host without a scheme', 'Location: //evil.test/h/b'],
    ['another port', 'Location: http://weather.test:81/h/b'],
    ['another port without a scheme', 'Location: //weather.test:443/h/b'],
    ['another scheme of upstream', 'Location: https://weather.test/h/b'],
    ['the proxy without its port', 'Location: http://proxy.test/h/b'],
    ['a host that begins like upstream', 'Location: http://weather.test.evil.test/h/b'],
    ['a user that looks like upstream', 'Location: http://weather.test@evil.test/h/b'],
    ['another upstream by its host', 'Location: https://events.test:8443/other/b'],
    ['a path that another upstream answers for', 'Location: /other/b'],
    ['a route by rule', 'Location: /ruled/b'],
    ['a route that caches nothing', 'Location: /off/b'],
    ['no route', 'Location: /nowhere'],
    ['what is no target', 'Location: /h/b\\c'],
    ['a dot segment in disguise', 'Location: /h/%2e%2e/b'],
    ['another kind of thing', 'Location: urn:h:b'],
  ])('stays where it names %s', (_what, line) => {
    expect(scopesBy({ fields: [line] })).toEqual([own]);
  });

  it('go both, once each', () => {
    const fields = ['Location: /h/b', 'Content-Location: /h/c'];
    expect(scopesBy({ fields })).toEqual([own, 'u:/h/b', 'u:/h/c']);
    expect(scopesBy({ fields: ['Location: /h/b', 'Content-Location: /h/b'] })).toEqual([own, 'u:/h/b']);
    expect(scopesBy({ fields: ['Content-Location: ?x=1'] })).toEqual([own]);
  });

  it('go in the plain spelling too, which is the same URL (RFC 9110 §4.2.3), and so does the request’s own', () => {
    const fields = ['Location: /h/%62?%79=%2f'];
    expect(scopesBy({ fields })).toEqual([own, 'u:/h/%62?%79=%2f', 'u:/h/b?y=%2F']);
    expect(scopesBy({ request: { path: '/h/%61' } })).toEqual(['u:/h/%61?x=1', own]);
    expect(scopesBy({ request: { query: '%78=1' } })).toEqual(['u:/h/a?%78=1', own]);
  });

  it('each count where they come in several lines, of one field up to the eighth', () => {
    const fields = Array.from({ length: MAX_NAMING_LINES + 1 }, (_, index) => `Location: /h/l${index}`);
    const scopes = scopesBy({ fields: [...fields, 'Content-Location: /h/c', 'Content-Location: /h/d'] });
    const eight = Array.from({ length: MAX_NAMING_LINES }, (_, index) => `u:/h/l${index}`);
    expect(scopes).toEqual([own, ...eight, 'u:/h/c', 'u:/h/d']);
  });

  it('go by the scheme of upstream where they name none', () => {
    const request = { path: '/other/a' };
    const line = 'Location: //events.test:8443/other/b';
    expect(scopesBy({ request, fields: [line] })).toEqual(['u:/other/a?x=1', 'u:/other/b']);
  });

  it('are keyed through the route that governs them where the request came in', () => {
    const request = { host: 'named.test', fields: fieldsOf('Host: named.test') };
    const named = ['u://named.test/h/a?x=1', 'u://named.test/h/b'];
    expect(scopesBy({ request, fields: ['Location: /h/b'] })).toEqual(named);
    expect(scopesBy({ request, fields: ['Location: https://named.test/h/b'] })).toEqual(named);
  });

  it('need not name what is keyed by a rule for queries: each process knows that for itself', () => {
    expect(scopesBy({ request: { path: '/searched' } })).toEqual(['u:/searched?x=1']);
    expect(scopesBy({ fields: ['Location: /searched?y=1'] })).toEqual([own, 'u:/searched?y=1']);
  });
});

describe('what they name on a route with forward', () => {
  const forwarding = (match: string, forward: string, more: Partial<Route> = {}): Route =>
    honourRoute({}, { name: 'forwarding', match, forward, ...raw, ...more });
  const auto = honourRoute({}, { name: 'auto', match: '/*', ...raw });
  const pub = forwarding('/pub/:rest', '/int/{rest}');
  const request = { path: '/pub/a', query: 'x=1' };
  const ownPub = 'u:/pub/a?x=1';

  it.each([
    ['Location: /int/z?y=2', ['u:/pub/z?y=2']],
    ['Location: z', ['u:/pub/z']],
    ['Location: ?y=2', ['u:/pub/a?y=2']],
    ['Content-Location: //weather.test/int/z', ['u:/pub/z']],
    ['Location: http://weather.test/int/%7Az', ['u:/pub/%7Az', 'u:/pub/zz']],
    // Nothing on the proxy leads there, but the client reads it so.
    ['Location: /pub/z', ['u:/pub/z']],
    ['Location: http://proxy.test:8080/pub/z', ['u:/pub/z']],
    ['Location: http://proxy.test:8080/int/z', []],
    ['Location: /int/z/deep', []],
    ['Location: /elsewhere', []],
    ['Location: https://weather.test/int/z', []],
    ['Location: http://weather.test//int/z', []],
    ['Location: /int/%2e%2e/z', []],
  ])('%s is what leads there on the proxy', (line, urls) => {
    expect(scopesBy({ at: [pub], request, fields: [line] })).toEqual([ownPub, ...urls]);
  });

  it('is had through any honoured route of that upstream, on whatever host and listener', () => {
    const at = [
      pub,
      auto,
      honourRoute({}, { name: 'twin', match: '/t-:rest', forward: '/int/{rest}', upstream: 'twin', ...raw }),
      honourRoute({}, { name: 'named', match: '/n/:rest', forward: '/int/{rest}', host: 'named.test', ...raw }),
      honourRoute({}, { name: 'inner', match: '/i/:rest', forward: '/int/{rest}', listener: 'inner', ...raw }),
      honourRoute({}, { name: 'other', match: '/o/:rest', forward: '/int/{rest}', upstream: 'events', ...raw }),
      honourRoute({}, { name: 'off', match: '/f/:rest', forward: '/int/{rest}', cache: 'off', ...raw }),
      routeOf({}, { name: 'ruled', match: '/r/:rest', forward: '/int/{rest}' }),
    ];
    const scopes = scopesBy({ at, request, fields: ['Location: /int/z'] });
    const urls = ['u:/int/z', 'u:/pub/z', 'u:/t-z', 'u://named.test/n/z', 'u:/i/z'];
    expect(new Set(scopes)).toEqual(new Set([ownPub, ...urls]));
  });

  it('is nothing where the only group cannot be what is named', () => {
    const at = [forwarding('/pub/:at', '/int/{at}', ruledAt)];
    expect(scopesBy({ at, request: { path: '/pub/1' }, fields: ['Location: /int/jobs'] })).toEqual(['u:/pub/1?x=1']);
  });

  it('is not what a path leads to that another route governs', () => {
    const at = [pub, honourRoute({}, { name: 'special', match: '/pub/z', forward: '/special', ...raw })];
    expect(scopesBy({ at, request, fields: ['Location: /int/z'] })).toEqual([ownPub]);
    expect(scopesBy({ at, request, fields: ['Location: /special'] })).toEqual([ownPub, 'u:/pub/z']);
  });

  it.each([
    ['groups in another order', forwarding('/pub/:a/:b', '/{b}/{a}'), '/y/x', 'u:/pub/x/y'],
    ['a wildcard', forwarding('/pub/*', '/int/{0}'), '/int/x/y', 'u:/pub/x/y'],
    ['no group', forwarding('/pub/a', '/int'), '/int', 'u:/pub/a'],
    ['a rule for a group', forwarding('/pub/:at', '/int/{at}', ruledAt), '/int/1.50', 'u:/pub/1.5'],
    ['a group that does not go upstream', forwarding('/pub/:a/:b', '/int/{a}'), '/int/x', 'r:forwarding'],
    ['only groups that do not', forwarding('/pub/:a', '/int'), '/int', 'r:forwarding'],
    ['a group twice', forwarding('/pub/:a', '/int/{a}/{a}'), '/int/x/x', 'r:forwarding'],
    ['a group that may be missing', forwarding('/pub/:a?', '/int/{a}'), '/int/x', 'r:forwarding'],
    ['groups that repeat', forwarding('/pub/:a+', '/int/{a}'), '/int/x/y', 'r:forwarding'],
    ['values that run into each other, the first told by its rule', numbered, '/int/1x2xx', 'u:/pub/1/2xx'],
    ['values that run into each other, the last told by its rule', numberedLast, '/int/2xx1', 'r:forwarding'],
    ['a rule that makes what match does not take', narrow, '/int/1.5', 'r:forwarding'],
  ])('goes through %s, or all of the route does', (_what, route, location, scope) => {
    const at = [honourRoute({}, { name: 'posted', match: '/posted', forward: '/sent', ...raw }), route];
    const fields = [`Location: ${location}`];
    expect(scopesBy({ at, request: { path: '/posted' }, fields })).toEqual(
      expect.arrayContaining(['u:/posted?x=1', scope]),
    );
    expect(scopesBy({ at, request: { path: '/posted' }, fields: ['Location: /away'] })).toEqual(['u:/posted?x=1']);
  });
});

describe('Cache-Group-Invalidation (RFC 9875 §3)', () => {
  const [scenic, quiet] = ['scenic', 'quiet'].map((group) => `t:${groupTag('http://weather.test', group)}`);

  it('names groups of the same origin that go with the URL', () => {
    const fields = ['Cache-Group-Invalidation: "scenic", "quiet";p=1'];
    expect(new Set(scopesBy({ fields }))).toEqual(new Set([scenic, quiet, own]));
  });

  it('of more groups than are purged by name, or in a field too long to be read, takes all of their origin', () => {
    const request = { path: '/cap/a' };
    expect(scopesBy({ request, fields: [naming(MAX_INVALIDATED_GROUPS, 'g')] })).toHaveLength(MAX_INVALIDATED_GROUPS);
    const whole = ['t:upstream:weather', 't:upstream:twin'];
    expect(scopesBy({ request, fields: [naming(MAX_INVALIDATED_GROUPS + 1, 'g')] })).toEqual(whole);
    expect(scopesBy({ request, fields: [naming(100, 'x'.repeat(200))] })).toEqual(whole);
    const twice = [naming(MAX_INVALIDATED_GROUPS, 'g'), naming(MAX_INVALIDATED_GROUPS, 'g')];
    expect(scopesBy({ request, fields: twice })).toHaveLength(MAX_INVALIDATED_GROUPS);
  });

  it('counts on a route that caps, where the method makes nothing invalid', () => {
    expect(scopesBy({ request: { path: '/cap/a' }, fields: ['Cache-Group-Invalidation: "scenic"'] })).toEqual([scenic]);
  });

  it('counts for nothing on a route by rule, or where it is no list of strings', () => {
    expect(scopesBy({ request: { path: '/ruled/a' }, fields: ['Cache-Group-Invalidation: "scenic"'] })).toEqual([]);
    expect(scopesBy({ fields: ['Cache-Group-Invalidation: "scenic", 1'] })).toEqual([own]);
  });
});
