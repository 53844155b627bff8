import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { segmentsOf, compareRanks, mayOverlap, variantsOf } from '../../src/core/pattern-rank.ts';
import { parsePattern, patternRegExp, type PatternPart } from '../../src/core/route-pattern.ts';
import { pathIssue } from '../../src/core/target.ts';

function parts(pattern: string): readonly PatternPart[] {
  const result = parsePattern(pattern);
  if (!result.ok) throw new Error(`${pattern} ${result.error}`);
  return result.value;
}

/** Groups by our own reading, `undefined` where the path does not match. */
function groupsOf(pattern: string, path: string): Record<string, string | undefined> | undefined {
  const read = parts(pattern);
  const found = patternRegExp(read).exec(path);
  if (found === null) return undefined;
  const named = read.filter((part) => part.kind !== 'literal');
  return Object.fromEntries(
    named.flatMap((part, index) => (part.kind === 'group' ? [[part.name, found[index + 1]]] : [])),
  );
}

/** What Node's URLPattern says. */
function referenceGroups(pattern: string, path: string): Record<string, string | undefined> | undefined {
  const found = new URLPattern({ pathname: pattern }).exec({ pathname: path });
  return found === null ? undefined : { ...found.pathname.groups };
}

/** The pattern with pieces of a path in the place of its groups: mostly a path that it matches. */
function samplePath(pattern: string, path: string): string {
  const pieces = path.split('/').filter((piece) => piece !== '');
  const filled = pattern.replaceAll(/:\w+(?:\([^)]*\))?|\([^)]*\)|(?<!\\)\*/g, () => pieces.pop() ?? '7');
  const text = filled.replaceAll(/[{}?+\\]/g, '').replaceAll('é', '%C3%A9');
  return pathIssue(text) === undefined ? text : path;
}

const patterns = [
  '/',
  '/a/b',
  '/a/*',
  '/a*',
  '/*',
  '/*/b/*',
  '/a/:x',
  '/a/:x/b',
  '/a/:x.json',
  '/:x-:y',
  '/points/:lat,:lon',
  '/a/:x(\\d+)',
  '/a/(b|c)/d',
  '/a/(.*)/b',
  '/a{/:x}?',
  '/a/:x?',
  '/a/:x+',
  '/a/:x*',
  '/a{/b}?/c',
  '/a{/b}*/c',
  '/a{/b}+',
  '/a{-:x-}?b',
  '/a{.:x}+',
  '/a/:x(b|c)?',
  '/a/*?',
  '/a\\:b',
  '/a\\*/b',
  '/v{1}/x',
  '/a.b(c)~d!$&',
  '/é/:x',
  '/a%2Fb/:x',
];

describe('a pattern', () => {
  test('means what URLPattern means by it, on generated paths', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      'c',
      'd',
      '1',
      '23',
      '.json',
      '-',
      ',',
      '.',
      ':',
      '*',
      '%2F',
      '%C3%A9',
      'v1',
      'x',
    );
    const path = fc
      .array(fc.oneof({ weight: 3, arbitrary: piece }, { weight: 2, arbitrary: fc.constant('/') }), { maxLength: 9 })
      .map((pieces) => `/${pieces.join('')}`)
      .filter((text) => pathIssue(text) === undefined);
    let matched = 0;
    fc.assert(
      fc.property(fc.constantFrom(...patterns), fc.boolean(), path, (pattern, close, generated) => {
        const text = close ? samplePath(pattern, generated) : generated;
        const expected = referenceGroups(pattern, text);
        if (expected !== undefined) matched += 1;
        expect(groupsOf(pattern, text)).toEqual(expected);
      }),
      { seed: 8, numRuns: 20_000 },
    );
    expect(matched).toBeGreaterThan(5000);
  });

  test.for([
    ['/a/b%2Fc', '/a/:x', { x: 'b%2Fc' }],
    ['/a/b%252Fc', '/a/:x', { x: 'b%252Fc' }],
    ['/a/b/c//d', '/a/*', { '0': 'b/c//d' }],
    ['/a/%41', '/a/:x', { x: '%41' }],
    ['/a/x', '/a/:__proto__', { ['__proto__']: 'x' }],
  ] as const)('finds in %s by %s the raw bytes', ([path, pattern, groups]) => {
    const found = groupsOf(pattern, path);
    expect(Object.entries(found ?? {})).toEqual(Object.entries(groups));
  });

  test.for([
    ['a/b', 'must begin with /'],
    ['*', 'must begin with /'],
    ['', 'must begin with /'],
    ['/a?b', 'is not a URLPattern pathname'],
    ['/a:80', 'is not a URLPattern pathname'],
    ['/(a', 'is not a URLPattern pathname'],
    ['/:x/:x', 'is not a URLPattern pathname'],
    ['/([', 'is not a URLPattern pathname'],
    ['/{a', 'is not a URLPattern pathname'],
    ['/a/../b', 'can match no request'],
    ['/a/%2e%2E/b', 'can match no request'],
    ['//a', 'can match no request'],
    ['/a b', 'can match no request'],
    ['/a#b', 'can match no request'],
    ['/a|b', 'can match no request'],
    ['/%zz', 'can match no request'],
    ['/(?<n>a)', 'is not a URLPattern pathname'],
    ['/(a(b))', 'is not a URLPattern pathname'],
    ['/:day((?<y>[0-9]{4})-[0-9]{2})/:city', 'has a capture within the group ((?<y>[0-9]{4})-[0-9]{2}): write (?:…)'],
    ['/:a((?:x(?<n>y))+)', 'has a capture within the group'],
    ['/{x:a((?<n>y))}?', 'has a capture within the group'],
    [String.raw`/:a([0-9])/:b(\1)`, String.raw`has a group that refers to another (\1)`],
    [String.raw`/:a([0-9])/:b((?:x|\1)+)`, 'has a group that refers to another'],
  ] as const)('%j is refused: it %s', ([pattern, why]) => {
    const result = parsePattern(pattern);
    expect(result.ok ? undefined : result.error).toContain(why);
  });
});

describe('variants', () => {
  test('together match what the pattern matches', () => {
    const paths = ['/a', '/a/b', '/a/b/c', '/a/c', '/ab', '/a-x-b', '/a/b/b/c', '/a.x.y', '/'];
    for (const pattern of patterns) {
      const whole = patternRegExp(parts(pattern));
      const variants = (variantsOf(parts(pattern)) ?? []).map(patternRegExp);
      for (const path of paths) {
        expect([pattern, path, variants.some((variant) => variant.test(path))]).toEqual([
          pattern,
          path,
          whole.test(path),
        ]);
      }
    }
  });

  test('are refused past five optional parts', () => {
    expect(variantsOf(parts('/a?/b?'.replaceAll('?', '')))).toHaveLength(1);
    expect(variantsOf(parts('/:a?/:b?/:c?/:d?/:e?'))).toHaveLength(32);
    expect(variantsOf(parts('/:a?/:b?/:c?/:d?/:e?/:f?'))).toBeUndefined();
  });
});

const rank = (a: string, b: string): number => Math.sign(compareRanks(segmentsOf(parts(a)), segmentsOf(parts(b))));

describe('rank', () => {
  test.for([
    ['/a/b', '/a/:x'],
    ['/a/:x', '/a/*'],
    ['/a/:x.json', '/a/:x'],
    ['/a/:x.geo.json', '/a/:x.json'],
    ['/a/:x(\\d+)', '/a/:x'],
    ['/a/:x', '/a/:x+'],
    ['/a/:x+', '/a/*'],
    ['/a/*/b', '/a/*'],
    ['/a/*/*', '/a/*'],
    ['/a/:x/c', '/:y/b/c'],
    ['/a/b*', '/a/*'],
    ['/ab', '/a*'],
    ['/a/*', '/*'],
  ] as const)('%s comes before %s', ([first, second]) => {
    expect(rank(first, second)).toBe(-1);
    expect(rank(second, first)).toBe(1);
  });
});

const overlap = (a: string, b: string): boolean => mayOverlap(segmentsOf(parts(a)), segmentsOf(parts(b)));

describe('overlap of patterns of one rank', () => {
  test.for([
    ['/a/:x', '/a/:y'],
    ['/:x/a/*', '/:y/a/*'],
    ['/*/a/*', '/*/b/*'],
    ['/x-:y', '/:y-x'],
    ['/a*b/x*', '/a*c/x*'],
    ['/a/(\\d+)', '/a/([0-5]+)'],
    ['/a/(b|c)', '/a/(c|d)'],
    ['/a/([a-z]*)', '/a/(\\d*)'],
    ['/a/(.+)', '/a/(\\d+)'],
    ['/a/(\\d\\d)', '/a/(\\d+x)'],
  ] as const)('%s and %s may meet', ([a, b]) => {
    expect(overlap(a, b)).toBe(true);
    expect(overlap(b, a)).toBe(true);
  });

  test.for([
    ['/a/:x', '/b/:x'],
    ['/:x/a', '/:x/b'],
    ['/*/a', '/*/b'],
    ['/a/*', '/b/*'],
    ['/x-:y', '/z-:y'],
    ['/:y.json', '/:y.yaml'],
    ['/a/(\\d+)', '/a/([a-z]+)'],
    ['/a/(b|c)', '/a/(d|e)'],
    ['/a/(b|c)', '/a/(\\d+)'],
    ['/*/a/:x', '/*/b/:x'],
  ] as const)('%s and %s cannot', ([a, b]) => {
    expect(overlap(a, b)).toBe(false);
    expect(overlap(b, a)).toBe(false);
  });
});
