import { array, assert as assertProperty, constantFrom, property, string, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isOfRule,
  searchRule,
  type SearchRule,
  searchTags,
  searchThatCounts,
  withSearchScopes,
} from '../../src/core/no-vary-search.ts';
import { fieldsOf, honourRoute } from '../support/policy.ts';
import { keyed, tableOf } from '../support/routes.ts';

function ruleOf(value: string): SearchRule {
  const rule = searchRule(fieldsOf(`No-Vary-Search: ${value}`));
  if (rule === undefined) throw new Error(`no rule: ${value}`);
  return rule;
}

function counted(value: string, query: string | undefined): string | undefined {
  return searchThatCounts(ruleOf(value), query);
}

/** What the draft compares, by the parser of the platform. */
function model(rule: string, text: string): string {
  const pairs = [...new URLSearchParams(text)].filter(([name]) => {
    if (rule === 'params') return false;
    if (rule.includes('except')) return name === 'a' || name === 'a b';
    if (rule.includes('utm')) return name !== 'utm';
    return !rule.includes('params') || (name !== 'a' && name !== 'é');
  });
  if (rule.startsWith('key-order')) pairs.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  return JSON.stringify(pairs);
}

describe('No-Vary-Search', () => {
  it.each([
    '',
    'params=?0',
    'key-order=?0',
    'params=()',
    'unknown',
    'params=1',
    'params="a"',
    'params=(a)',
    'params=("a" 1)',
    'key-order=1, params=("a")',
    'except=("a")',
    'params=("a"), except=("b")',
    'params=?0, except=("b")',
    'params, except="b"',
    'params, except=(b)',
    'params=("a',
    '"a"',
  ])('is no rule where it says nothing, or is not valid: %s', (value) => {
    expect(searchRule(fieldsOf(`No-Vary-Search: ${value}`))).toBeUndefined();
  });

  it('is none where it is absent', () => {
    expect(searchRule(fieldsOf('Vary: a'))).toBeUndefined();
  });

  it.each([
    ['params=("b" "a"), key-order', 'key-order=?1, params=("a" "b" "a");x=1'],
    ['params=("a+b")', 'params=("a%20b")'],
    ['params, except=("x")', 'params=?1, except=("x"), unknown=1'],
    ['params', 'params, except=()'],
  ])('%s says the same as %s', (one, other) => {
    expect(ruleOf(one).text).toBe(ruleOf(other).text);
  });

  it('in several lines is one dictionary', () => {
    const rule = searchRule(fieldsOf('No-Vary-Search: params=("a")', 'No-Vary-Search: key-order'));
    expect(rule?.text).toBe(ruleOf('params=("a"), key-order').text);
  });
});

describe('what counts of a query', () => {
  it.each<[string, string | undefined, string | undefined]>([
    ['params=("utm")', 'a=1&utm=2', 'a=1'],
    ['params=("utm")', 'utm=3&a=1', 'a=1'],
    ['params=("utm")', 'utm', undefined],
    ['params=("utm")', undefined, undefined],
    ['params=("utm")', '', undefined],
    ['params=("utm")', 'b=2&a=1', 'b=2&a=1'],
    ['params=("utm")', '%75tm=1&UTM=2', 'UTM=2'],
    ['params=("a b")', 'a+b=1&a%20b=2&ab=3', 'ab=3'],
    ['params=("%C3%A9")', 'é=1'.replace('é', '%c3%a9'), undefined],
    ['params', 'a=1&b', undefined],
    ['params, except=("a")', 'x=1&a=2&y&a=3', 'a=2&a=3'],
    ['key-order', 'b=1&a=2&b=0&a=1', 'a=2&a=1&b=1&b=0'],
    ['key-order', 'a', 'a='],
    ['key-order, params=("b")', 'c=1&b=2&a=3', 'a=3&c=1'],
    ['params=("b")', 'a=%zz&b=1', 'a=%zz&b=1'],
    ['params=("%25FF")', '%FF=1&%25FF=2', '%FF=1'],
  ])('by %s of %j is %j', (rule, query, expected) => {
    expect(counted(rule, query)).toBe(expected);
  });

  const piece = tuple(
    constantFrom('a', 'b', 'utm', '%61', 'a+b', 'a%20b', '%C3%A9'),
    constantFrom('', '=', '=1', '=2', '=%31', '=x+y', '=x%20y'),
  ).map(([name, value]) => name + value);
  const query = array(piece, { maxLength: 5 }).map((pieces) => pieces.join('&'));
  const rules = [
    'params=("utm")',
    'params',
    'params, except=("a" "a+b")',
    'key-order',
    'key-order, params=("a" "%C3%A9")',
  ];

  it.each(rules)('by %s is the same for two queries exactly if a form parser finds the same that counts', (rule) => {
    assertProperty(
      property(query, query, (one, other) => {
        expect(counted(rule, one) === counted(rule, other)).toBe(model(rule, one) === model(rule, other));
      }),
      { seed: 77, numRuns: 2000 },
    );
  });

  it('counts as it is once more, and never throws', () => {
    assertProperty(
      property(string({ unit: 'grapheme-ascii' }), constantFrom(...rules), (text, rule) => {
        const once = counted(rule, text);
        expect(counted(rule, once)).toBe(once);
      }),
      { seed: 78, numRuns: 3000 },
    );
  });
});

describe('the tags of what is keyed by a rule', () => {
  const place = { url: '//host/p?a=1', keyPath: 'r|/p', room: 100 };

  it('are of its path, by its URL and by its key', () => {
    expect(searchTags(place)).toEqual(['search://host/p', 'search:r|/p']);
    expect(searchTags({ ...place, url: '//host/p' })).toEqual(searchTags(place));
  });

  it('are also what is left of a key that is cut within its path', () => {
    expect(searchTags({ ...place, keyPath: 'r|/path', room: 7 })).toEqual(['search://host/p', 'search:r|/path']);
    expect(searchTags({ ...place, keyPath: 'r|/path', room: 6 })).toEqual([
      'search://host/p',
      'search:r|/path',
      'search:r|/pat',
    ]);
  });

  it('tell what brings a rule from what does not', () => {
    expect(isOfRule({ url: '//host/p?b=2', tags: ['route:r', ...searchTags(place)] })).toBe(true);
    expect(isOfRule({ url: '//host/q?b=2', tags: searchTags(place) })).toBe(false);
    expect(isOfRule({ url: '//host/p', tags: ['route:r'] })).toBe(false);
  });
});

describe('the scopes of a purge where rules are in force', () => {
  it.each([
    ['u:/p?a=1', 't:search:/p'],
    ['u:/p', 't:search:/p'],
    ['u://host/p?a=1?b', 't:search://host/p'],
    ['p:/p?a=1', 't:search:/p'],
    ['p:/p?', 't:search:/p'],
    ['k:r|/p?a=1', 't:search:r|/p'],
    ['k:r|/p', 't:search:r|/p'],
    ['k:r|/p?a|?0123456789abcdef', 't:search:r|/p'],
    ['k:r|/p|accept=x', 't:search:r|/p'],
    ['k:r|/p accept=x', 't:search:r|/p'],
    ['k:r|/pa#0123', 't:search:r|/pa'],
  ])('are with %s what is keyed by a rule on that path', (scope, also) => {
    expect(withSearchScopes([scope])).toEqual([scope, also]);
  });

  it.each(['p:/p', 'r:h', 't:u:/p?a', 'all'])('are no more with %s', (scope) => {
    const scopes = [scope];
    expect(withSearchScopes(scopes)).toBe(scopes);
  });

  it('are each there once', () => {
    expect(withSearchScopes(['u:/p?a=1', 'u:/p?a=2', 't:search:/p'])).toEqual(['u:/p?a=1', 'u:/p?a=2', 't:search:/p']);
  });

  it('are among those of each tag that its request has, whatever the key looks like', () => {
    const path = constantFrom(
      '/p',
      '/p/x%20y',
      `/p/${'x'.repeat(380)}`,
      `/p/${'x'.repeat(440)}`,
      `/p/${'x'.repeat(700)}`,
    );
    const query = constantFrom('', '?', '?a=1', '?a|?b|c=%23', `?${'y'.repeat(300)}`, `?${'|'.repeat(600)}`);
    const table = tableOf(honourRoute({}, { name: 'h|o', match: '/p*', rawQuery: true, noVarySearch: true }));
    const rule = ruleOf('params=("utm")');
    assertProperty(
      property(path, query, query, (at, one, other) => {
        const asked = keyed(table, at + one);
        const tags =
          keyed(table, at + other)
            .search?.by(rule)
            .tags.map((tag) => `t:${tag}`) ?? [];
        for (const scope of [`k:${asked.key}`, `k:${asked.search?.by(rule).key}`, `u:${asked.url}`]) {
          expect(withSearchScopes([scope]).some((also) => tags.includes(also))).toBe(true);
        }
      }),
      { seed: 8, numRuns: 500 },
    );
  });
});
