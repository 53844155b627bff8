import * as v from 'valibot';
import { listOf, map, notOneOf, oneOrMany, option, recordOf, required } from './schema-base.ts';
import { duration, flag, given, numeric, text } from './schema-scalars.ts';

const limit = Number.MAX_SAFE_INTEGER;

function parameterName() {
  return text({
    what: 'a parameter name',
    check: (value) => (value.length > 256 ? 'is longer than 256 characters' : undefined),
  });
}

const common = {
  required: option(flag(), 'A request without it is answered 400.', 'false'),
  default: option(
    text({ what: 'text', empty: true }),
    'Stands in where a request has none; keyed and forwarded like a given value.',
  ),
  secret: option(flag(), 'The value enters the key as a digest and is never shown.', 'false'),
};

const alias = {
  alias: option(oneOrMany(parameterName(), 20), 'Further names under which the parameter is read.'),
};

const fold = {
  fold: option(
    flag(),
    'Spellings that differ in case, outer or repeated inner space, or Unicode composition mean the same.',
    'false',
  ),
};

const repeat = {
  repeat: option(flag(), '`name=a&name=b` means the same as `name=a,b`.', 'false'),
};

const places = {
  places: option(
    numeric({ min: 0, max: 15, whole: true }),
    'Digits kept after the point, rounded half away from zero. Left out: all of them.',
  ),
};

function range(whole: boolean) {
  const bounds = { min: -limit, max: limit, whole };
  return {
    min: option(numeric(bounds), 'The least value; below it 400.'),
    max: option(numeric(bounds), 'The greatest value; above it 400.'),
  };
}

function kind<const T extends string>(type: T, description: string) {
  return required(
    v.literal(type, (issue) => `expected ${type}, given ${given(issue.input)}`),
    description,
  );
}

const coordinate = map({ ...places, ...range(false) });

/**
 * The rules by type. A group of a path has one name and comes once, so `ofQuery` and `ofLists` (what rules of queries
 * have beside, all or those of comma lists) are empty for it.
 */
function rulesWith<const Q extends v.ObjectEntries, const L extends v.ObjectEntries>(ofQuery: Q, ofLists: L) {
  const all = { ...common, ...ofQuery };
  return {
    text: map({ type: kind('text', 'Any text.'), ...fold, ...all }),
    integer: map({ type: kind('integer', 'A whole number: `+7` and `007` are 7.'), ...range(true), ...all }),
    decimal: map({
      type: kind('decimal', 'A decimal number: `52.520`, `+52.52` and `5252e-2` are 52.52; -0 is 0.'),
      ...places,
      ...range(false),
      ...all,
    }),
    date: map({ type: kind('date', 'A day, `2026-11-23`.'), ...all }),
    datetime: map({
      type: kind(
        'datetime',
        'An instant, `2026-11-23T12:00:00Z` or with an offset, which is keyed in UTC; a time without a zone is taken too and stays without, so it is another value.',
      ),
      floor: option(
        duration({ min: 1000, max: 7 * 86_400_000 }),
        'Instants are rounded down to a multiple of this, so that "now" does not make every key new.',
      ),
      ceil: option(
        duration({ min: 1000, max: 7 * 86_400_000 }),
        'Instants are rounded up to a multiple of this: for ends, which `floor` would move before what was asked for.',
      ),
      ...all,
    }),
    boolean: map({
      type: kind('boolean', 'True or false, in the usual spellings: `true`, `1`, `yes`, `false`, `0`, `no`.'),
      as: option(
        v.pipe(listOf(text({ what: 'a word' }), 2), v.length(2, 'needs two words, for true and for false')),
        'The two words that upstream knows, for true and for false: `[yes, no]`. Left out: `true` and `false`.',
      ),
      ...all,
    }),
    enum: map({
      type: kind('enum', 'One of a few words.'),
      values: required(listOf(text({ what: 'a word', empty: true }), 1000, 'needed'), 'The words.'),
      ...fold,
      ...all,
    }),
    set: map({
      type: kind('set', 'A comma list in which neither order nor repetition matters.'),
      ...fold,
      ...ofLists,
      ...all,
    }),
    list: map({ type: kind('list', 'A comma list whose order matters.'), ...fold, ...ofLists, ...all }),
    point: map({
      type: kind('point', 'Latitude and longitude in one value, `52.52,13.41`.'),
      ...places,
      lat: option(coordinate, 'Latitude: `places`, `min` (default -90), `max` (default 90).', {}),
      lon: option(coordinate, 'Longitude: `places`, `min` (default -180), `max` (default 180).', {}),
      ...ofLists,
      ...all,
    }),
  };
}

const queryRules = rulesWith(alias, repeat);

/** The types of parameters, in the order of the documentation. */
export const paramTypes = Object.keys(queryRules);

const wrongRule = (issue: v.VariantIssue): string =>
  issue.expected === 'Object'
    ? `expected a map with a type, given ${given(issue.input)}`
    : notOneOf(issue.input, paramTypes);

const queryRule = v.variant('type', Object.values(queryRules), wrongRule);
const pathRule = v.variant('type', Object.values(rulesWith({}, {})), wrongRule);

const bounds = {
  max: 500,
  name: (name: string): string | undefined => (name.length > 256 ? 'is longer than 256 characters' : undefined),
};

/** Rules by name of a query parameter. */
export function queryRulesByName() {
  return recordOf(queryRule, bounds);
}

/** Rules by name of a group of `match`. */
export function pathRulesByName() {
  return recordOf(pathRule, bounds);
}

/** What both kinds of rules say; those of groups have no `alias` and no `repeat`. */
export type ParamInput = v.InferOutput<typeof queryRule> | v.InferOutput<typeof pathRule>;
