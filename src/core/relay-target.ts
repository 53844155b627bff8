import type { RelayReason } from './classify-request.ts';
import { deriveKey, rawTarget, type KeyInput, type Sha256Fn } from './key.ts';
import { ok, type Result } from './problem.ts';
import type { RouteMatch } from './route-table.ts';

/** Why a request is relayed, and what a key needs. */
interface RelayContext {
  readonly reason: RelayReason;
  readonly sha256: Sha256Fn;
}

/**
 * Path and query upstream of a request that is relayed. A GET or HEAD that only its fields keep from the store has the
 * target that a look-up would have: a cookie must not switch the route's rules off. Refused with the same 400s, then.
 * Other methods, upgrades and routes without caching speak to upstream in its own words.
 */
export function relayTarget(match: RouteMatch, request: KeyInput, context: RelayContext): Result<string> {
  if (!followsRules(context.reason)) return rawTarget(match, request);
  const keyed = deriveKey(match, request, context.sha256);
  return keyed.ok ? ok(keyed.value.canonical.target) : keyed;
}

/** Whether the route's parameter rules hold for a request that is relayed for this reason. */
export function followsRules(reason: RelayReason): boolean {
  return ruled[reason];
}

const ruled: Readonly<Record<RelayReason, boolean>> = {
  authorization: true,
  cookie: true,
  precondition: true,
  'post-if-none-match': true,
  'method-override': true,
  'cache-off': false,
  method: false,
  upgrade: false,
  'content-type': false,
  'content-coding': false,
  'content-length': false,
  'content-invalid': false,
  content: false,
  'graphql-url': false,
};
