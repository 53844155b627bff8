import { describe, expect, it } from 'vitest';

import type { RelayedHead } from '../../src/cache/handled.ts';
import { type InvalidateDeps, invalidationBy, MAX_INVALIDATED_GROUPS } from '../../src/cache/invalidate.ts';
import type { ProxyRequest } from '../../src/core/request.ts';
import { matchRoute } from '../../src/core/route-table.ts';
import type { Route } from '../../src/core/route.ts';
import { groupTag } from '../../src/core/upstream-tags.ts';
import { sha256, StoreSetUp } from '../support/operations.ts';
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
}

/** Scopes that the answer to a request on the proxy `proxy.test:8080` makes invalid. */
function scopesBy({ request = {}, status = 200, fields = [] }: Case): readonly string[] {
  using set = new StoreSetUp(routes);
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
    ['Location: /twin/b', '/twin/b'],
  ])('%s goes too', (line, url) => {
    expect(scopesBy({ fields: [line] })).toEqual([own, `u:${url}`]);
  });

  it.each([
    ['another host', 'Location: http://evil.test/h/b'],
    ['another host without a scheme', 'Location: //evil.test/h/b'],
    ['another port', 'Location: http://weather.test:81/h/b'],
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
