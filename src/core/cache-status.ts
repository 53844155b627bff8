import type { FieldLines } from './fields.ts';
import type { CacheStatus } from './outcome.ts';
import type { KeyedRequest } from './request.ts';
import type { Route } from './route.ts';

/** Name of this cache in Cache-Status (RFC 9211 §2). */
const CACHE_NAME = 'forecache';

/** Tokens of Structured Fields (RFC 9651 §3.3.4); anything else has to be a quoted string. */
const token = /^[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*$/;

/** Structured Fields know no integer of more digits (RFC 9651 §3.3.1). */
const MAX_INTEGER = 999_999_999_999_999;

/**
 * Our member of Cache-Status (RFC 9211 §2), for example `forecache; fwd=stale; fwd-status=304`. A hit was not
 * forwarded, so `hit` leaves out `fwd` and all that only goes with it (§2.1, §2.2): the two never come together.
 */
export function formatCacheStatus(status: CacheStatus): string {
  let member: string = CACHE_NAME;
  if (status.hit) member += '; hit';
  else if (status.fwd !== undefined) {
    member += `; fwd=${status.fwd}`;
    if (status.fwdStatus !== undefined) member += `; fwd-status=${integer(status.fwdStatus)}`;
    if (status.stored === true) member += '; stored';
    if (status.collapsed === true) member += '; collapsed';
  }
  if (status.ttl !== undefined) member += `; ttl=${integer(status.ttl)}`;
  if (status.key !== undefined) member += `; key=${quotedString(status.key)}`;
  if (status.detail !== undefined) member += `; detail=${tokenOrString(status.detail)}`;
  return member;
}

/** With the key where the route shows it (RFC 9211 §2.7). A key holds no secret. */
export function withKey(
  status: CacheStatus,
  asked: { readonly route: Pick<Route, 'showKey'>; readonly keyed: Pick<KeyedRequest, 'key'> },
): CacheStatus {
  return asked.route.showKey ? { ...status, key: asked.keyed.key } : status;
}

/**
 * The member of a relayed request, as {@link formatCacheStatus} gives it without a detail, where the answer is a problem of
 * our own. `detail`: how upstream failed, else the code of the problem. `fwdStatus`: what upstream answered, where it did (RFC 9211 §2.3).
 */
export function withDetail(member: string, detail: string, fwdStatus?: number): string {
  const answered = fwdStatus === undefined ? '' : `; fwd-status=${integer(fwdStatus)}`;
  return `${member}${answered}; detail=${tokenOrString(detail)}`;
}

/**
 * The lines with our member behind those of caches nearer to the origin (RFC 9211 §2: the last is nearest to the client).
 * One that calls itself by our name stays too: it is another Forecache, and the last is what this proxy did.
 */
export function appendCacheStatus(fields: FieldLines, value: string): FieldLines {
  return [...fields, ['cache-status', value]];
}

function integer(value: number): string {
  if (Number.isNaN(value)) return '0';
  return String(Math.trunc(Math.min(MAX_INTEGER, Math.max(-MAX_INTEGER, value))) + 0);
}

function tokenOrString(text: string): string {
  return token.test(text) ? text : quotedString(text);
}

/** What is not printable ASCII becomes `?`: nothing can be injected, and the field stays parseable. */
function quotedString(text: string): string {
  return `"${text.replaceAll(/[^\x20-\x7E]/g, '?').replaceAll(/["\\]/g, '\\$&')}"`;
}
