import { parameterProblem, secretDigest, type Sha256Fn } from './key-path.ts';
import { type CanonicalQuery, PlainQuery } from './canonical-query.ts';
import { hashOn } from './hash-on.ts';
import { byCodeUnit, normaliseValues } from './normalise.ts';
import { printable } from './printable.ts';
import { ok, refused, type Problem, type Result } from './problem.ts';
import {
  decodeQueryText,
  encodeQueryValue,
  foldWithheld,
  hasBrokenEscape,
  recodeQueryText,
  withheldName,
} from './query.ts';
import type { ParamSlot, RoutePlan } from './route-plan.ts';
import { targetProblem } from './target.ts';

/** What a query has of a parameter: its one value, or all of them (`undefined` within: not UTF-8). */
type Given = string | readonly (string | undefined)[];

/** {@link Given} while the query is read: what is repeated is pushed, since a copy for each would cost the square of them. */
type Gathered = string | (string | undefined)[];

/** A query taken apart by its rules. */
interface SortedQuery {
  /** Decoded values in the order of the plan's slots. */
  readonly given: (Gathered | undefined)[];
  /** Parameters without a rule that are kept, canonically spelt, in the order of the request; `undefined` where none is. */
  kept: Spelt[] | undefined;
}

/** A `name` or `name=value` in canonical spelling, and the name by which it is sorted. */
interface Spelt {
  readonly name: string;
  readonly text: string;
  /** With a digest in the place of a secret. */
  readonly shown: string;
}

const noValues: readonly (string | undefined)[] = [];

/** The canonical query: typed parameters and kept ones, sorted by name; repeats of a name in their order. */
export function canonicalQuery(plan: RoutePlan, raw: string | undefined, sha256: Sha256Fn): Result<CanonicalQuery> {
  if (plan.route.rawQuery) {
    const target = rawQueryWithout(plan, raw);
    return ok({ target, keyed: target, values: noValues, isPlain: false, hash: 0 });
  }
  const sorted = sortQuery(plan, raw);
  if (!sorted.ok) return sorted;
  const { kept, given } = sorted.value;
  const values: (string | undefined)[] = [];
  let hash = plan.seed;
  for (let index = 0; index < plan.slots.length; index += 1) {
    const slot = plan.slots[index];
    if (slot === undefined) continue;
    const one = given[index];
    const value = valueOf(slot, one);
    if (!value.ok) return value;
    const differs = value.value === slot.default ? undefined : value.value;
    values.push(differs ?? slot.default);
    if (differs !== undefined) hash = hashOn(hash ^ index, differs);
  }
  if (kept !== undefined || plan.hasSecret) return ok(mixedQuery(plan, { values, kept: kept ?? [] }, sha256));
  return ok(new PlainQuery(plan, values, hash));
}

/** A default is canonical. Most parameters are left out or given as it, and it is one object for all of them then. */
function valueOf(slot: ParamSlot, given: Given | undefined): Result<string | undefined> {
  return given !== undefined && given === slot.default ? slot.usual : slotValue(slot, given);
}

/** The query of a request with kept parameters or secrets. */
function mixedQuery(
  { slots }: RoutePlan,
  { values, kept }: { readonly values: readonly (string | undefined)[]; readonly kept: readonly Spelt[] },
  sha256: Sha256Fn,
): CanonicalQuery {
  const spelt: Spelt[] = [];
  const shownValues = values.map((value, index) => {
    const slot = slots[index];
    if (slot === undefined || value === undefined) return undefined;
    const one = speltSlot(slot, value, sha256);
    spelt.push(one);
    return slot.rule.secret ? one.shown.slice(slot.prefix.length) : value;
  });
  const all = kept.length === 0 ? spelt : [...spelt, ...kept].toSorted((a, b) => byCodeUnit(a.name, b.name));
  if (all.length === 0) return { target: undefined, keyed: undefined, values: shownValues, isPlain: false, hash: 0 };
  return {
    target: all.map((one) => one.text).join('&'),
    keyed: all.map((one) => one.shown).join('&'),
    values: shownValues,
    isPlain: false,
    hash: 0,
  };
}

function speltSlot(slot: ParamSlot, value: string, sha256: Sha256Fn): Spelt {
  const text = slot.prefix + encodeQueryValue(value);
  if (!slot.rule.secret) return { name: slot.encodedName, text, shown: text };
  return {
    name: slot.encodedName,
    text,
    shown: slot.prefix + secretDigest(sha256, slot.rule.name, value),
  };
}

/** The canonical value of one parameter, from what the request has of it. */
export function slotValue(slot: ParamSlot, given: Given | undefined): Result<string | undefined> {
  const { name } = slot.rule;
  if (typeof given === 'string') {
    const value = slot.normalise(given);
    return value.ok ? value : refused(parameterProblem('parameter-invalid', name, value.error));
  }
  if (given === undefined) {
    if (slot.default !== undefined || !slot.rule.required) return ok(slot.default);
    return refused(parameterProblem('parameter-missing', name, 'is required'));
  }
  const texts = given.filter((text) => text !== undefined);
  if (texts.length < given.length) return refused(parameterProblem('parameter-invalid', name, 'is not UTF-8 text'));
  const outcome = normaliseValues(slot, texts);
  switch (outcome.kind) {
    case 'absent':
      return ok(slot.default);
    case 'value':
      return ok(outcome.value);
    case 'invalid':
      return refused(parameterProblem('parameter-invalid', name, outcome.words));
    case 'repeated':
      return refused(parameterProblem('parameter-repeated', name, outcome.words));
  }
}

/** Sorts the pairs into those with a rule, those that are kept and those that go nowhere. */
function sortQuery(plan: RoutePlan, raw = ''): Result<SortedQuery> {
  if (hasBrokenEscape(raw)) {
    return refused(targetProblem('The query holds a % that two hexadecimal digits do not follow.'));
  }
  const sorted: SortedQuery = { given: Array.from<Gathered | undefined>(plan.noneGiven), kept: undefined };
  const piece: Piece = { from: 0, equals: -1, to: 0, isNameCoded: false, isValueCoded: false };
  while (piece.from <= raw.length) {
    findEnd(raw, piece);
    // Empty pieces mean nothing.
    const problem = piece.to === piece.from ? undefined : sortPiece(plan, raw, piece, sorted);
    if (problem !== undefined) return refused(problem);
    piece.from = piece.to + 1;
  }
  return ok(sorted);
}

/** Where a `name=value` stands in a query, and what of it has to be decoded. One for all pieces of a query. */
interface Piece {
  from: number;
  /** Of its first `=`; -1: there is none. */
  equals: number;
  /** Of the `&` behind it, or the end. */
  to: number;
  isNameCoded: boolean;
  isValueCoded: boolean;
}

const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const PERCENT = 0x25;
const PLUS = 0x2b;

/** One look at each character: the searches for each of these four took longer. */
function findEnd(raw: string, piece: Piece): void {
  const { length } = raw;
  let equals = -1;
  let coded = -1;
  let firstCoded = -1;
  let at = piece.from;
  for (; at < length; at += 1) {
    const code = raw.charCodeAt(at);
    if (code === AMPERSAND) break;
    if (code === EQUALS) {
      if (equals === -1) equals = at;
    } else if (code === PERCENT || code === PLUS) {
      if (firstCoded === -1) firstCoded = at;
      coded = at;
    }
  }
  piece.equals = equals;
  piece.to = at;
  const nameEnd = equals === -1 ? at : equals;
  piece.isNameCoded = firstCoded !== -1 && firstCoded < nameEnd;
  piece.isValueCoded = coded > nameEnd;
}

function sortPiece(plan: RoutePlan, raw: string, piece: Piece, sorted: SortedQuery): Problem | undefined {
  const { from, equals, to } = piece;
  const nameEnd = equals === -1 ? to : equals;
  const meaning = piece.isNameCoded
    ? meaningOf(plan, decodeQueryText(raw.slice(from, nameEnd)))
    : meaningOfPlain(plan, raw, from, nameEnd);
  if (meaning === 'drop') return undefined;
  const rawValue = equals === -1 ? undefined : raw.slice(equals + 1, to);
  if (typeof meaning === 'number') {
    give(sorted.given, meaning, piece.isValueCoded ? decodeQueryText(rawValue ?? '') : (rawValue ?? ''));
    return undefined;
  }
  const rawName = raw.slice(from, nameEnd);
  if (meaning === 'reject') {
    const shown = printable(decodeQueryText(rawName) ?? rawName);
    return parameterProblem('parameter-unknown', shown, `is not known here${namesKnown(plan)}`);
  }
  (sorted.kept ??= []).push(speltPair(rawName, rawValue));
  return undefined;
}

/** Of parameters that a problem names; the others are counted. */
const MOST_NAMED = 20;

/** The parameters that have a rule, without those whose values are secret. Long names would make the answer long. */
function namesKnown({ slots }: RoutePlan): string {
  const names = slots.flatMap(({ rule }) => (rule.secret || rule.name.length > 64 ? [] : [printable(rule.name)]));
  if (names.length === 0) return '';
  const named = names.slice(0, MOST_NAMED).join(', ');
  return `; known: ${named}${names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : ''}`;
}

/** As {@link meaningOf}, of a name that means itself, where it stands: it is taken out only where it has to be. */
function meaningOfPlain(plan: RoutePlan, raw: string, from: number, to: number): number | 'keep' | 'drop' | 'reject' {
  const length = to - from;
  for (const { name, meaning } of plan.plainNames) {
    if (name.length === length && raw.startsWith(name, from)) return meaning;
  }
  return meaningOfUnknown(plan, plan.secretNames.size === 0 ? '' : raw.slice(from, to));
}

function give(given: (Gathered | undefined)[], slot: number, value: string | undefined): void {
  const before = given[slot];
  if (before === undefined) given[slot] = value ?? [value];
  else if (typeof before === 'string') given[slot] = [before, value];
  else before.push(value);
}

function speltPair(rawName: string, rawValue: string | undefined): Spelt {
  const name = recodeQueryText(rawName);
  const text = rawValue === undefined ? name : `${name}=${recodeQueryText(rawValue)}`;
  return { name, text, shown: text };
}

/** What becomes of a parameter of that name (`undefined`: not UTF-8, so no configured one). */
export function meaningOf(plan: RoutePlan, name: string | undefined): number | 'keep' | 'drop' | 'reject' {
  if (name === undefined) return plan.route.unknownQuery;
  const known = plan.names.get(name);
  return known ?? meaningOfUnknown(plan, name);
}

function meaningOfUnknown({ secretNames, route }: RoutePlan, name: string): 'keep' | 'drop' | 'reject' {
  return secretNames.size > 0 && secretNames.has(foldWithheld(name)) ? 'drop' : route.unknownQuery;
}

/**
 * A query byte for byte, without the parameters that may not leave (`secret`, `ignore`). Some upstreams split at `;` too,
 * so a secret behind one is cut out as well. A name with a broken escape is read as far as it goes.
 */
export function rawQueryWithout(plan: RoutePlan, raw: string | undefined): string | undefined {
  if (raw === undefined || raw === '') return raw;
  const pieces = raw.split(/([&;])/);
  const kept: string[] = [];
  let cut = false;
  for (let index = 0; index < pieces.length; index += 2) {
    const piece = pieces[index] ?? '';
    if (isWithheld(plan, piece)) cut = true;
    else kept.push(kept.length === 0 ? piece : `${pieces[index - 1] ?? ''}${piece}`);
  }
  if (!cut) return raw;
  return kept.length === 0 ? undefined : kept.join('');
}

function isWithheld(plan: RoutePlan, piece: string): boolean {
  const equals = piece.indexOf('=');
  const rawName = equals === -1 ? piece : piece.slice(0, equals);
  const name = decodeQueryText(rawName) ?? rawName;
  return plan.names.get(name) === 'drop' || plan.secretNames.has(withheldName(rawName));
}
