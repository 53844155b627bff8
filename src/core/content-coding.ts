import { parseCacheControl } from './cache-control.ts';
import { fieldLineValues, type FieldLines, fieldValue } from './fields.ts';
import { splitList, trimOws } from './list.ts';
import { codingReasons } from './reasons.ts';

/** What becomes of the content coding of a stored response. `reason` is a sentence for `explain`. */
export type CodingDecision =
  /** It has none. */
  | { readonly kind: 'identity' }
  | { readonly kind: 'keep'; readonly reason: string }
  /** Where the proxy knows how. `codings`: in the order in which they were applied. */
  | { readonly kind: 'take-off'; readonly codings: readonly string[]; readonly reason: string };

const none: readonly string[] = [];
const identity: CodingDecision = { kind: 'identity' };

/**
 * A coding is taken off only for a client whose Accept-Encoding rules it out (RFC 9110 §12.5.3), and never where the answer
 * (RFC 9111 §5.2.2.6, RFC 9110 §7.7) or the request (RFC 9111 §5.2.1.6) says no-transform. That is for every intermediary, so
 * that CDN-Cache-Control, which is for caches, has no say in it.
 */
export function decideCoding(fields: FieldLines, requestFields: FieldLines): CodingDecision {
  const value = fieldValue(fields, 'content-encoding');
  const codings = value === undefined ? [] : contentCodings(value);
  if (codings.length === 0) return identity;
  const accepted = fieldValue(requestFields, 'accept-encoding');
  if (codings.every((one) => acceptsCoding(accepted, one))) return { kind: 'keep', reason: codingReasons.accepted };
  if (saysNoTransform(fields)) return { kind: 'keep', reason: codingReasons['no-transform'] };
  if (saysNoTransform(requestFields)) return { kind: 'keep', reason: codingReasons['request-no-transform'] };
  return { kind: 'take-off', codings, reason: codingReasons['ruled-out'] };
}

function saysNoTransform(fields: FieldLines): boolean {
  return parseCacheControl(fieldLineValues(fields, 'cache-control')).has('no-transform');
}

/**
 * Whether a client takes a content coding (RFC 9110 §12.5.3): without Accept-Encoding any. `identity` is taken unless it or
 * `*` has q=0. `x-gzip` is `gzip`, `x-compress` is `compress` (§8.4.1).
 */
export function acceptsCoding(acceptEncoding: string | undefined, coding: string): boolean {
  const wanted = canonicalCoding(coding);
  if (wanted === '' || acceptEncoding === undefined) return true;
  let named: boolean | undefined;
  let any: boolean | undefined;
  for (const member of splitList(acceptEncoding)) {
    const [name = '', ...parameters] = member.split(';');
    const accepted = hasQuality(parameters);
    if (canonicalCoding(name) === wanted) named ??= accepted;
    else if (trimOws(name) === '*') any ??= accepted;
  }
  return named ?? any ?? wanted === 'identity';
}

/** Codings of a Content-Encoding value in the order in which they were applied, identity left out. */
export function contentCodings(contentEncoding: string | undefined): readonly string[] {
  if (contentEncoding === undefined) return none;
  return splitList(contentEncoding)
    .map(canonicalCoding)
    .filter((coding) => coding !== '' && coding !== 'identity');
}

function canonicalCoding(name: string): string {
  const lower = trimOws(name).toLowerCase();
  return lower === 'x-gzip' || lower === 'x-compress' ? lower.slice(2) : lower;
}

/** False for q=0 and for a weight that is no qvalue: what cannot be read is not taken for consent. */
function hasQuality(parameters: readonly string[]): boolean {
  for (const parameter of parameters) {
    const weight = /^[ \t]*q=(?<value>.*)$/is.exec(parameter)?.groups?.['value'];
    if (weight === undefined) continue;
    return /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(trimOws(weight)) && Number(trimOws(weight)) > 0;
  }
  return true;
}
