import { parameterProblem, secretDigest, type Sha256Fn } from './key-path.ts';
import { byCodeUnit, normaliseValues } from './normalise.ts';
import { printable } from './printable.ts';
import { ok, refused, type Result } from './problem.ts';
import {
  decodeQueryText,
  encodeQueryValue,
  foldWithheld,
  hasBrokenEscape,
  parseQuery,
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

/** A query taken apart by its rules. */
interface SortedQuery {
  /** Decoded values in the order of the plan's slots; `undefined` within one: not UTF-8. */
  readonly given: readonly (readonly (string | undefined)[] | undefined)[];
  /** Parameters without a rule that are kept, canonically spelt, in the order of the request. */
  readonly kept: readonly Spelt[];
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
  const spelt: Spelt[] = [];
  const values: (string | undefined)[] = [];
  for (const [index, slot] of plan.slots.entries()) {
    const value = slotValue(slot, given[index]);
    if (!value.ok) return value;
    if (value.value === undefined) values.push(undefined);
    else {
      const one = speltSlot(slot, value.value, sha256);
      spelt.push(one);
      values.push(slot.rule.secret ? one.shown.slice(slot.encodedName.length + 1) : value.value);
    }
  }
  // Slots are in order already.
  const all = kept.length === 0 ? spelt : [...spelt, ...kept].toSorted((a, b) => byCodeUnit(a.name, b.name));
  if (all.length === 0) return ok({ target: undefined, keyed: undefined, values });
  const target = all.map((one) => one.text).join('&');
  return ok({ target, keyed: plan.hasSecret ? all.map((one) => one.shown).join('&') : target, values });
}

function speltSlot(slot: ParamSlot, value: string, sha256: Sha256Fn): Spelt {
  const text = `${slot.encodedName}=${encodeQueryValue(value)}`;
  if (!slot.rule.secret) return { name: slot.encodedName, text, shown: text };
  return {
    name: slot.encodedName,
    text,
    shown: `${slot.encodedName}=${secretDigest(sha256, slot.rule.name, value)}`,
  };
}

/** The canonical value of one parameter, from what the request has of it (`undefined` within: not UTF-8). */
export function slotValue(
  slot: ParamSlot,
  given: readonly (string | undefined)[] | undefined,
): Result<string | undefined> {
  const { name } = slot.rule;
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
function sortQuery(plan: RoutePlan, raw: string | undefined): Result<SortedQuery> {
  if (raw !== undefined && hasBrokenEscape(raw)) {
    return refused(targetProblem('The query holds a % that two hexadecimal digits do not follow.'));
  }
  const given: (string | undefined)[][] = [];
  const kept: Spelt[] = [];
  for (const { rawName, rawValue } of parseQuery(raw)) {
    const name = decodeQueryText(rawName);
    const meaning = meaningOf(plan, name);
    if (typeof meaning === 'number') (given[meaning] ??= []).push(decodeQueryText(rawValue ?? ''));
    else if (meaning === 'reject') {
      const shown = printable(name ?? rawName);
      return refused(parameterProblem('parameter-unknown', shown, 'is not known here'));
    } else if (meaning === 'keep') {
      const spelling = recodeQueryText(rawName);
      const text = rawValue === undefined ? spelling : `${spelling}=${recodeQueryText(rawValue)}`;
      kept.push({ name: spelling, text, shown: text });
    }
  }
  return ok({ given, kept });
}

/** What becomes of a parameter of that name (`undefined`: not UTF-8, so no configured one). */
export function meaningOf(plan: RoutePlan, name: string | undefined): number | 'keep' | 'drop' | 'reject' {
  if (name === undefined) return plan.route.unknownQuery;
  const known = plan.names.get(name);
  if (known !== undefined) return known;
  return plan.secretNames.has(foldWithheld(name)) ? 'drop' : plan.route.unknownQuery;
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
