import { BoundedMemo } from './bounded-memo.ts';
import type { FieldLine, FieldLines } from './fields.ts';
import { fieldLineValues, hasField } from './fields.ts';
import { splitList } from './list.ts';
import type { CachePolicy } from './route.ts';

/** Fields of one connection only (RFC 9110 §7.6.1, RFC 9111 §3.1). */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Fields meant for every recipient, which are "never appropriate as a connection option" (RFC 9110 §7.6.1). Nominating
 * one must not take it away: `Connection: cache-control` would else turn a `no-store` answer into a storable one.
 */
const neverNominated: ReadonlySet<string> = new Set([
  'age',
  'authorization',
  'cache-control',
  'cdn-cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expires',
  'host',
  'vary',
]);

/** Names of one exchange, wrong for whoever gets the stored response later. */
const perExchange: ReadonlySet<string> = new Set([
  'cf-ray',
  'request-id',
  'traceparent',
  'tracestate',
  'x-amz-apigw-id',
  'x-amz-cf-id',
  'x-amz-id-2',
  'x-amz-request-id',
  'x-amzn-requestid',
  'x-amzn-trace-id',
  // OpenWeatherMap echoes the query there, credentials included.
  'x-cache-key',
  'x-cloud-trace-context',
  'x-correlation-id',
  'x-edge-request-id',
  'x-request-id',
  'x-trace-id',
]);

/** What tracing puts on requests beside these (W3C Baggage, B3). */
const tracing = /^(?:baggage|b3|x-b3-[a-z]{1,20})$/;

/** As ids are spelt; a W3C tracestate may have 512 characters. */
const idText = /^[\w.:=;,/+@*| -]{0,512}$/;

/**
 * The lines that tell one kind of request from another: without those that only name the exchange, whose values differ with
 * each. One that looks like no id stays, since its length or a character may be what upstream stumbles over.
 */
export function withoutExchangeIds(fields: FieldLines): FieldLines {
  return fields.filter(([name, value]) => !((perExchange.has(name) || tracing.test(name)) && idText.test(value)));
}

/** RateLimit, RateLimit-Policy, Rate-Limit-Reset, X-RateLimit-Remaining-Day, X-App-Rate-Limit, X-Quota-Left, … */
const rateLimit = /^(?:x-)?(?:[a-z0-9]+-)*(?:rate-?limit|quota)(?:$|-)|^x-weatherapi-qpm-left$/;

/** True for fields that tell a caller how much of its quota is left: from store they are wrong for everybody. */
function isRateLimitField(name: string): boolean {
  return name.length <= 128 && rateLimit.test(name);
}

/** The lines without hop-by-hop fields and without those that Connection nominates (RFC 9110 §7.6.1). */
export function endToEnd(fields: FieldLines): FieldLines {
  // Asked for several times with every miss, and after the first of nothing but end-to-end lines: nothing is copied then.
  if (!fields.some(isHopByHop)) return fields;
  const nominated = nominatedBy(fields);
  if (nominated.size === 0) return fields.filter(isEndToEnd);
  return fields.filter((line) => isEndToEnd(line) && !nominated.has(line[0]));
}

function isHopByHop(line: FieldLine): boolean {
  return hopByHop.has(line[0]);
}

/** Most names have another length than all of these, which is told without hashing them. */
const lengths: readonly boolean[] = Array.from({ length: 32 }, (_, length) =>
  [...hopByHop].some((name) => name.length === length),
);

/** Of a name in lower case. */
export function isHopByHopName(name: string): boolean {
  return lengths[name.length] === true && hopByHop.has(name);
}

function isEndToEnd(line: FieldLine): boolean {
  return !hopByHop.has(line[0]);
}

/** Names that Connection takes away beside those that always go. */
function nominatedBy(fields: FieldLines): ReadonlySet<string> {
  let nominated: Set<string> | undefined;
  for (const value of fieldLineValues(fields, 'connection')) {
    // What nearly all say: it is hop-by-hop itself.
    if (value === 'keep-alive' || value === 'Keep-Alive') continue;
    for (const option of splitList(value)) {
      const name = option.toLowerCase();
      if (!neverNominated.has(name)) (nominated ??= new Set()).add(name);
    }
  }
  return nominated ?? nothing;
}

const nothing: ReadonlySet<string> = new Set();

/**
 * The lines that are stored and replayed (RFC 9111 §3.1). In every mode hop-by-hop fields and Age go (it is computed anew).
 * Without `storeFields: all` so do Set-Cookie (one caller's cookie is nobody else's) and rate-limit fields; on ruled routes
 * also what names one exchange, upstream's Cache-Status (ours is the first member there) and the Retry-After of an answer
 * that is no error.
 */
export function storableFields(fields: FieldLines, policy: CachePolicy, status = 200): FieldLines {
  const ruled = policy.upstreamCacheControl !== 'honour';
  const safe = policy.storeFields === 'safe';
  return endToEnd(fields).filter(([name]) => {
    if (name === 'age' || (safe && isOfOneCaller(name))) return false;
    if (!ruled) return true;
    return !(perExchange.has(name) || name === 'cache-status' || (name === 'retry-after' && status < 300));
  });
}

/** Of names that answers had: upstreams send the same ones each time, and the pattern takes longer than finding them here. */
const ofOneCaller = new BoundedMemo<'yes' | 'no'>(512);

/** Names of fields that are one caller's: cookies and quota. Each once. */
export function fieldsOfOneCaller(fields: FieldLines): readonly string[] {
  return [...new Set(endToEnd(fields).map(([name]) => name))].filter(isOfOneCaller);
}

function isOfOneCaller(name: string): boolean {
  const known = ofOneCaller.get(name);
  if (known !== undefined) return known === 'yes';
  const is = name === 'set-cookie' || name === 'set-cookie2' || isRateLimitField(name);
  // Longer ones are matched anew each time: what is kept is bounded in bytes, too.
  if (name.length <= MAX_KEPT_NAME) ofOneCaller.set(name, is ? 'yes' : 'no');
  return is;
}

const MAX_KEPT_NAME = 64;

/** True where the request asks for another protocol (RFC 9110 §7.8); a bare `h2c` offer may be and is ignored. */
export function asksForUpgrade(fields: FieldLines): boolean {
  if (!hasField(fields, 'upgrade')) return false;
  const options = fieldLineValues(fields, 'connection').flatMap((value) => splitList(value.toLowerCase()));
  if (!options.includes('upgrade')) return false;
  const protocols = fieldLineValues(fields, 'upgrade').flatMap((value) => splitList(value.toLowerCase()));
  return protocols.some((protocol) => protocol !== '' && protocol !== 'h2c');
}
