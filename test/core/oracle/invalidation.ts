/**
 * A second statement of what the answer to a request makes invalid: RFC 9111 §4.4, with RFC 3986 §5.2 and RFC 9110 §4.3 for
 * the URIs in it, read character by character. Choices (`own`): of what a cache MAY invalidate the URIs of Location and
 * Content-Location are taken; the origin is that of the target URI as the client names it, of either scheme since TLS may have
 * ended in front of the proxy, or as the proxy itself calls it upstream; each line counts of a field that has one value and comes in
 * several; a URL goes as it is spelt and in its plain spelling, since keys hold the bytes of requests; routes that are not honoured lose nothing, since a POST
 * to them is a query as often as not.
 */
import * as fc from 'fast-check';
import { type InvalidateDeps, invalidationBy } from '../../../src/cache/invalidate.ts';
import { matchRoute } from '../../../src/core/route-table.ts';
import type { Route } from '../../../src/core/route.ts';
import { sha256, StoreSetUp } from '../../support/operations.ts';
import { honourRoute, requestOf, routeOf } from '../../support/policy.ts';
import { lineOf, of, some } from './cases.ts';
import { type Line, linesOf } from './literal-fields.ts';
import { type Clause, type Coverage, describeMembers, differ, firstOf, type Part } from './part.ts';

/** A request that was relayed, and the head of its answer. */
interface Answered {
  readonly method: string;
  readonly path: string;
  readonly query: string | undefined;
  /** The client's Host. */
  readonly host: string;
  readonly status: number;
  readonly answer: readonly Line[];
}

/** Where on the proxy the paths with a prefix lead. */
interface Place {
  readonly prefix: string;
  readonly mode: 'honour' | 'cap' | 'ignore' | 'off';
  readonly upstream: 'weather' | 'twin' | 'events';
}

const PLACES: readonly Place[] = [
  { prefix: '/h/', mode: 'honour', upstream: 'weather' },
  { prefix: '/twin/', mode: 'honour', upstream: 'twin' },
  { prefix: '/other/', mode: 'honour', upstream: 'events' },
  { prefix: '/cap/', mode: 'cap', upstream: 'weather' },
  { prefix: '/ruled/', mode: 'ignore', upstream: 'weather' },
  { prefix: '/off/', mode: 'off', upstream: 'weather' },
];

/** `twin` is the same origin as `weather` under another name. */
const ORIGINS: Readonly<Record<Place['upstream'], Origin>> = {
  weather: { scheme: 'http', host: 'weather.test', port: 80 },
  twin: { scheme: 'http', host: 'weather.test', port: 80 },
  events: { scheme: 'https', host: 'events.test', port: 8443 },
};

interface Origin {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
}

const placeOf = (path: string): Place | undefined => PLACES.find(({ prefix }) => path.startsWith(prefix));

/** RFC 3986 §3: the parts of a reference. */
interface Reference {
  readonly scheme: string | undefined;
  readonly authority: string | undefined;
  readonly path: string;
  readonly query: string | undefined;
}

function literalReference(text: string): Reference {
  let rest = text;
  const take = (end: number, more = 0): string => {
    const taken = rest.slice(0, end);
    rest = rest.slice(end + more);
    return taken;
  };
  const before = (...marks: readonly string[]): number => {
    const found = marks.map((mark) => rest.indexOf(mark)).filter((index) => index !== -1);
    return Math.min(...found, rest.length);
  };
  const colon = rest.indexOf(':');
  const hasScheme = colon !== -1 && colon < before('/', '?', '#') && isScheme(rest.slice(0, colon));
  const scheme = hasScheme ? take(colon, 1).toLowerCase() : undefined;
  let authority: string | undefined;
  if (rest.startsWith('//')) {
    rest = rest.slice(2);
    authority = take(before('/', '?', '#'));
  }
  const path = take(before('?', '#'));
  // Behind `#` comes the fragment, which names no other resource.
  const query = rest.startsWith('?') ? rest.slice(1).split('#')[0] : undefined;
  return { scheme, authority, path, query };
}

const isLetter = (char: string): boolean => char >= 'a' && char <= 'z';

function isScheme(text: string): boolean {
  const [first = '', ...others] = text.toLowerCase().split('');
  return isLetter(first) && others.every((char) => isLetter(char) || '0123456789+-.'.includes(char));
}

/** RFC 3986 §5.2.4, step by step, as it is written there. */
function removeDotSegments(path: string): string {
  let [input, output] = [path, ''];
  while (input !== '') {
    if (input.startsWith('../')) input = input.slice(3);
    else if (input.startsWith('./')) input = input.slice(2);
    else if (input.startsWith('/./')) input = input.slice(2);
    else if (input === '/.') input = '/';
    else if (input.startsWith('/../') || input === '/..') {
      input = input === '/..' ? '/' : input.slice(3);
      output = output.slice(0, Math.max(output.lastIndexOf('/'), 0));
    } else if (input === '.' || input === '..') input = '';
    else {
      const next = input.indexOf('/', 1);
      const end = next === -1 ? input.length : next;
      output += input.slice(0, end);
      input = input.slice(end);
    }
  }
  return output;
}

/** Path and query of the reference, against those of the target (RFC 3986 §5.2.2, §5.2.3). */
function resolved(reference: Reference, base: Answered): Pick<Answered, 'path' | 'query'> {
  const { authority, path, query } = reference;
  if (authority !== undefined) return { path: path === '' ? '/' : removeDotSegments(path), query };
  if (path === '') return { path: base.path, query: query ?? base.query };
  const merged = path.startsWith('/') ? path : base.path.slice(0, base.path.lastIndexOf('/') + 1) + path;
  return { path: removeDotSegments(merged), query };
}

/** Scheme, host and port (RFC 9110 §4.3.1); `undefined` where there is no host, or user information before it. */
function originOf(scheme: string, authority: string): Origin | undefined {
  const [host = '', port = '', ...more] = authority.toLowerCase().split(':');
  if (host === '' || host.includes('@') || more.length > 0) return undefined;
  const byDefault = scheme === 'https' ? 443 : 80;
  return { scheme, host: host.endsWith('.') ? host.slice(0, -1) : host, port: port === '' ? byDefault : Number(port) };
}

const isSame = (one: Origin | undefined, other: Origin | undefined): boolean =>
  one !== undefined && other !== undefined && JSON.stringify(one) === JSON.stringify(other);

/** A reference in an answer. */
interface Named {
  readonly one: Answered;
  readonly reference: Reference;
  readonly target: Pick<Answered, 'path' | 'query'>;
}

function isSameOrigin({ one, reference: { scheme, authority } }: Named): boolean {
  if (authority === undefined) return true;
  const own = placeOf(one.path);
  // RFC 3986 §5.2.2: where it names no scheme it has that of its base, which upstream's origin is to upstream.
  const ofUpstream = own && ORIGINS[own.upstream];
  if (ofUpstream !== undefined && isSame(originOf(scheme ?? ofUpstream.scheme, authority), ofUpstream)) return true;
  const schemes = scheme === undefined ? ['http', 'https'] : [scheme];
  return schemes.some((each) => isSame(originOf(each, authority), originOf(each, one.host)));
}

/** What is a path of a request (RFC 3986 §3.3), and none that this proxy refuses: `//` in front, dot segments in any spelling. */
function isTarget(path: string): boolean {
  if (!path.startsWith('/') || path.startsWith('//')) return false;
  if (path.split('').some((char) => char <= ' ' || '"<>[]\\^`{|}'.includes(char))) return false;
  return !path.split('/').some((segment) => ['.', '..'].includes(segment.toLowerCase().replaceAll('%2e', '.')));
}

const SAFE = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY'];

type Nothing = Clause<Answered> & { readonly invalidates: boolean };

/** Whether the answer invalidates anything: the first that holds. */
const triggers: readonly Nothing[] = [
  {
    id: 'I1',
    of: 'RFC 9111 §4.4, RFC 9110 §9.2.1, RFC 10008',
    says: 'a safe method: GET, HEAD, OPTIONS, TRACE, QUERY',
    holds: ({ method }) => SAFE.includes(method),
    invalidates: false,
  },
  {
    id: 'I2',
    of: 'RFC 9111 §4.4',
    says: 'no non-error response: neither 2xx nor 3xx',
    holds: ({ status }) => status < 200 || status > 399,
    invalidates: false,
  },
  {
    id: 'I3',
    of: 'own',
    says: 'a route that is not honoured',
    holds: ({ path }) => placeOf(path)?.mode !== 'honour',
    invalidates: false,
  },
  {
    id: 'I4',
    of: 'RFC 9111 §4.4',
    says: 'a non-error response to an unsafe method, known or not: the target URI',
    holds: () => true,
    invalidates: true,
  },
];

/** Whether a URI in such an answer is invalid too: the first that holds. */
const candidates: readonly (Clause<Named> & { readonly invalidates: boolean })[] = [
  {
    id: 'I5',
    of: 'RFC 9110 §4.2',
    says: 'not an http or https URI',
    holds: ({ reference: { scheme, authority } }) =>
      scheme !== undefined && (!['http', 'https'].includes(scheme) || authority === undefined),
    invalidates: false,
  },
  {
    id: 'I6',
    of: 'RFC 9111 §4.4',
    says: 'its origin differs from that of the target URI',
    holds: (named) => !isSameOrigin(named),
    invalidates: false,
  },
  {
    id: 'I7',
    of: 'own',
    says: 'no target that this proxy would accept',
    holds: ({ target }) => !isTarget(target.path),
    invalidates: false,
  },
  {
    id: 'I8',
    of: 'own',
    says: 'nothing is stored by upstream’s words there: no route, or not an honoured one',
    holds: ({ target }) => placeOf(target.path)?.mode !== 'honour',
    invalidates: false,
  },
  {
    id: 'I9',
    of: 'RFC 9111 §4.4',
    says: 'another upstream answers there: another origin, whatever the two are called here',
    holds: ({ one, target }) => {
      const [own, other] = [placeOf(one.path), placeOf(target.path)];
      return own !== undefined && other !== undefined && !isSame(ORIGINS[own.upstream], ORIGINS[other.upstream]);
    },
    invalidates: false,
  },
  {
    id: 'I10',
    of: 'RFC 9111 §4.4',
    says: 'Location and Content-Location of the same origin are candidates, and taken',
    holds: () => true,
    invalidates: true,
  },
];

/** The URLs that are invalid, sorted, each once. */
function literalInvalid(one: Answered, coverage?: Coverage): readonly string[] {
  if (!firstOf(triggers, one, coverage).invalidates) return [];
  const urls = new Set([urlOf(one)]);
  for (const text of ['location', 'content-location'].flatMap((name) => linesOf(one.answer, name))) {
    const reference = literalReference(text);
    const target = resolved(reference, one);
    if (!firstOf(candidates, { one, reference, target }, coverage).invalidates) continue;
    urls.add(urlOf(target));
    urls.add(plain(urlOf(target)));
  }
  return [...urls].toSorted();
}

const UNRESERVED = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~';

/** RFC 9110 §4.2.3, RFC 3986 §6.2.2: what needs no percent-encoding without it, the rest in upper case. */
function plain(text: string): string {
  const [first = '', ...pieces] = text.split('%');
  const decoded = pieces.map((piece) => {
    const [digits, rest] = [piece.slice(0, 2), piece.slice(2)];
    const char = UNRESERVED.split('').find((one) => one.charCodeAt(0).toString(16) === digits.toLowerCase());
    return (char ?? `%${digits.toUpperCase()}`) + rest;
  });
  return first + decoded.join('');
}

const urlOf = ({ path, query }: Pick<Answered, 'path' | 'query'>): string =>
  query === undefined ? path : `${path}?${query}`;

const reference = fc
  .tuple(
    of('', '', '', '', 'http:', 'http:', 'https:', 'HTTP:', 'ftp:', 'mailto:'),
    of(
      '',
      '',
      '',
      '//proxy.test:8080',
      '//PROXY.test:8080',
      '//proxy.test',
      '//proxy.test:80',
      '//proxy.test:443',
      '//weather.test',
      '//Weather.test.:80',
      '//weather.test:',
      '//events.test:8443',
      '//evil.test',
      '//user@proxy.test:8080',
      '//proxy.test@evil.test',
      '//',
    ),
    of(
      '',
      '/h/b',
      '/h/./b/../c',
      '/h/x/..',
      '/../h/.b',
      'b',
      './b:c',
      '../h/b',
      '../../twin/b/.',
      '..',
      '.',
      '/twin/a',
      '/other/a',
      '/cap/a',
      '/ruled/a',
      '/off/a',
      '/none',
      '/h//b',
      '/h/..//evil.test',
      '/h/%2E%2e/x',
      '/h/a b',
      "/h/'b'%41",
      '/h/%c3%a4%7E',
      String.raw`/h\b`,
    ),
    of('', '', '?x=1', '?y=/../..', '?', '?%79'),
    of('', '', '', '#part', '#a?b'),
  )
  .map((parts) => parts.join(''));

const answeredCases: fc.Arbitrary<Answered> = fc
  .record({
    method: of('POST', 'PUT', 'PATCH', 'DELETE', 'M-SEARCH', 'ANY', 'GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'get'),
    path: of('/h/a', '/h/a', '/h/d/e/', '/twin/a', '/other/a', '/cap/a', '/ruled/a', '/off/a'),
    query: of(undefined, undefined, 'x=1'),
    host: of('proxy.test:8080', 'proxy.test', 'Proxy.test:443'),
    status: of(200, 200, 201, 204, 299, 301, 303, 399, 400, 404, 500, 503),
    location: some(60, reference),
    second: some(5, reference),
    contentLocation: some(40, reference),
  })
  .map(({ location, second, contentLocation, ...rest }) => ({
    ...rest,
    answer: [
      ...lineOf('location', location),
      ...lineOf('location', location === undefined ? undefined : second),
      ...lineOf('content-location', contentLocation),
    ],
  }));

const routes: readonly Route[] = PLACES.map(({ prefix, mode, upstream }) => {
  const about = { name: prefix.slice(1, -1), match: `${prefix}*`, upstream, rawQuery: true };
  if (mode === 'honour') return honourRoute({}, about);
  return mode === 'off' ? honourRoute({}, { ...about, cache: 'off' }) : routeOf({ upstreamCacheControl: mode }, about);
});

const setUp = new StoreSetUp(routes);

const deps: InvalidateDeps = {
  table: setUp.table,
  store: setUp.store,
  purgeLog: setUp.purgeLog,
  upstreams: new Map(
    Object.entries(ORIGINS).map(([name, { scheme, host, port }]) => [
      name,
      { origin: `${scheme}://${host}:${port}`, totalTimeoutMs: 1 },
    ]),
  ),
  sha256,
};

/** The function that {@link invalidationPart} holds against the rules. */
export interface InvalidationPolicy {
  readonly invalidationBy: typeof invalidationBy;
}

function difference(one: Answered, policy: InvalidationPolicy, coverage?: Coverage): string | undefined {
  const { method, path, query, host, status, answer } = one;
  const fields: readonly Line[] = [['host', host]];
  const request = requestOf({ method, path, query, host: host.toLowerCase().replace(/:[0-9]*$/, ''), fields });
  const match = matchRoute(setUp.table, request);
  if (match === undefined) throw new Error(`no route for ${path}`);
  const found = policy.invalidationBy(
    deps,
    { match, request },
    { status, fields: answer, requestTimeMs: 0, responseTimeMs: 0 },
  );
  const urls = literalInvalid(one, coverage);
  return (
    differ(
      'scopes',
      found?.scopes.toSorted() ?? [],
      urls.map((url) => `u:${url}`),
    ) ?? differ('keys', found?.keys.toSorted() ?? [], urls.map((url) => `${url.split('/')[1]}|${url}`).toSorted())
  );
}

export const invalidationPart: Part<Answered, InvalidationPolicy> = {
  name: 'invalidation by unsafe methods (RFC 9111 §4.4)',
  clauses: [...triggers, ...candidates],
  cases: answeredCases,
  policy: { invalidationBy },
  difference,
  describe: describeMembers,
};
