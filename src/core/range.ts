import type { FieldLines } from './fields.ts';
import { fieldLineValues, fieldValue } from './fields.ts';
import { parseHttpDate } from './http-date.ts';
import { stronglyEqual } from './preconditions.ts';
import type { StoredResponse } from './stored-response.ts';

/** Which part of a stored response a GET gets. */
export type RangeDecision =
  | { readonly kind: 'whole' }
  /** 206 with the bytes from `start` to `end`, both inclusive. */
  | { readonly kind: 'partial'; readonly start: number; readonly end: number }
  /** 416: {@link unsatisfiableFields} in `response-fields.ts`. */
  | { readonly kind: 'unsatisfiable' };

const whole: RangeDecision = { kind: 'whole' };

/**
 * Range and If-Range of a GET against a stored response (RFC 9110 §14.2, §13.1.5). Only a stored 200 is cut, and only
 * into one part: several ranges, other units and invalid values are ignored, as §14.2 allows.
 *
 * @param length bytes of the representation that would be sent whole
 */
export function decideRange(
  requestFields: FieldLines,
  stored: Pick<StoredResponse, 'status' | 'fields' | 'responseTimeMs'>,
  length: number,
): RangeDecision {
  const lines = fieldLineValues(requestFields, 'range');
  if (lines.length !== 1 || stored.status !== 200) return whole;
  const groups = /^bytes=[ \t]*(?<first>[0-9]*)-(?<last>[0-9]*)[ \t]*$/i.exec(lines[0] ?? '')?.groups;
  if (groups === undefined || !ifRangeHolds(fieldLineValues(requestFields, 'if-range'), stored)) return whole;
  return cut(groups['first'] ?? '', groups['last'] ?? '', length);
}

/** `first` and `last` are digits or empty (RFC 9110 §14.1.2). */
function cut(first: string, last: string, length: number): RangeDecision {
  if (first === '') {
    if (last === '') return whole;
    const suffix = Number(last);
    if (suffix === 0) return { kind: 'unsatisfiable' };
    // Nothing can be the last bytes of nothing, but no Content-Range can say so either.
    return length === 0 ? whole : { kind: 'partial', start: Math.max(0, length - suffix), end: length - 1 };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return whole;
  if (start >= length) return { kind: 'unsatisfiable' };
  return { kind: 'partial', start, end: last === '' ? length - 1 : Math.min(Number(last), length - 1) };
}

/**
 * Strong comparison alone (RFC 9110 §13.1.5): a part of one version must not be joined to a part of another. A date is a
 * strong validator only when it is at least a second older than the response (§8.8.2.2), and must match exactly.
 */
function ifRangeHolds(lines: readonly string[], stored: Pick<StoredResponse, 'fields' | 'responseTimeMs'>): boolean {
  const condition = lines[0];
  if (condition === undefined) return true;
  if (lines.length > 1) return false;
  if (condition.startsWith('"') || condition.startsWith('W/')) {
    const etag = fieldValue(stored.fields, 'etag');
    return etag !== undefined && stronglyEqual(condition, etag);
  }
  const timeOf = (value: string | undefined): number | undefined => parseHttpDate(value ?? '', stored.responseTimeMs);
  const dateMs = timeOf(fieldValue(stored.fields, 'date'));
  const modifiedMs = timeOf(fieldValue(stored.fields, 'last-modified'));
  if (dateMs === undefined || modifiedMs === undefined) return false;
  return timeOf(condition) === modifiedMs && modifiedMs + 1000 <= dateMs;
}
