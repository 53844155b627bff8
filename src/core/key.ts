import { withoutAnyAccept } from './any-accept.ts';
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
import type { CanonicalQuery } from './canonical-query.ts';
import { hashOn } from './hash-on.ts';
import { canonicalQuery, rawQueryWithout } from './key-query.ts';
import { keySteps } from './key-steps.ts';
import { ok, type Result } from './problem.ts';
import { decodePathText, encodeQueryValue } from './query.ts';
import { pathOf, searchTags, searchThatCounts, type SearchRule } from './no-vary-search.ts';
import type {
  CanonicalRequest,
  KeyedRequest,
  KeyedSearch,
  KeyStep,
  KeyValues,
  RequestMemo,
  ProxyRequest,
} from './request.ts';
import type { RoutePlan } from './route-plan.ts';
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
 * each keyed field that the request has, then `|#METHOD=DIGEST` where content is keyed (RFC 10008 §2.7), in ASCII. What is
 * keyed by a rule of upstream for its queries ({@link KeyedSearch}) has `|?` and a digest of the rule too. It is
 * injective: in each part what could be taken for a separator is escaped, a field name holds no `#`, and a cut key ends
 * in `#` and a digest of the whole, a `#` being in that place of no other. Secrets are in it as digests.
 * Refusals are 400s: `parameter-invalid`, `-missing`, `-unknown`, `-repeated` and `target-invalid`.
 */
export function deriveKey(match: RouteMatch, request: KeyInput, sha256: Sha256Fn): Result<KeyedRequest> {
  const { plan } = match;
  const path = canonicalPath(match, request.path, sha256);
  if (!path.ok) return path;
  const query = canonicalQuery(plan, request.query, sha256);
  if (!query.ok) return query;
  const fields = plan.headers.length === 0 ? noFields : keyedFields(plan, request.fields);
  return ok(new Keyed({ match, request, sha256, path: path.value, query: query.value, fields }));
}

/** Whoever keeps the values of a key keeps the whole target that they were taken from: of longer ones the key alone is kept. */
const MAX_COMPARED = 1024;

/** What a key is made of. */
interface KeyParts {
  readonly match: RouteMatch;
  readonly request: KeyInput;
  readonly sha256: Sha256Fn;
  readonly path: CanonicalPath;
  readonly query: CanonicalQuery;
  /** Those that are keyed. */
  readonly fields: FieldLines;
}

/**
 * A request that is answered from memory needs its key and nothing else, and one whose like was just answered not even that, so
 * all is worked out when it is asked for: tags, URL and the call upstream were two fifths of the work of a key.
 */
class Keyed implements KeyedRequest {
  readonly #parts: KeyParts;
  #key: string | undefined;
  #url: string | undefined;
  #tags: readonly string[] | undefined;
  #canonical: CanonicalRequest | undefined;
  #search: KeyedSearch | undefined;
  place: object | undefined = undefined;
  memo: RequestMemo | undefined = undefined;

  constructor(parts: KeyParts) {
    this.#parts = parts;
  }

  get key(): string {
    this.#key ??= keyBy(this.#parts, this.#parts.query.keyed);
    return this.#key;
  }

  get values(): KeyValues | undefined {
    const { match, request, path, query, fields } = this.#parts;
    if (!query.isPlain || fields.length > 0 || request.content !== undefined) return undefined;
    if (request.path.length + (request.query?.length ?? 0) > MAX_COMPARED) return undefined;
    const hash = match.plan.fixedPath === undefined ? hashOn(query.hash, path.keyed) : query.hash;
    return { plan: match.plan, path: path.keyed, values: query.values, hash };
  }

  get url(): string {
    const { match, path, query } = this.#parts;
    this.#url ??= match.plan.urlPrefix + withQuery(path.url, query.keyed);
    return this.#url;
  }

  get tags(): readonly string[] {
    const { plan } = this.#parts.match;
    this.#tags ??= expandTags(plan.fixedTags, plan.tags, (name) => valueOf(this.#parts, name));
    return this.#tags;
  }

  get canonical(): CanonicalRequest {
    this.#canonical ??= canonicalOf(this.#parts);
    return this.#canonical;
  }

  get zone(): string | undefined {
    const { zoneName } = this.#parts.match.plan;
    return zoneName === undefined ? undefined : zoneOf(this.#parts, zoneName);
  }

  get search(): KeyedSearch | undefined {
    const { match, request } = this.#parts;
    if (!match.plan.route.noVarySearch || request.content !== undefined) return undefined;
    this.#search ??= new Search({ plain: this, parts: this.#parts }, undefined);
    return this.#search;
  }

  get steps(): () => readonly KeyStep[] {
    const { match, request, sha256 } = this.#parts;
    return () => keySteps(match, request, sha256);
  }
}

/** `counted`: what of the query counts. `rule`: behind all else, where a rule says so. */
function keyBy(parts: KeyParts, counted: string | undefined, rule = ''): string {
  const { match, path, sha256 } = parts;
  const { plan } = match;
  return bounded(keyOf(parts, withQuery(path.keyed, counted)) + rule, plan.route.maxKeyBytes, sha256);
}

function canonicalOf({ match, request, path, query, fields }: KeyParts): CanonicalRequest {
  return {
    upstream: match.plan.route.upstream,
    ...methodOf(request.content),
    target: withQuery(path.target, query.target),
    fields,
  };
}

interface SearchParts {
  /** As keyed by the query byte for byte. */
  readonly plain: KeyedRequest;
  readonly parts: KeyParts;
}

/**
 * The request with the keys that rules of upstream's give it: `|?` and a digest of the rule behind all else, a `?` being in
 * no field name. So what is stored under a rule is found by that rule alone: it is never taken for what is stored for one
 * URL, which a purge of that URL covers and one of another spelling does not.
 */
class Search implements KeyedSearch {
  readonly rule: SearchRule | undefined;
  readonly #of: SearchParts;

  constructor(of: SearchParts, rule: SearchRule | undefined) {
    this.#of = of;
    this.rule = rule;
  }

  get place(): string {
    const { plain, parts } = this.#of;
    return `${parts.match.plan.route.name}:${pathOf(plain.url)}`;
  }

  tags(): readonly string[] {
    const { plain, parts } = this.#of;
    const { plan } = parts.match;
    const keyPath = `${plan.keyPrefix}|${parts.path.keyed}`;
    return searchTags({ url: plain.url, keyPath, room: plan.route.maxKeyBytes - DIGEST_LENGTH });
  }

  by(rule: SearchRule | undefined): KeyedRequest {
    return rule === undefined ? this.#of.plain : ruledBy(this.#of, rule);
  }
}

function ruledBy(of: SearchParts, rule: SearchRule): KeyedRequest {
  const { plain, parts } = of;
  const { query, sha256 } = parts;
  const counted = searchThatCounts(rule, query.keyed);
  const step: KeyStep = {
    part: 'query',
    name: 'query',
    before: query.keyed,
    after: counted,
    rule: `No-Vary-Search of upstream: ${rule.text}`,
  };
  const search = new Search(of, rule);
  return {
    key: keyBy(parts, counted, `|?${sha256(rule.text).slice(0, RULE_DIGEST_LENGTH)}`),
    canonical: plain.canonical,
    url: plain.url,
    tags: [...plain.tags, ...search.tags()],
    zone: plain.zone,
    search,
    steps: () => [...plain.steps(), step],
  };
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

function valueOf({ match, path, query }: KeyParts, name: string): string | undefined {
  const index = match.plan.slotOf.get(name);
  return index === undefined ? path.values.get(name) : query.values[index];
}

/** Groups without a rule come as they stand in the path, where the slash of `Europe/Berlin` is escaped. */
function zoneOf(parts: KeyParts, name: string): string | undefined {
  const { plan } = parts.match;
  const value = valueOf(parts, name);
  const isRuled = plan.slotOf.has(name) || plan.pathParams.has(name);
  return value === undefined || isRuled ? value : decodePathText(value);
}

/** One line for each keyed field that is present, however many lines it came in: that is what goes upstream. */
function keyedFields(plan: RoutePlan, fields: FieldLines): FieldLines {
  const lines: FieldLine[] = [];
  const counted = withoutAnyAccept(fields);
  for (const { name } of plan.headers) {
    const values = fieldLineValues(counted, name);
    // RFC 9113 §8.2.3: cookie pairs are joined by a semicolon, all else by a comma (RFC 9110 §5.3).
    if (values.length > 0) lines.push([name, values.join(name === 'cookie' ? '; ' : ', ')]);
  }
  return lines;
}

function keyOf({ match, request, fields, sha256 }: KeyParts, target: string): string {
  const { plan } = match;
  const { content } = request;
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
