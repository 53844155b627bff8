import { fieldLineValues, type FieldLine, type FieldLines } from './fields.ts';
import type { Problem } from './problem.ts';

/** Our member in both directions, behind those of other proxies (RFC 9110 §7.6.3). The pseudonym names no host. */
export const VIA: FieldLine = ['via', '1.1 forecache'];

/** Protocol, then who received it: any version, since a client may have come by another. */
const ours = /^\s*[^\s,]+\s+forecache(?:\s|$)/i;

/** How many of our kind a request has passed, as its `Via` says. One that leads back to where it came from has passed them again and again. */
export function hopsOf(fields: FieldLines): number {
  let hops = 0;
  for (const line of fieldLineValues(fields, 'via')) {
    for (const member of line.split(',')) if (ours.test(member)) hops += 1;
  }
  return hops;
}

/** To a request that has passed more of our kind than any chain has (RFC 5842 §7.2). */
export const loopDetected: Problem = {
  status: 508,
  code: 'loop-detected',
  title: 'Loop detected',
  detail:
    'The request has come by this proxy, or others of its kind, again and again: an upstream leads back to one of them.',
};
