import type { KeyedContent } from './content-key.ts';
import { fieldLineValues, type FieldLine, type FieldLines } from './fields.ts';
import {
  canonicalPath,
  maskedPath,
  rawForwardPath,
  secretDigest,
  type CanonicalPath,
  type Sha256Fn,
} from './key-path.ts';
import { canonicalQuery, rawQueryWithout, type CanonicalQuery } from './key-query.ts';
import { keySteps } from './key-steps.ts';
import { ok, type Result } from './problem.ts';
import { decodePathText, encodeQueryValue } from './query.ts';
import { pathOf, searchTags, searchThatCounts, type SearchRule } from './no-vary-search.ts';
import type { CanonicalRequest, KeyedRequest, KeyStep, ProxyRequest } from './request.ts';
import type { RoutePlan } from './route-plan.ts';
import type { Route } from './route.ts';
import type { RouteMatch } from './route-table.ts';
import { expandTags } from './tags.ts';

export type { Sha256Fn };

/** The parts of a request that can enter a key. */
export interface KeyInput extends Pick<ProxyRequest, 'path' | 'query' | 'host' | 'fields'> {
  /** `undefined`: a GET, or a HEAD, which shares its key. */
  readonly content?: KeyedContent | undefined;
}

/** `#` and a SHA-256 in hex. */
const DIGEST_LENGTH = 65;

/**
 * The cache key and the canonical upstream request (GET, which HEAD shares, unless the request has keyed content), from
 * the same normalised values, so that nothing unkeyed reaches upstream. The key is `ROUTE|TARGET`, then `|NAME=VALUE` for
 * each keyed field that the request has, then `|#METHOD=DIGEST` where content is keyed (RFC 10008 §2.7), in ASCII ({@link searchable} has one more). It is
 * injective: in each part what could be taken for a separator is escaped, a field name holds no `#`, and a cut key ends
 * in `#` and a digest of the whole, a `#` being in that place of no other. Secrets are in it as digests.
 * Refusals are 400s: `parameter-invalid`, `-missing`, `-unknown`, `-repeated` and `target-invalid`.
 */
export function deriveKey(match: RouteMatch, request: KeyInput, sha256: Sha256Fn): Result<KeyedRequest> {
  const { plan } = match;
  const { content } = request;
  const path = canonicalPath(match, request.path, sha256);
  if (!path.ok) return path;
  const query = canonicalQuery(plan, request.query, sha256);
  if (!query.ok) return query;
  const fields = plan.headers.length === 0 ? noFields : keyedFields(plan, request.fields);
  const { target, keyed } = query.value;
  const keyBy = (counted: string | undefined, rule = ''): string => {
    const parts = { plan, target: withQuery(path.value.keyed, counted), fields, content };
    return bounded(keyOf(parts, sha256) + rule, plan.route.maxKeyBytes, sha256);
  };
  const valueBy = (name: string): string | undefined => valueOf(plan, name, path.value, query.value);
  const plain: KeyedRequest = {
    key: keyBy(keyed),
    canonical: {
      upstream: plan.route.upstream,
      ...methodOf(content),
      target: withQuery(path.value.target, target),
      fields,
    },
    url: plan.urlPrefix + withQuery(path.value.url, keyed),
    tags: expandTags(plan.fixedTags, plan.tags, valueBy),
    zone: plan.zoneName === undefined ? undefined : zoneOf(plan, plan.zoneName, valueBy),
    steps: () => keySteps(match, request, sha256),
  };
  if (!plan.route.noVarySearch || content !== undefined) return ok(plain);
  const keyPath = `${plan.keyPrefix}|${path.value.keyed}`;
  return ok(searchable(plain, { route: plan.route, query: keyed, keyPath, keyBy, sha256 }));
}

interface SearchParts {
  readonly route: Pick<Route, 'name' | 'maxKeyBytes'>;
  readonly query: string | undefined;
  readonly keyPath: string;
  readonly keyBy: (counted: string | undefined, rule: string) => string;
  readonly sha256: Sha256Fn;
}

/**
 * The request with the keys that rules of upstream's give it: `|?` and a digest of the rule behind all else, a `?` being in
 * no field name. So what is stored under a rule is found by that rule alone: it is never taken for what is stored for one
 * URL, which a purge of that URL covers and one of another spelling does not.
 */
function searchable(plain: KeyedRequest, { route, query, keyPath, keyBy, sha256 }: SearchParts): KeyedRequest {
  const place = `${route.name}:${pathOf(plain.url)}`;
  const tags = (): readonly string[] =>
    searchTags({ url: plain.url, keyPath, room: route.maxKeyBytes - DIGEST_LENGTH });
  const by = (rule: SearchRule | undefined): KeyedRequest => {
    const search = { place, tags, rule, by };
    if (rule === undefined) return { ...plain, search };
    const counted = searchThatCounts(rule, query);
    const step: KeyStep = {
      part: 'query',
      name: 'query',
      before: query,
      after: counted,
      rule: `No-Vary-Search of upstream: ${rule.text}`,
    };
    return {
      ...plain,
      key: keyBy(counted, `|?${sha256(rule.text).slice(0, RULE_DIGEST_LENGTH)}`),
      tags: [...plain.tags, ...tags()],
      search,
      steps: () => [...plain.steps(), step],
    };
  };
  return by(undefined);
}

/** 64 bits: nobody but upstream itself makes rules for its paths. */
const RULE_DIGEST_LENGTH = 16;

const noFields: FieldLines = [];

const get = { method: 'GET' } as const;

function methodOf(content: KeyedContent | undefined): Pick<CanonicalRequest, 'method' | 'content'> {
  return content === undefined ? get : { method: content.method, content: content.canonical };
}

/** Path and query as a target holds them; an empty query keeps its `?`. */
export function withQuery(path: string, query: string | undefined): string {
  return query === undefined ? path : `${path}?${query}`;
}

function valueOf(plan: RoutePlan, name: string, path: CanonicalPath, query: CanonicalQuery): string | undefined {
  const index = plan.slotOf.get(name);
  return index === undefined ? path.values.get(name) : query.values[index];
}

/** Groups without a rule come as they stand in the path, where the slash of `Europe/Berlin` is escaped. */
function zoneOf(plan: RoutePlan, name: string, valueBy: (name: string) => string | undefined): string | undefined {
  const value = valueBy(name);
  const isRuled = plan.slotOf.has(name) || plan.pathParams.has(name);
  return value === undefined || isRuled ? value : decodePathText(value);
}

/** One line for each keyed field that is present, however many lines it came in: that is what goes upstream. */
function keyedFields(plan: RoutePlan, fields: FieldLines): FieldLines {
  const lines: FieldLine[] = [];
  for (const { name } of plan.headers) {
    const values = fieldLineValues(fields, name);
    // RFC 9113 §8.2.3: cookie pairs are joined by a semicolon, all else by a comma (RFC 9110 §5.3).
    if (values.length > 0) lines.push([name, values.join(name === 'cookie' ? '; ' : ', ')]);
  }
  return lines;
}

interface KeyParts {
  readonly plan: RoutePlan;
  readonly target: string;
  readonly fields: FieldLines;
  readonly content: KeyedContent | undefined;
}

function keyOf({ plan, target, fields, content }: KeyParts, sha256: Sha256Fn): string {
  // Only a raw query can hold a `|`. Doubled it is no separator: after a separator comes a field name, never a `|`.
  const key = `${plan.keyPrefix}|${target.includes('|') ? target.replaceAll('|', '||') : target}`;
  const withFields = fields.length === 0 ? key : key + fieldsPart(plan, fields, sha256);
  return content === undefined ? withFields : `${withFields}|#${content.method}=${sha256(content.identity)}`;
}

function fieldsPart(plan: RoutePlan, fields: FieldLines, sha256: Sha256Fn): string {
  let key = '';
  for (const { name, encodedName, secret } of plan.headers) {
    const line = fields.find((one) => one[0] === name);
    if (line === undefined) continue;
    key += `|${encodedName}=${secret ? secretDigest(sha256, name, line[1]) : encodeQueryValue(line[1])}`;
  }
  return key;
}

function bounded(key: string, maxBytes: number, sha256: Sha256Fn): string {
  if (key.length <= maxBytes) return key;
  return `${key.slice(0, maxBytes - DIGEST_LENGTH)}#${sha256(key)}`;
}

/** True for a key that was cut because it was longer than the route's `maxKeyBytes`. A whole key holds a `#` before a method alone. */
export function isCutKey(key: string, maxBytes: number): boolean {
  return key.length === maxBytes && key.charAt(maxBytes - DIGEST_LENGTH) === '#';
}

/**
 * What may be shown of the URL of a request that is not keyed (relayed, or refused): the path with `***` in the place
 * of secret groups, and `//host` in front where the route names one. No query, of which nothing is known to be harmless.
 */
export function maskedUrl(match: RouteMatch, request: Pick<ProxyRequest, 'path'>): string {
  return match.plan.urlPrefix + maskedPath(match, request.path);
}

/**
 * Path and query upstream of a request that is relayed, never stored: the groups of `forward` put in raw, the query
 * byte for byte but for the parameters that may not leave. Normalising is for what is keyed. Refused with a 400
 * `target-invalid` where the groups, put together, would make a dot segment or a `//` at the beginning.
 */
export function rawTarget(match: RouteMatch, request: Pick<ProxyRequest, 'path' | 'query'>): Result<string> {
  const path = rawForwardPath(match, request.path);
  return path.ok ? ok(withQuery(path.value, rawQueryWithout(match.plan, request.query))) : path;
}
