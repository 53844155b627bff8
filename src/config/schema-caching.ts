import { choice, map, notOneOf, oneOrMany, option, recordOf } from './schema-base.ts';
import { duration, flag, numeric, scalar, size, text } from './schema-scalars.ts';
import { ok, refused } from '../core/problem.ts';
import { quoted } from './units.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const year = 365 * day;
const cacheWords = ['on', 'off', 'true', 'false'];

function ruleDuration(min: number) {
  return duration({ min, max: year });
}

/** A status that can be stored under a rule: final, complete, and not the answer to a condition or a range. */
function statusProblem(status: string): string | undefined {
  if (!/^[2-5]\d\d$/.test(status)) return `${JSON.stringify(status)} is no final status code (200 to 599)`;
  if (!['206', '304', '412', '416'].includes(status)) return undefined;
  return `${status} answers one request's condition or range and is never stored`;
}

const storeIf = map({
  json: option(flag(), 'The body must parse as JSON. Implied by either list.', 'true'),
  exists: option(
    oneOrMany(text({ what: 'an RFC 9535 query' }), 50),
    'RFC 9535 queries (`$.results`) that must each select something.',
  ),
  absent: option(
    oneOrMany(text({ what: 'an RFC 9535 query' }), 50),
    'RFC 9535 queries (`$.error`) that must each select nothing.',
  ),
});

const expireAt = map({
  every: option(
    duration({ min: minute, max: day }),
    'The instants are the multiples of this since 1970 in UTC: `1h` is each full hour. Either this or `daily`.',
  ),
  offset: option(
    duration({ min: 0, max: day }),
    'How much later each `every` is, for models that run at :20. Default: 0.',
  ),
  daily: option(
    scalar({
      what: 'a time of day such as 00:00',
      parse: (written) => {
        const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(written) ?? [];
        if (hours === undefined) return refused(`expected a time of day from 00:00 to 23:59, given ${quoted(written)}`);
        return ok(Number(hours) * 60 + Number(minutes));
      },
      json: { type: 'string', pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$|\\$\\{', 'x-type': 'time of day, hh:mm' },
    }),
    'Once a day, at this local time of `zone`.',
  ),
  zone: option(
    text({ what: 'an IANA time zone, or one parameter or group such as {timezone}' }),
    'Of `daily`: an IANA time zone, or one parameter or group such as `{timezone}` that names it (no group that `forward` leaves out). Default: `UTC`.',
  ),
  fallbackZone: option(
    text({ what: 'an IANA time zone' }),
    'The zone where the parameter or group of `zone` names none (`auto`, or a list of several zones). Default: none; such a response ends at the next quarter of an hour at which it can be that time at the place, since no zone is off by less.',
  ),
  jitter: option(
    duration({ min: 0, max: hour }),
    'Each response outlives the instant by a part of this, told by its key, so that not all are fetched in one second.',
    '30s',
  ),
});

/** Options of a route that say what is stored, and for how long. */
export const caching = {
  cache: option(
    scalar({
      what: 'on or off',
      parse: (word) =>
        cacheWords.includes(word) ? ok(word === 'on' || word === 'true') : refused(notOneOf(word, cacheWords)),
      json: {
        type: ['string', 'boolean'],
        anyOf: [{ enum: [...cacheWords, true, false] }, { type: 'string', pattern: '\\$\\{' }],
        'x-type': 'on or off',
      },
    }),
    '`off`: relayed as it comes, never stored (streams, WebSockets, any method). Of the other options only those of matching, `secret`, `ignore` and `secret` rules of groups then have an effect, so that a route can be switched off without taking it apart; `check` names those that have none.',
    'on',
  ),
  ttl: option(
    ruleDuration(1),
    'How long an answer is fresh. Needed unless `upstreamCacheControl` is `honour`, where it serves for answers that say nothing themselves.',
  ),
  expireAt: option(
    expireAt,
    'On ruled routes: when the data changes upstream. No lifetime by rule reaches past the next such instant from when the request was sent, stale windows begin there.',
  ),
  staleWhileRevalidate: option(
    ruleDuration(0),
    'How long past its freshness an answer is still given at once while a new one is fetched behind it.',
    '0',
  ),
  staleIfError: option(
    ruleDuration(0),
    'How long past its freshness an answer is still given when upstream fails (no connection, timeout, malformed, 5xx, 429). Behind a timeout it is given at once for up to 30 s.',
    '0',
  ),
  softTimeout: option(
    duration({ min: 1, max: hour }),
    'On ruled routes with `staleIfError`: when upstream has not answered for this long, what may be given after a failure is given; the call goes on behind it.',
  ),
  retain: option(
    ruleDuration(1),
    'Hard cap on the time from answer to removal, stale time included. Default: 7d on `honour` routes, else `ttl` plus the longer stale window and at most 7d; never less than `ttl`. By that default an answer with an ETag or Last-Modified is kept one `ttl` longer, to be validated and not served.',
  ),
  upstreamCacheControl: option(
    choice(['ignore', 'cap', 'honour']),
    "`ignore`: `ttl` alone decides. `cap`: upstream's own lifetime, `ttl` at most. `honour`: RFC 9111.",
    'ignore',
  ),
  clientCacheControl: option(
    choice(['ignore', 'honour']),
    "Whether a request's `Cache-Control` is obeyed. Where upstream's is honoured it always is, and `ignore` is refused. Elsewhere `ignore` is the default, since one agent must not burn the quota of all.",
  ),
  heuristicFraction: option(
    numeric({ min: 0, max: 1, whole: false }),
    'On `honour` routes: the part of the time from Last-Modified to Date for which an answer is fresh where neither upstream nor `ttl` says so (RFC 9111 §4.2.2). `0`: none. Default: 0.1.',
  ),
  heuristicMax: option(ruleDuration(1), 'On `honour` routes: the longest such lifetime. Default: 1d.'),
  storeErrors: option(
    choice(['resource', 'all']),
    'On `honour` routes: `resource` stores only those errors that are of the resource, not of one request; `all` stores every final status that RFC 9111 §3 allows. Default: `resource`.',
  ),
  storeFields: option(
    choice(['safe', 'all']),
    'On `honour` routes: `safe` stores no Set-Cookie and no quota fields, which are of one caller; `all` stores what RFC 9111 §3.1 says. Default: `safe`.',
  ),
  statusTtl: option(
    recordOf(ruleDuration(0), { max: 50, name: statusProblem }),
    'Freshness of answers with other status codes than 200 and 203, `{ 404: 1m }`; these may be named too. On ruled routes codes that are not named are never stored; on `honour` routes it is for answers that say nothing themselves.',
    {},
  ),
  storeIf: option(
    storeIf,
    'Checks of the complete body of a 200 before it is stored, for APIs whose 200 can be an error. What fails is passed on, not stored.',
  ),
  onLeaseLost: option(
    choice(['bypass', 'error', 'serve-if-upstream-fails']),
    'With Redis, while the purge log cannot be reached: `bypass` asks upstream and stores nothing; `error` answers 504; `serve-if-upstream-fails` asks upstream, and where that fails gives what is stored, although it may have been purged (`detail=lease`).',
    'bypass',
  ),
  maxStoredBytes: option(size({ min: 1, max: 2 ** 32 }), 'Larger bodies stream through and are not stored.', '8MiB'),
  maxKeyBytes: option(size({ min: 128, max: 65_536 }), 'Longer keys are cut and carry a digest of the whole.', '512'),
  maxKeys: option(
    numeric({ min: 1, max: 100_000_000, whole: true }),
    'Stored responses of this route in memory.',
    '100000',
  ),
};
