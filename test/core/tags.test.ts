import { describe, expect, test } from 'vitest';
import type { ParamKind } from '../../src/core/params.ts';
import { routeOf } from '../support/policy.ts';
import { decimal, folded, keyed, ruleOf, rulesOf, tableOf } from '../support/routes.ts';

const list: ParamKind = { type: 'list', fold: false };
const set: ParamKind = { type: 'set', fold: true };

function tagsOf(tags: readonly string[], query: string): readonly string[] {
  const params = rulesOf(
    ruleOf('location', folded),
    ruleOf('lat', list, { repeat: true }),
    ruleOf('lon', list, { repeat: true }),
    ruleOf('cat', set, { repeat: true }),
    ruleOf('point', { type: 'point', lat: decimal(1), lon: decimal(1) }),
  );
  const table = tableOf(routeOf({}, { name: 'r', match: '/r', params, tags }));
  const all = keyed(table, `/r?${query}`).tags;
  expect(all.slice(0, 2)).toEqual(['route:r', 'upstream:weather']);
  return all.slice(2);
}

describe('tags', () => {
  test('hold the canonical value, not its percent-encoding', () => {
    expect(tagsOf(['location:{location}'], 'location=S%C3%83O+Paulo')).toEqual(['location:são paulo']);
    expect(tagsOf(['point:{point}'], 'point=52.51,13.4')).toEqual(['point:52.5,13.4']);
    expect(tagsOf(['fixed', 'l:{location}:{location}'], 'location=a')).toEqual(['fixed', 'l:a:a']);
  });

  test('come once each, few or many', () => {
    expect(tagsOf(['{location}', 'b', '{location}', 'a'], 'location=a')).toEqual(['a', 'b']);
    expect(tagsOf(['{location}', 'a'], 'location=a')).toEqual(['a']);
    expect(tagsOf(['b', '{location}', 'a'], 'location=a')).toEqual(['b', 'a']);
    const many = Array.from({ length: 12 }, (_, place) => `tag-${place % 6}`);
    expect(tagsOf([...many, '{location}'], 'location=tag-3')).toEqual(many.slice(0, 6));
  });

  test('are left out where a parameter is absent, but not where it is empty', () => {
    expect(tagsOf(['location:{location}', 'x:{cat}'], '')).toEqual([]);
    expect(tagsOf(['location:{location}'], 'location=')).toEqual(['location:']);
  });

  test('come one for each item of a set or list', () => {
    expect(tagsOf(['cat:{cat}'], 'cat=Music&cat=arts,music')).toEqual(['cat:arts', 'cat:music']);
    expect(tagsOf(['{location}/{cat}'], 'cat=a,b&location=x')).toEqual(['x/a', 'x/b']);
  });

  test('put lists of one length side by side', () => {
    expect(tagsOf(['point:{lat},{lon}'], 'lat=1,2&lon=3&lon=4')).toEqual(['point:1,3', 'point:2,4']);
    expect(tagsOf(['point:{lat},{lon}'], 'lat=1,2&lon=3')).toEqual(['point:1,3', 'point:2,3']);
    expect(tagsOf(['point:{lat},{lon}'], 'lat=1,2,5&lon=3,4')).toEqual(['point:1,3', 'point:2,4']);
  });

  test('are told once each', () => {
    expect(tagsOf(['a:{lat}', 'a:{lon}'], 'lat=1,1,2&lon=2')).toEqual(['a:1', 'a:2']);
  });
});
