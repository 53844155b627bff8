import { array, assert as assertProperty, constantFrom, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCutKey } from '../../src/core/key.ts';
import { searchRule, type SearchRule, searchThatCounts } from '../../src/core/no-vary-search.ts';
import type { KeyedRequest } from '../../src/core/request.ts';
import { baseKeyOf } from '../../src/core/vary.ts';
import { fieldsOf, honourRoute } from '../support/policy.ts';
import { keyed, tableOf } from '../support/routes.ts';

const route = honourRoute({}, { name: 'h', match: '/p/*', rawQuery: true, noVarySearch: true, secret: ['token'] });
const table = tableOf(route);

function ruleOf(value: string): SearchRule {
  const rule = searchRule(fieldsOf(`No-Vary-Search: ${value}`));
  if (rule === undefined) throw new Error(`no rule: ${value}`);
  return rule;
}

function under(value: string, target: string): KeyedRequest {
  const { search } = keyed(table, target);
  if (search === undefined) throw new Error('no search');
  return search.by(ruleOf(value));
}

function lengthened(by: number): KeyedRequest {
  return under('params=("b")', `/p/x?a=${'x'.repeat(by)}`);
}

describe('a request that is keyed by a rule for queries', () => {
  it('shares its key with what counts the same, and keeps its own URL and target', () => {
    const one = under('params=("utm")', '/p/x?a=1&utm=2');
    const other = under('params=("utm")', '/p/x?utm=3&a=%31');
    expect(one.key).toBe(other.key);
    expect(one).toMatchObject({ url: '/p/x?a=1&utm=2', canonical: { target: '/p/x?a=1&utm=2' } });
    expect(other).toMatchObject({ url: '/p/x?utm=3&a=%31', canonical: { target: '/p/x?utm=3&a=%31' } });
  });

  it('carries the tags of its path', () => {
    expect(under('params', '/p/x?a').tags).toEqual(['route:h', 'upstream:weather', 'search:/p/x', 'search:h|/p/x']);
    expect(keyed(table, '/p/x?a').tags).toEqual(['route:h', 'upstream:weather']);
  });

  it('is keyed by the whole query again without the rule', () => {
    const plain = keyed(table, '/p/x?a=1&utm=2');
    const back = under('params=("utm")', '/p/x?a=1&utm=2').search?.by(undefined);
    expect(back?.key).toBe(plain.key);
    expect(back?.tags).toEqual(plain.tags);
  });

  it('has no secret in its key, whatever separates it from the rest', () => {
    for (const query of ['a=1&token=sesame', 'a=1;token=sesame', '%74oken=sesame&a=1']) {
      const { key, url } = under('key-order', `/p/x?${query}`);
      expect(key + url).not.toContain('sesame');
    }
  });

  it('is bounded as any other, and tells rules and queries apart all the same', () => {
    const long = `/p/x?a=${'x'.repeat(2000)}`;
    const keys = [
      under('params=("b")', `${long}1`),
      under('params=("b")', `${long}2`),
      under('params=("c")', `${long}1`),
    ];
    for (const { key } of keys) expect(key.length).toBeLessThanOrEqual(route.maxKeyBytes);
    expect(new Set(keys.map(({ key }) => key)).size).toBe(3);
  });

  it('is as long as maxKeyBytes at most with its rule, and known to be cut where it would be longer', () => {
    const max = route.maxKeyBytes;
    const rest = lengthened(0).key.length;
    for (const length of [max - rest - 18, max - rest - 1, max - rest, max - rest + 1, max - rest + 18]) {
      const { key } = lengthened(length);
      const isLonger = length > max - rest;
      expect([key.length, isCutKey(key, max)]).toEqual([isLonger ? max : rest + length, isLonger]);
    }
  });

  it('is shown with what counts', () => {
    expect(under('params=("utm")', '/p/x?a=1&utm=2').steps().at(-1)).toMatchObject({
      before: 'a=1&utm=2',
      after: 'a=1',
      rule: expect.stringContaining('No-Vary-Search'),
    });
  });

  it('never has the key of another rule, of another path, or of a request without one', () => {
    const piece = constantFrom('a', 'b', '=', '1', '&', '|', '||', '?', '|?', '%41', ';');
    const query = array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
    const rules = ['params=("a")', 'params=("b")', 'key-order', 'params, except=("a")'];
    assertProperty(
      property(query, query, constantFrom(...rules), constantFrom(...rules), (one, other, rule, second) => {
        const { key } = under(rule, `/p/x?${one}`);
        const plain = keyed(table, `/p/x?${other}`).key;
        expect(key).not.toBe(plain);
        expect(key).not.toBe(under(rule, `/p/y?${one}`).key);
        const same = rule === second && searchThatCounts(ruleOf(rule), one) === searchThatCounts(ruleOf(rule), other);
        expect(key === under(second, `/p/x?${other}`).key).toBe(same);
        expect(baseKeyOf(key)).toBe(key);
        // Nor is it spelt out by a query.
        expect(keyed(table, `/p/x?${key.slice('h|/p/x?'.length)}`).key).not.toBe(key);
      }),
      { seed: 1234, numRuns: 3000 },
    );
  });

  it('is no different on other routes, and with content', () => {
    const bare = tableOf(honourRoute({}, { name: 'h', match: '/p/*', rawQuery: true }));
    expect(keyed(bare, '/p/x?a').search).toBeUndefined();
  });
});
