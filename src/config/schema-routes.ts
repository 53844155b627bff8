import * as v from 'valibot';
import { MAX_ROUTE_TAGS, MAX_TAGS_FROM_UPSTREAM } from '../core/tags.ts';
import { caching } from './schema-caching.ts';
import { choice, listOf, map, oneOrMany, option, required } from './schema-base.ts';
import { flag, numeric, scalar, size, text } from './schema-scalars.ts';
import { pathRulesByName, queryRulesByName } from './schema-params.ts';
import { countedNameProblem, forwardedFieldProblem, keyedFieldProblem, parseRouteHost } from './words.ts';

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

const matching = {
  name: required(
    text({ what: 'a name', check: (name) => countedNameProblem(name, 'route') }),
    'Name of the route in keys, tags, metrics and purges; unique.',
  ),
  match: required(
    pathText('a URLPattern path such as /weather/:city or /live/*'),
    'Path on the proxy, in URLPattern syntax (the expression of a group has no captures of its own), compared byte for byte. The most specific route wins, whatever the order of the file.',
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

const content = map({
  methods: required(
    oneOrMany(choice(['QUERY', 'POST']), 2),
    'Methods whose answers are stored. A POST that changes anything upstream must not be among them.',
  ),
  as: option(
    choice(['auto', 'json', 'form', 'graphql', 'bytes']),
    'How content enters the key and goes upstream. `auto`: by its Content-Type, as JSON (order of names, spelling of numbers and white space do not count), as a form, else byte for byte. `graphql`: JSON whose `query` is one operation of reading; its white space and comments do not count. An answer with `errors` is never stored then (`storeIf.absent` has `$.errors[*]` beside what is written there).',
    'auto',
  ),
  maxBytes: option(
    // What a client chose to cost most is read for about 0.1 s a MiB, in which nobody else is served.
    size({ min: 1, max: 2 ** 20 }),
    'Bytes of such content. A POST that declares more is relayed, all else is answered 413. By default no more than `server.limits.maxBodyBytes` and `maxContentBytes`.',
    '64KiB',
  ),
});

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
    'Request fields that enter the key and go upstream. `authorization` and `cookie` enter as digests; without being listed they make a request bypass the store, unless the upstream puts on its own on a ruled route.',
  ),
  forwardHeaders: option(
    oneOrMany(
      text({ what: 'a field name or *', check: (name) => (name === '*' ? undefined : forwardedFieldProblem(name)) }),
      50,
    ),
    'On `honour` routes alone: request fields that go upstream without entering the key, since `Vary` keys them; `*` is all but `cookie` and names with other characters than letters, digits and `-` (some servers read `X_Tenant` as `X-Tenant`), which are sent where they are named. With `authorization` (by name or `*`) such requests are looked up and stored as RFC 9111 §3.5 says; with `cookie` by name it is a field as any other, and upstream must vary by it. Default: accept, accept-language, accept-encoding, user-agent.',
  ),
  content: option(
    content,
    'Requests with content that are answered from store too, the content being in the key. Left out: GET and HEAD alone.',
  ),
  noVarySearch: option(
    flag(),
    "Whether upstream's `No-Vary-Search` changes the later keys of a path. Only where the query is keyed as it comes: on `honour` routes without a rule for it, where it is the default.",
  ),
  tags: option(
    listOf(text({ what: 'a tag' }), MAX_ROUTE_TAGS),
    'Tags for purging, with `{name}` for parameters and groups (not for one that `forward` leaves out, which is in no key); `route:NAME` and `upstream:NAME` are always there.',
  ),
  tagsFrom: option(
    oneOrMany(choice(['surrogate-key', 'cache-tag']), 2),
    "Fields of upstream's answers whose members become tags of the stored response. They are not passed on.",
  ),
  maxUpstreamTags: option(
    numeric({ min: 0, max: MAX_TAGS_FROM_UPSTREAM, whole: true }),
    'Tags that one answer of upstream can add, those of `Cache-Groups` counted; one with more is not stored.',
    '64',
  ),
  showKey: option(flag(), 'Whether `Cache-Status` shows the key (RFC 9211 §2.7).', 'false'),
};

const route = map({ ...matching, ...caching, ...keying });

/** The routes, in any order. */
export const routesSchema = v.pipe(listOf(route, 2000, 'needed'));

/** A route with everything left out that can be. */
export function plainRoute(): RouteInput {
  return v.parse(route, { name: 'plain', match: '/', upstream: 'none', ttl: '1s' });
}

export type RouteInput = v.InferOutput<typeof route>;
