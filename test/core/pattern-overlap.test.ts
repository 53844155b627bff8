import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareRanks, mayOverlap, segmentsOf, variantsOf } from '../../src/core/pattern-rank.ts';
import { parsePattern, patternRegExp } from '../../src/core/route-pattern.ts';

const segments = [
  ...String.raw`a b ab :x * :x(a|b) :x(ab|c) :x([a-b]+) :x(\d+) :x([0-9]*) :x(.*) :x+`.split(' '),
  ...String.raw`v:x(\d+) v:x([a-c]+) v:x :x(a|b).c :x(c|d).c a:x(b) {:x(a|b)}+ {:x(ab)}+ (a/b)`.split(' '),
];
const pieces = ['a', 'b', 'ab', 'c', '1', '12', 'v', 'v1', 'va', 'a.c', 'c.c', 'aa', '', 'v1a'];

/** Group names must differ within a pattern. */
function patternOf(picked: readonly string[]): string {
  return picked.map((segment, index) => `/${segment.replace(':x', `:x${index}`)}`).join('');
}

test('two patterns of one rank that are said never to meet match no path both', () => {
  const pattern = fc.array(fc.constantFrom(...segments), { minLength: 1, maxLength: 3 }).map(patternOf);
  const path = fc
    .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 4 })
    .map((picked) => `/${picked.join('/')}`);
  let apart = 0;
  fc.assert(
    fc.property(pattern, pattern, fc.array(path, { minLength: 30, maxLength: 30 }), (a, b, paths) => {
      const [first, second] = [variantsIn(a), variantsIn(b)];
      for (const one of first) {
        for (const other of second) {
          if (compareRanks(one.segments, other.segments) !== 0 || mayOverlap(one.segments, other.segments)) continue;
          apart += 1;
          const both = paths.filter((text) => one.regexp.test(text) && other.regexp.test(text));
          expect([a, b, both]).toEqual([a, b, []]);
        }
      }
    }),
    { seed: 12, numRuns: 20_000 },
  );
  expect(apart).toBeGreaterThan(200);
});

function variantsIn(pattern: string) {
  const parts = parsePattern(pattern);
  if (!parts.ok) throw new Error(`${pattern}: ${parts.error}`);
  return (variantsOf(parts.value) ?? []).map((variant) => ({
    segments: segmentsOf(variant),
    regexp: patternRegExp(variant),
  }));
}
