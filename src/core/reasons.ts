import type { RelayReason } from './classify-request.ts';
import type { FreshnessSource, StaleForbidder } from './freshness.ts';
import type { PassReason } from './storage-policy.ts';

/** Why a response is not stored, in words, for `explain`. */
export const passReasons: Readonly<Record<PassReason, string>> = {
  method: 'an answer to HEAD has no content to store; it only freshens what is stored (RFC 9111 §4.3.5)',
  status: 'the rule gives this status no lifetime, or it is an answer to the conditions of one request (RFC 9111 §3)',
  partial: 'a part of the content is not stored (206, RFC 9111 §3.3)',
  'vary-star':
    'Vary: *, or more fields or longer names than are gone by: no later request can be known to match (RFC 9111 §4.1)',
  authorization:
    'the request had Authorization, and the answer has none of public, must-revalidate and s-maxage (RFC 9111 §3.5)',
  cookie: 'the request had a Cookie that neither the key nor Vary could tell apart (RFC 9111 §7.3)',
  'request-no-store': 'the request says no-store (RFC 9111 §5.2.1.5)',
  'no-store': 'upstream says no-store (RFC 9111 §5.2.2.5)',
  private: 'upstream says private, and this is a shared cache (RFC 9111 §5.2.2.7)',
  'not-understood': 'upstream says must-understand, and the status code is not known here (RFC 9111 §5.2.2.3)',
  'no-freshness':
    'nobody gives a lifetime, and without one there is no leave to store it, or nothing to validate it by (RFC 9111 §3)',
  'no-cache':
    'upstream says no-cache, and there is no validator: it could not be used even once (RFC 9111 §5.2.2.4, §4.3.1)',
  'stale-on-arrival':
    'it is stale already, no window lets it be served stale, and there is no validator (RFC 9111 §4.2, §4.3.1)',
  'request-error':
    'a field of this one request that the key does not hold may have caused the error (storeErrors: resource; RFC 9111 §7.1)',
  'not-explicit':
    'an answer to POST needs explicit freshness, and for later GETs a Content-Location that equals the target URI (RFC 9110 §9.3.3)',
};

/** Why a request is relayed without being looked up, in words, for `explain`. */
export const relayReasons: Readonly<Record<RelayReason, string>> = {
  'cache-off': 'the route is not cached',
  method: 'the method is neither GET nor HEAD, nor one whose content the route keys (RFC 9111 §4, RFC 9110 §9.2.3)',
  upgrade: 'the request asks for another protocol (Upgrade, RFC 9110 §7.8)',
  authorization:
    'the request has Authorization, which the route does not key, so nothing may be shared (RFC 9111 §3.5)',
  cookie: 'the request has a Cookie, which the route does not key, so nothing may be shared (RFC 9111 §7.3)',
  'method-override': 'the request names another method in a field that goes upstream (RFC 9111 §7.1)',
  precondition: 'only upstream can evaluate If-Match and If-Unmodified-Since (RFC 9111 §4.3.2)',
  'post-if-none-match': 'If-None-Match of a POST asks that nothing be there yet, which is no query (RFC 9110 §13.1.2)',
  'content-type': 'the route does not read content of this type, so it cannot be in the key (RFC 10008 §2.7)',
  'content-coding': 'the content is coded, and only what it means could be in the key (RFC 9110 §8.4, RFC 10008 §2.7)',
  'content-length': 'the content is longer than content.maxBytes, so it cannot be in the key (RFC 10008 §2.7)',
  'content-invalid': 'the content has no one meaning that could be in the key (RFC 10008 §2.7)',
  'graphql-url': 'the URL says by itself what a GraphQL server may do, so it must reach upstream (RFC 9110 §9.2.1)',
  content: 'the content is not one GraphQL operation that only reads, so it must reach upstream (RFC 9110 §9.2.1)',
};

/** Who gave the lifetime, in words, for `explain`. */
export const freshnessReasons: Readonly<Record<FreshnessSource, string>> = {
  'rule ttl': "the route's ttl, counted from the response (RFC 9111 §4.2.2)",
  'rule statusTtl': "the route's statusTtl for this status, counted from the response (RFC 9111 §4.2.2)",
  cap: "the route's ttl, which upstream's own lifetime is longer than (RFC 9111 §4.2.1)",
  expireAt: 'the next instant at which the data changes, by expireAt with the jitter of this key (RFC 9111 §4.2)',
  'cdn-cache-control':
    'CDN-Cache-Control, beside which Cache-Control and Expires do not count (RFC 9213 §2.2, RFC 9111 §4.2.1)',
  's-maxage': "upstream's s-maxage (RFC 9111 §4.2.1, §5.2.2.10)",
  'max-age': "upstream's max-age (RFC 9111 §4.2.1, §5.2.2.1)",
  expires: "upstream's Expires less its Date (RFC 9111 §4.2.1, §5.3)",
  heuristic: 'a part of Date less Last-Modified, since nobody gives a lifetime (RFC 9111 §4.2.2)',
  none: 'nobody gives a lifetime, so it is validated on each use (RFC 9111 §4.2, §4.3)',
};

/** {@link freshnessReasons} for a source that was read from a store; what an older version wrote there is shown as it is. */
export function freshnessReason(source: string): string {
  return new Map<string, string>(Object.entries(freshnessReasons)).get(source) ?? source;
}

const byRule = 'the route gives this status a lifetime, and nothing forbids storing it (RFC 9111 §3, §4.2.2)';
const byExplicit = 'a final answer with explicit freshness, and nothing forbids storing it (RFC 9111 §3)';
const withoutExplicit = 'its status may be stored without explicit freshness, or it says public (RFC 9111 §3, §4.2.2)';

/** Why a response may be stored, by who gave its lifetime, in words, for `explain`. */
export const storableReasons: Readonly<Record<FreshnessSource, string>> = {
  'rule ttl': byRule,
  'rule statusTtl': byRule,
  cap: byRule,
  expireAt: byRule,
  'cdn-cache-control': byExplicit,
  's-maxage': byExplicit,
  'max-age': byExplicit,
  expires: byExplicit,
  heuristic: withoutExplicit,
  none: `${withoutExplicit}, and it has a validator (§4.3.1)`,
};

/** {@link storableReasons}, as {@link freshnessReason}. */
export function storableReason(source: string): string {
  return new Map<string, string>(Object.entries(storableReasons)).get(source) ?? source;
}

/** Directives of a response that forbid to serve it stale, in words, for `explain`. */
export const staleForbidderReasons = {
  'no-cache': 'upstream says no-cache (RFC 9111 §5.2.2.4)',
  'must-revalidate': 'upstream says must-revalidate (RFC 9111 §5.2.2.2)',
  'proxy-revalidate': 'upstream says proxy-revalidate (RFC 9111 §5.2.2.8)',
  's-maxage': 'upstream says s-maxage, which implies proxy-revalidate (RFC 9111 §5.2.2.10)',
} as const satisfies Readonly<Record<StaleForbidder | 'no-cache', string>>;

/** The directives of a request that are known here, with the section that defines each. */
export const clientDirectiveSections: ReadonlyMap<string, string> = new Map([
  ['max-age', 'RFC 9111 §5.2.1.1'],
  ['max-stale', 'RFC 9111 §5.2.1.2'],
  ['min-fresh', 'RFC 9111 §5.2.1.3'],
  ['no-cache', 'RFC 9111 §5.2.1.4'],
  ['no-store', 'RFC 9111 §5.2.1.5'],
  ['no-transform', 'RFC 9111 §5.2.1.6'],
  ['only-if-cached', 'RFC 9111 §5.2.1.7'],
  ['stale-if-error', 'RFC 5861 §4'],
]);

/** What reuse is decided for. */
export const reuseReasons = {
  fresh: 'fresh (RFC 9111 §4.2)',
  stale: 'stale (RFC 9111 §4.2)',
  forbidden: 'stale, and must-revalidate or its like forbids serving it (RFC 9111 §4.2.4)',
  'past-retention': 'kept for longer than retain allows',
  'request-no-cache': 'the request says no-cache (RFC 9111 §5.2.1.4)',
  'no-cache': 'upstream says no-cache: validated on every use (RFC 9111 §5.2.2.4)',
  'max-age': "older than the request's max-age (RFC 9111 §5.2.1.1)",
  'min-fresh': "fresh for less than the request's min-fresh (RFC 9111 §5.2.1.3)",
  'stale-while-revalidate': 'stale within stale-while-revalidate (RFC 5861 §3)',
  'max-stale': "stale within the request's max-stale (RFC 9111 §5.2.1.2)",
  'vary-miss': 'no stored variant matches (RFC 9111 §4.1)',
  'uri-miss': 'nothing stored under this key',
  'only-if-cached': 'the request says only-if-cached (RFC 9111 §5.2.1.7)',
} as const satisfies Readonly<Record<string, string>>;

/** What becomes of a stored content coding, and why. */
export const codingReasons = {
  accepted: 'the client takes it: what Accept-Encoding does not rule out is accepted (RFC 9110 §12.5.3)',
  'no-transform': 'the answer says no-transform (RFC 9111 §5.2.2.6, RFC 9110 §7.7)',
  'request-no-transform': 'the request says no-transform (RFC 9111 §5.2.1.6)',
  'ruled-out': "the client's Accept-Encoding rules it out (RFC 9110 §12.5.3)",
} as const satisfies Readonly<Record<string, string>>;

/** What an answer to a failure is decided for. */
export const failureReasons = {
  'no-failure': 'no failure: stale-if-error covers 5xx and 429 (RFC 5861 §4)',
  'stale-if-error': 'within stale-if-error (RFC 5861 §4)',
  'request-stale-if-error': "within the request's stale-if-error (RFC 5861 §4)",
  disconnected: 'disconnected from upstream (RFC 9111 §4.2.4)',
  nothing: 'nothing stored',
  error: 'the stored response is an error itself and stale, so no better than another (RFC 5861 §4)',
  forbidden: 'the stored response may not be served stale (RFC 9111 §4.2.4)',
  'cut-off': 'disconnected, and must-revalidate or its like forbids a stale answer, so 504 (RFC 9111 §5.2.2.2)',
} as const satisfies Readonly<Record<string, string>>;

/** What the answer to a HEAD is taken for. */
export const headReasons = {
  updated: 'validators and length of the HEAD are those that are stored: freshened by its fields (RFC 9111 §4.3.5)',
  differs: 'the HEAD tells of another representation than the stored one (RFC 9111 §4.3.5)',
  varies: 'the HEAD names fields in Vary that the stored response is not told apart by (RFC 9111 §4.1, §4.3.5)',
  confirmed: 'the 304 to the HEAD has a validator that is stored: freshened by its fields (RFC 9111 §4.3.4, §4.3.5)',
  ignored: 'only a 200 to HEAD, or a 304 with its validator, says anything of what is stored (RFC 9111 §4.3.4, §4.3.5)',
} as const satisfies Readonly<Record<string, string>>;

/** What an answer after `softTimeout` is decided for. */
export const softTimeoutReasons = {
  served: 'upstream is slow, and the stored response is within a stale window (RFC 5861 §3, §4)',
  'no-rule': 'the route has no softTimeout',
  error: 'the stored response is an error itself and stale, so no better than waiting (RFC 5861 §4)',
  forbidden: 'must-revalidate or its like forbids a stale answer (RFC 9111 §4.2.4)',
  'too-old': 'the stored response is past its stale windows (RFC 5861 §3, §4)',
  request: 'the request asks for a validated or a younger response (RFC 9111 §5.2.1)',
} as const satisfies Readonly<Record<string, string>>;

/** Why an answer whose head allows storing is not stored all the same, by what the metrics call it. */
const bodyReasons: ReadonlyMap<string, string> = new Map([
  ['too-large', 'its content is larger than maxStoredBytes'],
  ['tags', 'it has more tags, or longer ones, than are read, so that some purge would not find it'],
  ['close-delimited', 'nothing proves that its content is complete (RFC 9112 §8)'],
  ['no-lease', 'no lease on the purge log, so nothing is stored'],
  ['upstream-malformed', 'an answer to a condition or a range that was not sent (RFC 9110 §15.3.7, §15.4.5, §15.5.17)'],
]);

/** Words for a token that says why an answer is not stored: {@link passReasons}, or what else can be in the way. */
export function passReason(token: string): string {
  return new Map<string, string>(Object.entries(passReasons)).get(token) ?? bodyReasons.get(token) ?? token;
}

/** What else an answer of upstream's can come to. */
export const answerReasons = {
  freshened: 'it confirms what is stored, which lives on with its fields (RFC 9111 §4.3.4)',
  unconfirmed:
    'it confirms another response than the stored one, which goes, and the whole is fetched (RFC 9111 §4.3.4)',
  refused: 'it is refused as no valid answer (RFC 9110 §15.6.3), and is no better than none',
  outdone: 'what is stored is served in its place',
  unasked: 'upstream would not be asked',
  behind: 'a refresh behind a stale answer that fails leaves what is stored as it is (RFC 5861 §3)',
  'one-way':
    'it may be about the way of this request alone, of which CDN-Loop has told upstream, so that nothing is stored or given in its place (RFC 8586 §2)',
  'post-unkept':
    'an answer to POST is stored for later GETs only with explicit freshness and a Content-Location that equals the target URI, and where the POST told upstream no more than a GET would (RFC 9110 §9.3.3)',
  'post-kept': 'its Content-Location says that it is what a GET of this URL would get (RFC 9110 §9.3.3)',
} as const satisfies Readonly<Record<string, string>>;
