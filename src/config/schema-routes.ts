import * as v from 'valibot';
import { choice, listOf, map, notOneOf, oneOrMany, option, recordOf, required } from './schema-base.ts';
import { duration, flag, numeric, scalar, size, text } from './schema-scalars.ts';
import { ok, refused } from '../core/problem.ts';
import { pathRulesByName, queryRulesByName } from './schema-params.ts';
import { forwardedFieldProblem, keyedFieldProblem, nameProblem, parseRouteHost } from './words.ts';

const day = 86_400_000;
const year = 365 * day;
const cacheWords = ['on', 'off', 'true', 'false'];

function ruleDuration(min: number) {
  return duration({ min, max: year });
}

function pathText(what: string) {
  return text({
    what,
    check: (value) => (value.startsWith('/') ? undefined : 'must begin with /'),
    json: { type: 'string', pattern: '^/|\\$\\{' },
  });
}

function parameterName() {
  return text({
    what: 'a parameter name',
    check: (value) => (value.length > 256 ? 'is longer than 256 characters' : undefined),
  });
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

const matching = {
  name: required(
    text({ what: 'a name', check: nameProblem }),
    'Name of the route in keys, tags, metrics and purges; unique.',
  ),
  match: required(
    pathText('a URLPattern path such as /weather/:city or /live/*'),
    'Path on the proxy, in URLPattern syntax, compared byte for byte. The most specific route wins, whatever the order of the file.',
  ),
  host: option(
    scalar({ what: 'a host', parse: parseRouteHost, json: { type: 'string', 'x-type': 'a host name or address' } }),
    'Host (without port) that the request must name. Such routes come before those of any host.',
  ),
  listener: option(
    text({ what: 'the name of a listener' }),
    'Listener by which the request must have come; `default` is `server.listen`.',
  ),
  upstream: required(text({ what: 'the name of an upstream' }), 'Name of the upstream that is asked.'),
  forward: option(
    pathText('a path'),
    'Path upstream, with `{group}` for named groups of `match` and `{0}` for its first `*`. Left out: the path as received.',
  ),
};

const caching = {
  cache: option(
    scalar({
      what: 'on or off',
      parse: (word) =>
        cacheWords.includes(word) ? ok(word === 'on' || word === 'true') : refused(notOneOf(word, cacheWords)),
      json: { type: ['string', 'boolean'], enum: [...cacheWords, true, false], 'x-type': 'on or off' },
    }),
    '`off`: relayed as it comes, never stored (streams, WebSockets, any method). Of the other options only those of matching, `secret`, `ignore` and `secret` rules of groups then have an effect, so that a route can be switched off without taking it apart; `check` names those that have none.',
    'on',
  ),
  ttl: option(
    ruleDuration(1),
    'How long an answer is fresh. Needed unless `upstreamCacheControl` is `honour`, where it serves for answers that say nothing themselves.',
  ),
  staleWhileRevalidate: option(
    ruleDuration(0),
    'How long past its freshness an answer is still given at once while a new one is fetched behind it.',
    '0',
  ),
  staleIfError: option(
    ruleDuration(0),
    'How long past its freshness an answer is still given when upstream fails (no connection, timeout, malformed, 5xx, 429).',
    '0',
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
    "Whether a request's `Cache-Control` is obeyed. Default: `honour` on routes that honour upstream's, else `ignore`, since one agent must not burn the quota of all.",
  ),
  statusTtl: option(
    recordOf(ruleDuration(0), { max: 50, name: statusProblem }),
    'Freshness of answers with other status codes, `{ 404: 1m }`; codes that are not named are never stored.',
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

const keying = {
  query: option(
    queryRulesByName(),
    'Typed parameters by name; they make the key and the canonical upstream request.',
    {},
  ),
  pathParams: option(
    pathRulesByName(),
    'Typed named groups of `match`, by group name; rules as under `query`, without `alias` and `repeat`.',
    {},
  ),
  unknownQuery: option(
    choice(['keep', 'drop', 'reject']),
    'Parameters without a rule: `keep` keys and forwards them, `drop` does neither, `reject` answers 400.',
    'keep',
  ),
  ignore: option(
    oneOrMany(parameterName(), 500),
    'Parameters that are neither keyed nor forwarded, such as `utm_source`.',
  ),
  secret: option(
    oneOrMany(parameterName(), 100),
    "Like `ignore`, whatever their case, and never shown. The names in the upstream's `credentials.query` are secret already.",
  ),
  headers: option(
    oneOrMany(text({ what: 'a field name', check: keyedFieldProblem }), 50),
    'Request fields that enter the key and go upstream. `authorization` and `cookie` enter as digests; without being listed they make a request bypass the store.',
  ),
  forwardHeaders: option(
    oneOrMany(
      text({ what: 'a field name or *', check: (name) => (name === '*' ? undefined : forwardedFieldProblem(name)) }),
      50,
    ),
    'On `honour` routes alone: request fields that go upstream without entering the key, since `Vary` keys them; `*` is all. Default: accept, accept-language, accept-encoding, user-agent.',
  ),
  tags: option(
    listOf(text({ what: 'a tag' }), 50),
    'Tags for purging, with `{name}` for parameters and groups; `route:NAME` and `upstream:NAME` are always there.',
  ),
};

const route = map({ ...matching, ...caching, ...keying });

/** The routes, in any order. */
export const routesSchema = v.pipe(listOf(route, 2000, 'needed'));

export type RouteInput = v.InferOutput<typeof route>;
