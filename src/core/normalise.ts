import { canonicalDate, canonicalDateTime } from './dates.ts';
import { compareDecimals, formatDecimal, parseDecimal, roundDecimal, type Decimal } from './decimal.ts';
import type { DecimalKind, ParamKind, ParamRule } from './params.ts';
import { ok, refused, type Result } from './problem.ts';

/** The canonical spelling of one value, or what is wrong with it: words that follow a name, such as `must be an integer`. */
type Normaliser = (text: string) => Result<string, string>;

/** A rule made ready once, so that a request only runs it. */
export interface CompiledParam {
  readonly rule: ParamRule;
  readonly normalise: Normaliser;
  /** Canonical; `undefined` where the rule has none. */
  readonly default: string | undefined;
}

/** What the values of a parameter in one request come to. */
export type ParamOutcome =
  | { readonly kind: 'absent' }
  | { readonly kind: 'value'; readonly value: string }
  | { readonly kind: 'invalid' | 'repeated'; readonly words: string };

/** Items of a `set` or `list` at most; the largest list that a known API takes is 1000 places. */
export const MAX_ITEMS = 1000;

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** ASCII words with single spaces between them: folding is lower-casing then, and most texts are such. */
const PLAIN_WORDS = /^[!-~]+(?: [!-~]+)*$/;

/** Case folding of `fold`: NFC, white space of any kind and length to one space, trimmed, lower case. Idempotent. */
export function foldText(text: string): string {
  const trimmed = text.trim();
  if (PLAIN_WORDS.test(trimmed)) return trimmed.toLowerCase();
  const spaced = text.normalize('NFC').replaceAll(/[\s\u0085]+/g, ' ');
  // Lower-casing can leave NFC (U+0130), so it is composed again.
  return spaced.trim().toLowerCase().normalize('NFC');
}

/** The normaliser of a kind. Its refusals hold nothing of the value. */
function compileKind(kind: ParamKind): Normaliser {
  switch (kind.type) {
    case 'text':
      return (text) => freeText(text, kind.fold);
    case 'integer':
      return compileInteger(kind.min, kind.max);
    case 'decimal':
      return compileDecimal(kind);
    case 'date':
      return (text) => orRefuse(canonicalDate(text.trim()), 'must be a date, YYYY-MM-DD');
    case 'datetime':
      return (text) =>
        orRefuse(
          canonicalDateTime(text.trim(), kind),
          'must be a date and time, YYYY-MM-DDThh:mm, with or without a zone (Z, +02:00)',
        );
    case 'boolean':
      return compileBoolean(kind.words ?? ['true', 'false']);
    case 'enum':
      return compileEnum(kind.values, kind.fold);
    case 'set':
    case 'list':
      return compileItems(kind.type, kind.fold);
    case 'point':
      return compilePoint(kind.lat, kind.lon);
  }
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['false', false],
  ['0', false],
  ['no', false],
]);

/** The usual spellings are read whatever upstream's words are. */
function compileBoolean([whenTrue, whenFalse]: readonly [string, string]): Normaliser {
  const spelling = new Map([...BOOLEANS].map(([word, value]) => [word, value ? whenTrue : whenFalse]));
  for (const word of [whenTrue, whenFalse]) spelling.set(word.toLowerCase(), word);
  return (text) => orRefuse(spelling.get(text.trim().toLowerCase()), 'must be true or false');
}

/** What keeps two words from telling true from false, `undefined` where nothing does. */
export function booleanWordsIssue([whenTrue, whenFalse]: readonly [string, string]): string | undefined {
  const [yes, no] = [whenTrue.trim().toLowerCase(), whenFalse.trim().toLowerCase()];
  if (yes === no) return 'has one word for true and for false';
  if (yes.length < whenTrue.length || no.length < whenFalse.length) return 'has a word with white space around it';
  const swapped = BOOLEANS.get(yes) === false || BOOLEANS.get(no) === true;
  return swapped ? 'needs the word for true first, then the one for false' : undefined;
}

function orRefuse(value: string | undefined, words: string): Result<string, string> {
  return value === undefined ? refused(words) : ok(value);
}

function freeText(text: string, fold: boolean): Result<string, string> {
  if (fold) {
    const trimmed = text.trim();
    // In printable words there is no control character to look for.
    if (PLAIN_WORDS.test(trimmed)) return ok(trimmed.toLowerCase());
  }
  const value = fold ? foldText(text) : text;
  return CONTROL.test(value) ? refused('must not hold control characters') : ok(value);
}

/** What a number of so many digits is written as is no other. */
const PLAIN_INTEGER = /^(?:0|[1-9][0-9]{0,14})$/;

function compileInteger(min: number | undefined, max: number | undefined): Normaliser {
  const range = rangeWords('an integer', min, max);
  return (text) => {
    // As it is written most often, and canonical already.
    if (min === undefined && max === undefined && PLAIN_INTEGER.test(text)) return ok(text);
    const trimmed = text.trim();
    const value = /^[+-]?[0-9]{1,30}$/.test(trimmed) ? Number(trimmed) : Number.NaN;
    if (!Number.isSafeInteger(value)) return refused(range);
    if ((min !== undefined && value < min) || (max !== undefined && value > max)) return refused(range);
    // `-0` is written `0` by String.
    return ok(String(value));
  };
}

function rangeWords(what: string, min: number | undefined, max: number | undefined): string {
  if (min !== undefined && max !== undefined) return `must be ${what} from ${min} to ${max}`;
  if (min !== undefined) return `must be ${what} of at least ${min}`;
  return max === undefined ? `must be ${what}` : `must be ${what} of at most ${max}`;
}

function bound(limit: number | undefined): Decimal | undefined {
  return limit === undefined ? undefined : parseDecimal(String(limit));
}

/** Rounds first and then checks the range: what is forwarded lies within it. Nothing is clamped. */
function compileDecimal(kind: DecimalKind): Normaliser {
  const range = rangeWords('a number', kind.min, kind.max);
  const min = bound(kind.min);
  const max = bound(kind.max);
  return (text) => {
    const exact = parseDecimal(text.trim());
    if (exact === undefined) return refused(range);
    const value = kind.places === undefined ? exact : roundDecimal(exact, kind.places);
    if (min !== undefined && compareDecimals(value, min) < 0) return refused(range);
    if (max !== undefined && compareDecimals(value, max) > 0) return refused(range);
    return ok(formatDecimal(value));
  };
}

function compileEnum(values: readonly string[], fold: boolean): Normaliser {
  const spelling = new Map(values.map((value) => [fold ? foldText(value) : value, value]));
  const words = `must be one of ${values.join(', ')}`;
  return (text) => orRefuse(spelling.get(fold ? foldText(text) : text), words);
}

function compileItems(type: 'set' | 'list', fold: boolean): Normaliser {
  return (text) => {
    const items = text.split(',').map((item) => (fold ? foldText(item) : item.trim()));
    // An empty item of a list holds its place; in a set it is nothing.
    const kept = type === 'set' ? [...new Set(items)].filter((item) => item !== '').toSorted(byCodeUnit) : items;
    if (kept.every((item) => item === '')) return refused('must not be empty');
    if (kept.length > MAX_ITEMS) return refused(`must not hold more than ${MAX_ITEMS} items`);
    return freeText(kept.join(','), false);
  };
}

/** Order by UTF-16 code unit, the same in every locale. */
export function byCodeUnit(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function compilePoint(lat: DecimalKind, lon: DecimalKind): Normaliser {
  const latitude = compileDecimal(lat);
  const longitude = compileDecimal(lon);
  return (text) => {
    const parts = text.split(',');
    if (parts.length !== 2) return refused('must be two numbers with a comma between them');
    const first = latitude(parts[0] ?? '');
    if (!first.ok) return refused(`${first.error} before the comma`);
    const second = longitude(parts[1] ?? '');
    if (!second.ok) return refused(`${second.error} after the comma`);
    return ok(`${first.value},${second.value}`);
  };
}

/** Makes a rule ready; the error is what is wrong with its default. */
export function compileParam(rule: ParamRule): Result<CompiledParam, string> {
  const normalise = compileKind(rule.kind);
  if (rule.default === undefined) return ok({ rule, normalise, default: undefined });
  const value = normalise(rule.default);
  return value.ok ? ok({ rule, normalise, default: value.value }) : refused(`the default ${value.error}`);
}

/** Values in the order of the request, under the name and its aliases alike. The default is not put in here. */
export function normaliseValues(param: CompiledParam, values: readonly string[]): ParamOutcome {
  const only = values[0];
  if (only === undefined) return { kind: 'absent' };
  if (values.length === 1) return outcomeOf(param.normalise(only));
  if (param.rule.repeat && mayRepeat(param.rule.kind)) return outcomeOf(param.normalise(values.join(',')));
  const first = outcomeOf(param.normalise(only));
  for (const text of values) {
    const other = outcomeOf(param.normalise(text));
    if (other.kind !== 'value') return other;
    if (first.kind === 'value' && other.value !== first.value) {
      // Upstreams differ in which one they take, so none is chosen for them.
      return { kind: 'repeated', words: 'is given more than once with different values' };
    }
  }
  return first;
}

function mayRepeat(kind: ParamKind): boolean {
  return kind.type === 'set' || kind.type === 'list' || kind.type === 'point';
}

function outcomeOf(result: Result<string, string>): ParamOutcome {
  return result.ok ? { kind: 'value', value: result.value } : { kind: 'invalid', words: result.error };
}
