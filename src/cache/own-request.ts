import type { FieldLines } from '../core/fields.ts';
import { clientConditions } from '../core/forwarded-fields.ts';
import type { Ask } from './respond.ts';

/**
 * A request that goes upstream as its client sent it, and not as the plain GET of its key: its answer is for that client
 * alone, and nobody waits for it with others.
 */
export interface OwnRequest {
  readonly method: 'GET' | 'HEAD';
  /** The client's own conditions and range: there is nothing stored here that could answer them. */
  readonly conditions: FieldLines;
}

/** Not of a HEAD: there is no part of what is not sent (RFC 9110 §14.2). */
const OF_RANGES: ReadonlySet<string> = new Set(['range', 'if-range']);

/**
 * What of the client's own goes upstream, on `honour` routes: a HEAD as it is, and conditions and a range where nothing is
 * stored (RFC 9111 §4.3.1: what is stored and stale is validated with its own validators, or fetched whole, and answers
 * the client's afterwards). `undefined`: the plain request of the key. On ruled routes always: their one request is the
 * proxy's, and everybody is answered from what comes of it.
 */
export function ownRequestOf(ask: Ask, isStored: boolean): OwnRequest | undefined {
  const { route, keyed, requestFields, head } = ask;
  if (route.policy.upstreamCacheControl !== 'honour' || keyed.canonical.method !== 'GET') return undefined;
  const asked = head || !isStored ? clientConditions(requestFields) : [];
  // A part may hold one half of a credential, in which nobody would find it.
  const conditions = head || route.asksPlain ? asked.filter(([name]) => !OF_RANGES.has(name)) : asked;
  if (head) return { method: 'HEAD', conditions };
  return conditions.length === 0 ? undefined : { method: 'GET', conditions };
}
