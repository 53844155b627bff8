import { describe, expect, it } from 'vitest';

import { MAX_INVALIDATED_GROUPS } from '../../src/cache/invalidate.ts';
import { LearnedSearch, MAX_SEARCH_PATHS } from '../../src/cache/learned-search.ts';
import { MAX_NAMING_LINES } from '../../src/cache/named-places.ts';
import { MAX_STRUCTURED_FIELD } from '../../src/core/structured-field.ts';
import { MAX_UPSTREAM_TAG } from '../../src/core/upstream-tags.ts';
import {
  languagesWith,
  MAX_MARKER_LANGUAGES,
  MAX_SELECTING_CHARACTERS,
  MAX_SELECTING_FIELDS,
  variantKey,
  type VariantRules,
} from '../../src/core/vary.ts';
import { FakeClock } from '../support/clock.ts';
import { honourRoute } from '../support/policy.ts';
import { get, startStage } from '../support/hostile.ts';
import { limitHits } from '../support/metrics.ts';
import type { OriginScript } from '../support/origin.ts';
import { keyed, sha256, tableOf } from '../support/routes.ts';

/** Script: these fields, by the last segment of the target. */
function saying(fields: Readonly<Record<string, Readonly<Record<string, string>>>>): OriginScript {
  return (request, peer) => peer.respond(200, fields[request.target.split('/').at(-1) ?? ''] ?? {}, 'content');
}

function tags(count: number): string {
  return Array.from({ length: count }, (_, index) => `t${index}`).join(' ');
}

/** Script: an answer to POST names as many groups as the request says. */
const invalidating: OriginScript = (request, peer) => {
  const names = Array.from({ length: Number(request.field('count') ?? 0) }, (_, index) => `"g${index}"`);
  const fields = request.method === 'POST' ? { 'Cache-Group-Invalidation': names.join(', ') } : {};
  return peer.respond(200, { 'Cache-Control': 'max-age=600', ...fields }, 'content');
};

/** Script: an answer to POST has as many lines of Location as the request says, of which only the last names what is stored. */
const locating: OriginScript = (request, peer) => {
  const count = Number(request.field('count') ?? 0);
  const lines = Array.from({ length: count }, (_, index) => (index === count - 1 ? '/c/b' : `/c/none${index}`));
  const fields = request.method === 'POST' ? { Location: lines } : {};
  return peer.respond(200, { 'Cache-Control': 'max-age=600', ...fields }, 'content');
};

/** An answer that names so many fields in Vary, of so many characters. */
function varying(count: number, characters: number) {
  const names = Array.from({ length: count }, (_, index) => `f${index}`.padEnd(characters, '-'));
  return { 'Cache-Control': 'max-age=600', Vary: names.join() };
}

/** A CDN-Cache-Control of that many characters. */
function freshFor(length: number): string {
  const start = 'max-age=600, x="';
  return `${start}${'x'.repeat(length - start.length - 1)}"`;
}

describe('What upstream may say of an answer', () => {
  const tagged = '  - { name: c, match: /c/*, upstream: api, ttl: 10m, tagsFrom: surrogate-key, maxUpstreamTags: 3 }';

  it('an answer with exactly maxUpstreamTags tags is stored, one with one more is not', async () => {
    const script = saying({ exact: { 'Surrogate-Key': tags(3) }, more: { 'Surrogate-Key': tags(4) } });
    await using stage = await startStage({ routes: tagged, script });
    await stage.get('/c/exact');
    expect(await limitHits(stage.admin)).toEqual({});
    await stage.get('/c/more');
    expect(await limitHits(stage.admin)).toEqual({ 'routes.maxUpstreamTags': 1 });
    expect(await stage.stored()).toEqual(['c|/c/exact']);
    expect((await stage.call('POST', '/api/purge', { tag: 't2' })).body).toMatchObject({ matched: 1 });
    expect(await stage.stored()).toEqual([]);
  });

  it('an answer with a tag of exactly 256 characters is stored, one with a longer one is not', async () => {
    expect(MAX_UPSTREAM_TAG).toBe(256);
    const [exact, longer] = ['x'.repeat(256), 'x'.repeat(257)];
    const script = saying({ exact: { 'Surrogate-Key': exact }, longer: { 'Surrogate-Key': longer } });
    await using stage = await startStage({ routes: tagged, script });
    await stage.get('/c/exact');
    expect(await limitHits(stage.admin)).toEqual({});
    await stage.get('/c/longer');
    expect(await limitHits(stage.admin)).toEqual({ 'routes.maxUpstreamTags': 1 });
    expect(await stage.stored()).toEqual(['c|/c/exact']);
    expect((await stage.call('POST', '/api/purge', { tag: exact })).body).toMatchObject({ matched: 1 });
  });

  it('an answer purges exactly 256 groups by name, one with one more all that its origin has given', async () => {
    expect(MAX_INVALIDATED_GROUPS).toBe(256);
    const routes = '  - { name: c, match: /c/*, upstream: api, upstreamCacheControl: cap, ttl: 10m }';
    await using stage = await startStage({ routes, script: invalidating });
    const post = (count: number): Promise<unknown> =>
      stage.get('/c/a', { method: 'POST', headers: { count: String(count) } });
    await stage.get('/c/b');
    await post(256);
    expect(await stage.stored()).toEqual(['c|/c/b']);
    await post(257);
    expect(await stage.stored()).toEqual([]);
  });

  it('exactly 8 lines of one field purge what they name, a ninth purges nothing', async () => {
    expect(MAX_NAMING_LINES).toBe(8);
    const routes = '  - { name: c, match: /c/*, upstream: api, upstreamCacheControl: honour }';
    await using stage = await startStage({ routes, script: locating });
    const post = (count: number): Promise<unknown> =>
      stage.get('/c/a', { method: 'POST', headers: { count: String(count) } });
    await stage.get('/c/b');
    await post(9);
    expect(await stage.stored()).toEqual(['c|/c/b']);
    await post(8);
    expect(await stage.stored()).toEqual([]);
  });

  it('a structured field of exactly 16,384 characters is read, a longer one counts as none', async () => {
    expect(MAX_STRUCTURED_FIELD).toBe(16_384);
    const other = { 'Cache-Control': 'no-store' };
    await using stage = await startStage({
      routes: '  - { name: h, match: /h/*, upstream: api, upstreamCacheControl: honour }',
      upstream: 'maxHeaderBytes: 64KiB',
      script: saying({
        exact: { 'CDN-Cache-Control': freshFor(16_384), ...other },
        longer: { 'CDN-Cache-Control': freshFor(16_385), ...other },
      }),
    });
    const statuses: unknown[] = [];
    for (const target of ['/h/exact', '/h/longer']) {
      const { replies } = await stage.converse(get(target));
      statuses.push(replies[0]?.field('cache-status'));
    }
    expect(statuses).toEqual(['forecache; fwd=uri-miss; stored', 'forecache; fwd=uri-miss; detail=no-store']);
  });

  it('the variants of a URL are found by exactly 16 languages, one more makes it forget the first', () => {
    expect(MAX_MARKER_LANGUAGES).toBe(16);
    const names = ['accept-language'];
    const languageTags = Array.from({ length: 17 }, (_, index) => `x-${index}`);
    const knownAfter = (count: number): VariantRules['languages'] => {
      let known: VariantRules['languages'];
      for (const tag of languageTags.slice(0, count)) {
        const response = { status: 200, fields: [['content-language', tag]] } as const;
        known = languagesWith(known, names, response, [['accept-language', `${tag}, en;q=0.1`]]);
      }
      return known;
    };
    const key = (wanted: string, languages: VariantRules['languages']): string =>
      variantKey('h|/p', { names, languages }, [['accept-language', wanted]], sha256);
    const isFound = (tag: string, count: number): boolean =>
      key(tag, knownAfter(count)) === key(`${tag}, en;q=0.1`, undefined);
    expect(languageTags.slice(0, 16).every((tag) => isFound(tag, 16))).toBe(true);
    expect(languageTags.map((tag) => isFound(tag, 17))).toEqual([false, ...languageTags.slice(1).map(() => true)]);
  });

  it('an answer that varies by exactly 256 fields, of 256 characters, is stored, one with one more of either is not', async () => {
    expect([MAX_SELECTING_FIELDS, MAX_SELECTING_CHARACTERS]).toEqual([256, 256]);
    await using stage = await startStage({
      routes: '  - { name: h, match: /h/*, upstream: api, upstreamCacheControl: honour }',
      upstream: 'maxHeaderBytes: 128KiB',
      script: saying({ exact: varying(256, 256), more: varying(257, 5), longer: varying(1, 257) }),
    });
    const statuses: unknown[] = [];
    for (const target of ['/h/exact', '/h/more', '/h/longer']) {
      const { replies } = await stage.converse(get(target));
      statuses.push(replies[0]?.field('cache-status'));
    }
    const refused = 'forecache; fwd=uri-miss; detail=vary-star';
    expect(statuses).toEqual(['forecache; fwd=uri-miss; stored', refused, refused]);
  });

  it('what upstream says of queries is remembered of exactly 10,000 paths, one more makes it forget the one unused for longest', () => {
    expect(MAX_SEARCH_PATHS).toBe(10_000);
    const hits: string[] = [];
    const learned = new LearnedSearch({ limit: (option) => hits.push(option) }, new FakeClock());
    const table = tableOf(honourRoute({}, { match: '/*', rawQuery: true, noVarySearch: true }));
    const lesson = { status: 200, fields: [['no-vary-search', 'params']], requestTimeMs: 1 } as const;
    const asked = (path: number) => keyed(table, `/${path}?a=1`);
    for (let path = 0; path < 10_000; path += 1) learned.learn(asked(path), lesson);
    expect([learned.size, hits]).toEqual([10_000, []]);
    // Used again, so that it is not the one unused for longest.
    const ruled = (path: number): boolean => learned.peek(asked(path)).key !== asked(path).key;
    learned.keyed(asked(0));
    learned.learn(asked(10_000), lesson);
    expect([learned.size, hits]).toEqual([10_000, ['routes.noVarySearch']]);
    expect([0, 1, 2, 10_000].map(ruled)).toEqual([true, false, true, true]);
  });
});
