import { parameterProblem, secretDigest, type Sha256Fn } from './key-path.ts';
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

/** The query of one request. */
export interface CanonicalQuery {
  /** What goes upstream, without the `?`; `undefined` where there is none. */
  readonly target: string | undefined;
  /** The same with digests in the place of secrets. */
  readonly keyed: string | undefined;
  /** Canonical values in the order of the plan's slots, digests likewise. */
  readonly values: readonly (string | undefined)[];
}

/** What a query has of a parameter: its one value, or all of them (`undefined` within: not UTF-8). */
type Given = string | readonly (string | undefined)[];

/** A query taken apart by its rules. */
interface SortedQuery {
  /** Decoded values in the order of the plan's slots. */
  readonly given: (Given | undefined)[];
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
    return ok({ target, keyed: target, values: noValues });
  }
  const sorted = sortQuery(plan, raw);
  if (!sorted.ok) return sorted;
  const { kept, given } = sorted.value;
  const values: (string | undefined)[] = [];
  // Slots are in order already. Most requests have nothing else, and no secret: theirs is put together in passing.
  let text = '';
  for (const [index, slot] of plan.slots.entries()) {
    const value = slotValue(slot, given[index]);
    if (!value.ok) return value;
    values.push(value.value);
    if (value.value === undefined) continue;
    const one = value.value === slot.default ? slot.spelt : slot.prefix + encodeQueryValue(value.value);
    text = text === '' ? one : `${text}&${one}`;
  }
  if (kept !== undefined || plan.hasSecret) return ok(mixedQuery(plan, { values, kept: kept ?? [] }, sha256));
  const target = text === '' ? undefined : text;
  return ok({ target, keyed: target, values });
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
  if (all.length === 0) return { target: undefined, keyed: undefined, values: shownValues };
  return {
    target: all.map((one) => one.text).join('&'),
    keyed: all.map((one) => one.shown).join('&'),
    values: shownValues,
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
  const sorted: SortedQuery = { given: Array.from<Given | undefined>(plan.noneGiven), kept: undefined };
  for (let from = 0; from < raw.length;) {
    const ampersand = raw.indexOf('&', from);
    const end = ampersand === -1 ? raw.length : ampersand;
    // Empty pieces mean nothing.
    const problem = end === from ? undefined : sortPiece(plan, raw.slice(from, end), sorted);
    if (problem !== undefined) return refused(problem);
    from = end + 1;
  }
  return ok(sorted);
}

function sortPiece(plan: RoutePlan, piece: string, sorted: SortedQuery): Problem | undefined {
  const equals = piece.indexOf('=');
  const rawName = equals === -1 ? piece : piece.slice(0, equals);
  const meaning = plan.plainNames.get(rawName) ?? meaningOf(plan, decodeQueryText(rawName));
  if (meaning === 'drop') return undefined;
  if (meaning === 'reject') {
    const shown = printable(decodeQueryText(rawName) ?? rawName);
    return parameterProblem('parameter-unknown', shown, 'is not known here');
  }
  const rawValue = equals === -1 ? undefined : piece.slice(equals + 1);
  if (meaning === 'keep') (sorted.kept ??= []).push(speltPair(rawName, rawValue));
  else give(sorted.given, meaning, decodeQueryText(rawValue ?? ''));
  return undefined;
}

function give(given: (Given | undefined)[], slot: number, value: string | undefined): void {
  const before = given[slot];
  if (before !== undefined) given[slot] = typeof before === 'string' ? [before, value] : [...before, value];
  else given[slot] = value ?? [value];
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
  if (known !== undefined) return known;
  if (plan.secretNames.size > 0 && plan.secretNames.has(foldWithheld(name))) return 'drop';
  return plan.route.unknownQuery;
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
