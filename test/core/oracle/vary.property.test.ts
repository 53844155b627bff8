import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { variantKey } from '../../../src/core/vary.ts';
import { sha256 } from '../../support/routes.ts';
import { type Line, linesOf, literalList } from './literal-fields.ts';

/**
 * RFC 9111 §4.1: two requests match where each nominated field is absent from both, or the lines of both say the same once
 * white space and the number of lines are normalised. Choices, all within "normalizing ... in a way known to have identical
 * semantics": empty members of fields that are lists by definition mean nothing, weights and order of members are compared
 * as what they say, in Accept-Language and Accept-Encoding that are well-formed.
 */
function literalMatch(names: readonly string[], one: readonly Line[], other: readonly Line[]): boolean {
  return names.every((name) => {
    const [lines, others] = [linesOf(one, name), linesOf(other, name)];
    if (lines.length === 0 || others.length === 0) return lines.length === others.length;
    return meaning(name, lines) === meaning(name, others);
  });
}

function meaning(name: string, lines: readonly string[]): string {
  const members = lines.flatMap((line) => literalList(line));
  const isList = ['accept', 'accept-charset', 'accept-language', 'accept-encoding', 'prefer'].includes(name);
  const said = isList ? members.filter((member) => member !== '') : members;
  const isWeighted = name === 'accept-language' || name === 'accept-encoding';
  const weights = isWeighted ? said.map((member) => weighted(member, name)) : [undefined];
  // What is not well-formed has no meaning but its own text, and is told from what has one.
  if (weights.includes(undefined)) return `text ${JSON.stringify(said)}`;
  const all = new Set(weights);
  // §12.5.3: `*;q=0` refuses identity too, unless that is named with another weight.
  if (name === 'accept-encoding' && all.has('* 0')) all.delete('identity 0');
  return `weights ${[...all]
    .map(String)
    .toSorted((a, b) => (a < b ? -1 : 1))
    .join(', ')}`;
}

/** `name thousandths`; `undefined` where a member is not well-formed. */
function weighted(member: string, field: string): string | undefined {
  const [range = '', parameter, ...more] = member.toLowerCase().split(';');
  const name = range.replace(/[ \t]+$/, '');
  const isName = field === 'accept-language' ? isLanguageRange(name) : /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name);
  if (!isName || more.length > 0) return undefined;
  const coding = name.replace(/^x-(?=(?:gzip|compress)$)/, '');
  if (parameter === undefined) return `${coding} 1000`;
  const value = parameter.replace(/^[ \t]+/, '');
  const thousandths = value.startsWith('q=') ? literalWeight(value.slice(2)) : undefined;
  return thousandths === undefined ? undefined : `${coding} ${thousandths}`;
}

/** `qvalue` (RFC 9110 §12.4.2): 0 or 1, up to three digits behind a point, 1 at most. */
function literalWeight(q: string): number | undefined {
  const [whole = '', fraction = '', ...more] = q.split('.');
  if (!['0', '1'].includes(whole) || fraction.length > 3 || more.length > 0) return undefined;
  if (fraction.split('').some((digit) => !'0123456789'.includes(digit))) return undefined;
  const thousandths = Number(whole) * 1000 + Number(fraction.padEnd(3, '0'));
  return thousandths > 1000 ? undefined : thousandths;
}

function isLanguageRange(name: string): boolean {
  if (name === '*') return true;
  const [first = '', ...rest] = name.split('-');
  return /^[a-z]{1,8}$/.test(first) && rest.every((part) => /^[a-z0-9]{1,8}$/.test(part));
}

const memberOf: Readonly<Record<string, readonly string[]>> = {
  'accept-language': [
    'de',
    'DE',
    'en',
    'en-gb',
    '*',
    'de;q=0.5',
    'de; q=0.50',
    'en;q=0',
    'en;q=1.000',
    'fr;q=.5',
    'x;y',
    '',
  ],
  'accept-encoding': [
    'gzip',
    'x-gzip',
    'GZIP;q=1',
    'br',
    'identity',
    'identity;q=0',
    '*;q=0',
    '*',
    'br;q=0.1',
    'br;q=2',
    '',
  ],
  accept: ['text/html', 'application/json;q=0.5', '*/*', 'text/HTML', ''],
  'x-tenant': ['a', 'A', 'b', 'a b', '"a, b"', '"a', 'a|b', 'x-tenant=a', ''],
};
const names = Object.keys(memberOf);

const values = (name: string): fc.Arbitrary<readonly Line[]> =>
  fc
    .array(
      fc
        .tuple(
          fc.array(fc.constantFrom(...(memberOf[name] ?? [])), { maxLength: 3 }),
          fc.constantFrom(', ', ',', ' ,\t'),
        )
        .map(([members, joint]): Line => [name, members.join(joint).trim()]),
      { maxLength: 2 },
    )
    .map((lines) => lines);

const request = fc.tuple(...names.map(values)).map((parts) => parts.flat());

/** The same members on one line, the other way round: the same to some fields and not to others. */
function turned(fields: readonly Line[]): readonly Line[] {
  const present = names.filter((name) => linesOf(fields, name).length > 0);
  return present.map((name): Line => {
    const members = linesOf(fields, name).flatMap((line) => literalList(line));
    return [name, members.toReversed().join(' , ').trim()];
  });
}

const pair = fc.oneof(
  fc.tuple(request, request),
  request.map((one): readonly [readonly Line[], readonly Line[]] => [one, turned(one)]),
);

it('one variant answers two requests exactly where the fields that Vary names match (RFC 9111 §4.1)', () => {
  const counted = { matching: 0, differing: 0 };
  fc.assert(
    fc.property(fc.subarray(names, { minLength: 1, maxLength: 2 }), pair, (nominated, [one, other]) => {
      const key = (fields: readonly Line[]): string => variantKey('r|/', { names: nominated }, fields, sha256);
      const matches = literalMatch(nominated, one, other);
      counted[matches ? 'matching' : 'differing'] += 1;
      if ((key(one) === key(other)) !== matches) throw new Error(`${key(one)} and ${key(other)}: match is ${matches}`);
    }),
    { seed: 9111, numRuns: 20_000 },
  );
  // Where one side were rare the comparison would say little of it.
  expect(Math.min(counted.matching, counted.differing)).toBeGreaterThan(3000);
});
