import { array, assert as assertProperty, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Route } from '../../src/core/route.ts';
import { MAX_STRUCTURED_FIELD } from '../../src/core/structured-field.ts';
import {
  freshenedTags,
  groupTag,
  groupTags,
  MAX_UPSTREAM_TAG,
  upstreamTags,
  withoutTagFields,
} from '../../src/core/upstream-tags.ts';
import { fieldsOf, honourRoute, routeOf } from '../support/policy.ts';

const origin = 'https://api.test';

function tagsOf(route: Route, ...lines: readonly string[]): readonly string[] {
  return upstreamTags(route, fieldsOf(...lines), origin).tags;
}

describe('Cache-Groups (RFC 9875 §2)', () => {
  it.each<[string, readonly string[]]>([
    ['"a"', ['a']],
    ['"a", "B"', ['a', 'B']],
    ['"a";x=1;y, "b"', ['a', 'b']],
    ['"a b,c%"', ['a%20b%2Cc%25']],
    ['"\\"q\\""', ['"q"']],
    ['', []],
    ['a', []],
    ['"a", b', []],
    ['"a', []],
    ['("a" "b")', []],
  ])('%s are tags of the origin: %j', (value, groups) => {
    const expected = groups.map((group) => `group:${origin}:${group}`);
    expect(tagsOf(honourRoute(), `Cache-Groups: ${value}`)).toEqual(expected);
  });

  it('in several lines are one list', () => {
    expect(tagsOf(honourRoute(), 'Cache-Groups: "a"', 'Cache-Groups: "b"')).toEqual([
      groupTag(origin, 'a'),
      groupTag(origin, 'b'),
    ]);
  });

  it('count on cap routes too, and for nothing where upstream’s caching fields are ignored', () => {
    const cap = routeOf({ upstreamCacheControl: 'cap' });
    expect(tagsOf(cap, 'Cache-Groups: "a"')).toEqual([groupTag(origin, 'a')]);
    expect(tagsOf(routeOf(), 'Cache-Groups: "a"')).toEqual([]);
  });

  it('are 32 of 32 characters at least', () => {
    const groups = Array.from({ length: 32 }, (_, index) => String(index).padStart(32, 'g'));
    const line = `Cache-Groups: ${groups.map((group) => `"${group}"`).join(', ')}`;
    expect(upstreamTags(honourRoute(), fieldsOf(line), origin)).toEqual({
      tags: groups.map((group) => groupTag(origin, group)),
      cut: false,
    });
  });

  it('of different names never have one tag', () => {
    const text = string({ unit: 'grapheme-ascii' });
    assertProperty(
      property(text, text, (one, other) => {
        expect(groupTag(origin, one) === groupTag(origin, other)).toBe(one === other);
        expect(groupTag(origin, one)).toMatch(/^group:https:\/\/api\.test:[!-+\--~]*$/);
      }),
      { seed: 9875, numRuns: 2000 },
    );
  });

  it('of a field that is too long to be read are not known, unlike those of one that is none', () => {
    const longest = `"${'x'.repeat(MAX_UPSTREAM_TAG)}", `.repeat(70);
    expect(longest.length).toBeGreaterThan(MAX_STRUCTURED_FIELD);
    const cut = [longest.slice(0, -2), '"a", b', '"a"'].map(
      (value) => upstreamTags(honourRoute(), fieldsOf(`Cache-Groups: ${value}`), origin).cut,
    );
    expect(cut).toEqual([true, false, false]);
  });

  it('to invalidate are read alike (§3)', () => {
    const fields = fieldsOf('Cache-Group-Invalidation: "a", "b"');
    expect(groupTags(fields, 'cache-group-invalidation', origin).tags).toEqual([
      groupTag(origin, 'a'),
      groupTag(origin, 'b'),
    ]);
  });
});

describe('Surrogate-Key and Cache-Tag', () => {
  const both = routeOf({}, { tagsFrom: ['surrogate-key', 'cache-tag'] });

  it('are tags as they are where the route names them', () => {
    expect(tagsOf(both, 'Surrogate-Key: a  b\tc', 'Cache-Tag: d, E:1,,', 'Surrogate-Key: f')).toEqual([
      'a',
      'b',
      'c',
      'f',
      'd',
      'E:1',
    ]);
    expect(tagsOf(routeOf(), 'Surrogate-Key: a', 'Cache-Tag: b')).toEqual([]);
    expect(tagsOf(routeOf({}, { tagsFrom: ['cache-tag'] }), 'Surrogate-Key: a', 'Cache-Tag: b')).toEqual(['b']);
  });

  it.each([
    ['a,b', 'a%2Cb'],
    ['sp\u00c3\u00a4te', 'sp%C3%A4te'],
    ['sp\u00e4te', 'sp%E4te'],
    ['a\u0000b', 'a%00b'],
    ['\u007f', '%7F'],
    ['50%', '50%'],
  ])('are percent-encoded where they hold what no tag may hold: %j', (tag, encoded) => {
    expect(upstreamTags(both, fieldsOf(`Surrogate-Key: good ${tag}`), origin)).toEqual({
      tags: ['good', encoded],
      cut: false,
    });
  });

  it('may have a space within in Cache-Tag', () => {
    expect(upstreamTags(both, fieldsOf('Cache-Tag: a b, c'), origin)).toEqual({ tags: ['a%20b', 'c'], cut: false });
  });

  it(`are not read where they are longer than ${MAX_UPSTREAM_TAG} characters, which is said`, () => {
    const longest = 'x'.repeat(MAX_UPSTREAM_TAG);
    expect(upstreamTags(both, fieldsOf(`Surrogate-Key: ${longest}`), origin)).toEqual({ tags: [longest], cut: false });
    expect(upstreamTags(both, fieldsOf(`Surrogate-Key: ${longest}x`), origin)).toEqual({ tags: [], cut: true });
  });

  it('are not passed on', () => {
    const fields = fieldsOf('Surrogate-Key: a', 'Cache-Tag: b', 'Cache-Groups: "c"');
    expect(withoutTagFields(both, fields)).toEqual(fieldsOf('Cache-Groups: "c"'));
    expect(withoutTagFields(routeOf(), fields)).toBe(fields);
  });
});

describe('the tags of one answer', () => {
  it('are at most maxUpstreamTags, each counted once, the rest is left out', () => {
    const route = honourRoute({}, { tagsFrom: ['surrogate-key'], maxUpstreamTags: 3 });
    const three = fieldsOf('Cache-Groups: "a"', 'Surrogate-Key: x x y');
    expect(upstreamTags(route, three, origin)).toEqual({ tags: [groupTag(origin, 'a'), 'x', 'y'], cut: false });
    const four = fieldsOf('Cache-Groups: "a"', 'Surrogate-Key: x y z');
    expect(upstreamTags(route, four, origin)).toEqual({ tags: [groupTag(origin, 'a'), 'x', 'y'], cut: true });
  });

  it('can be made of whatever upstream sends', () => {
    const route = honourRoute({}, { tagsFrom: ['surrogate-key', 'cache-tag'], maxUpstreamTags: 5 });
    assertProperty(
      property(array(string(), { maxLength: 3 }), string(), string(), (groups, keys, tags) => {
        const fields = [
          ...groups.map((value) => ['cache-groups', value] as const),
          ['surrogate-key', keys] as const,
          ['cache-tag', tags] as const,
        ];
        const found = upstreamTags(route, fields, origin);
        expect(found.tags.length).toBeLessThanOrEqual(5);
        for (const tag of found.tags) expect(tag).toMatch(/^[!-+\--~]+$/);
      }),
      { seed: 5, numRuns: 2000 },
    );
  });
});

describe('the tags of a response that a 304 has freshened', () => {
  const route = honourRoute({}, { tagsFrom: ['surrogate-key', 'cache-tag'] });
  const freshened = (received: readonly string[], merged: readonly string[], stored = ['old']): readonly string[] =>
    freshenedTags(route, { stored, received: fieldsOf(...received), merged: fieldsOf(...merged) }, origin).tags;

  it('are those that were stored where the 304 says nothing of them', () => {
    expect(freshened([], [])).toEqual(['old']);
  });

  it('are those of the 304 where it has all fields', () => {
    expect(freshened(['Surrogate-Key: new', 'Cache-Tag: other'], [])).toEqual(['new', 'other']);
  });

  it('are both where it has some of the fields: of which the stored ones came is not known', () => {
    expect(freshened(['Surrogate-Key: new'], [])).toEqual(['new', 'old']);
  });

  it('are the groups of both together', () => {
    const gone = groupTag(origin, 'gone');
    expect(freshened([], ['Cache-Groups: "kept"'], ['old', gone])).toEqual([groupTag(origin, 'kept'), 'old']);
  });
});
