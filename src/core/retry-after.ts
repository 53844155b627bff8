import { fieldLineValues, type FieldLines } from './fields.ts';
import { parseHttpDate } from './http-date.ts';

/** Quotas by the day say up to this; what says more is believed no longer, lest one odd answer end warming for a year. */
const longestMs = 86_400_000;

/**
 * For how long an answer asks not to be asked again, in milliseconds, a day at most: Retry-After (RFC 9110 §10.2.3) of a 429
 * (RFC 6585 §4) or a 503 (RFC 9110 §15.6.4). `undefined`: it does not, or says it of nothing but this instant. Of other
 * statuses it means other things.
 */
export function retryAfterMs(status: number, fields: FieldLines, nowMs: number): number | undefined {
  if (status !== 429 && status !== 503) return undefined;
  const [text = '', ...others] = fieldLineValues(fields, 'retry-after');
  if (others.length > 0) return undefined;
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1000 : (parseHttpDate(text, nowMs) ?? nowMs) - nowMs;
  return waitMs > 0 ? Math.min(waitMs, longestMs) : undefined;
}
