import { describe, expect, it } from 'vitest';
import { fieldLineValues, type FieldLines } from '../../../src/core/fields.ts';
import { literalCacheControl } from './literal-fields.ts';
import { exchangesPart, type Policy } from './difference.ts';
import { compare } from './part.ts';
import { agrees, findsOut } from './property.ts';

const policyAsItIs = exchangesPart.policy;

agrees(exchangesPart, 50_000);

/** The policy with another response put before it. */
function reading(change: (fields: FieldLines) => FieldLines): Policy {
  return {
    ...policyAsItIs,
    decideStorage: (input) => policyAsItIs.decideStorage({ ...input, fields: change(input.fields) }),
    decidePostStorage: (input, namesTarget) =>
      policyAsItIs.decidePostStorage({ ...input, fields: change(input.fields) }, namesTarget),
    freshnessOf: (input) => policyAsItIs.freshnessOf({ ...input, fields: change(input.fields) }),
  };
}

const without = (name: string): Policy => reading((fields) => fields.filter((line) => line[0] !== name));

function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** Cache-Control without a directive. */
const deaf = (name: string): Policy =>
  reading((fields) => {
    const directives = literalCacheControl(fieldLineValues(fields, 'cache-control'));
    const others = fields.filter((line) => line[0] !== 'cache-control');
    if (!directives.some((one) => one.name === name)) return fields;
    const left = directives.filter((one) => one.name !== name && !one.name.includes('"'));
    const members = left.map((one) => (one.argument === undefined ? one.name : `${one.name}=${quoted(one.argument)}`));
    return [...others, ['cache-control', members.join(', ')]];
  });

/** Takes one status for another. */
const confusing = (one: number, other: number): Policy => ({
  ...policyAsItIs,
  decideStorage: (input) =>
    policyAsItIs.decideStorage({ ...input, status: input.status === one ? other : input.status }),
  freshnessOf: (input) => policyAsItIs.freshnessOf({ ...input, status: input.status === one ? other : input.status }),
});

const mutants: Readonly<Record<string, Policy>> = {
  'takes 201 for heuristically cacheable': confusing(201, 200),
  'stores a 206 as the whole': confusing(206, 200),
  'stores a 304': confusing(304, 200),
  'lets s-maxage be served stale': {
    ...policyAsItIs,
    decideOnFailure: (input) => {
      const { stored } = input;
      const freshness = stored && { ...stored.freshness, mustRevalidate: false };
      return policyAsItIs.decideOnFailure({ ...input, stored: stored && freshness && { ...stored, freshness } });
    },
  },
  'does not read Age': without('age'),
  'does not read Date': without('date'),
  'does not read Expires': without('expires'),
  'does not read Vary': without('vary'),
  'does not read CDN-Cache-Control': without('cdn-cache-control'),
  'does not read Cache-Control beside CDN-Cache-Control, valid or not': reading((fields) =>
    fields.some((line) => line[0] === 'cdn-cache-control')
      ? fields.filter((line) => line[0] !== 'cache-control')
      : fields,
  ),
  ...Object.fromEntries(
    [
      'private',
      'no-store',
      'no-cache',
      'public',
      'must-revalidate',
      'proxy-revalidate',
      'must-understand',
      's-maxage',
      'max-age',
      'stale-while-revalidate',
      'stale-if-error',
    ].map((name) => [`does not know ${name}`, deaf(name)]),
  ),
  'takes what is just as old as its lifetime for fresh': {
    ...policyAsItIs,
    decideReuse: (input) => policyAsItIs.decideReuse({ ...input, nowMs: input.nowMs - 1 }),
  },
  'serves for a millisecond more than stale-if-error allows': {
    ...policyAsItIs,
    decideOnFailure: (input) => policyAsItIs.decideOnFailure({ ...input, nowMs: input.nowMs - 1 }),
  },
  'does not know request directives': {
    ...policyAsItIs,
    decideReuse: (input) => policyAsItIs.decideReuse({ ...input, requestFields: [] }),
  },
  'shares answers to requests with Authorization': {
    ...policyAsItIs,
    decideStorage: (input) =>
      policyAsItIs.decideStorage({
        ...input,
        requestFields: input.requestFields.filter((line) => line[0] !== 'authorization'),
      }),
  },
  'takes any Content-Location of a POST’s answer for the target': {
    ...policyAsItIs,
    decidePostStorage: (input) => policyAsItIs.decidePostStorage(input, true),
  },
  'keeps what is stored whatever upstream says last': { ...policyAsItIs, endsStored: () => false },
  'ends what is stored by a failure': {
    ...policyAsItIs,
    endsStored: (input) => policyAsItIs.endsStored(input.status === 503 ? { ...input, status: 404 } : input),
  },
  'ends for all what one request forbids to store': {
    ...policyAsItIs,
    endsStored: (input) => policyAsItIs.endsStored(input) || policyAsItIs.decideStorage(input).kind === 'pass',
  },
  'takes a slow upstream for a failed one': {
    ...policyAsItIs,
    decideOnSoftTimeout: (input) => ({
      ...policyAsItIs.decideOnSoftTimeout(input),
      kind: 'serve-stale',
      detail: 'soft-timeout',
      ttlSeconds: 0,
      ageSeconds: 0,
    }),
  },
};

findsOut(exchangesPart, mutants);

describe('a policy that lacks what no cache has to know', () => {
  it.each(Object.entries({ immutable: deaf('immutable'), pragma: without('pragma') }))(
    'is no other for it: %s',
    (_name, policy) => {
      expect(compare(exchangesPart, { numRuns: 5000, seed: 9111 }, policy).counterexample).toBeUndefined();
    },
  );
});
