import { formatCacheStatus, withKey } from '../core/cache-status.ts';
import { decideCoding } from '../core/content-coding.ts';
import { type FieldLine, type FieldLines, hasField, withoutFields } from '../core/fields.ts';
import { failureProblem } from '../core/failure-policy.ts';
import { standingOf } from '../core/freshness.ts';
import type { CacheStatus, OutcomeName, Tier } from '../core/outcome.ts';
import { evaluatePreconditions } from '../core/preconditions.ts';
import type { Problem } from '../core/problem.ts';
import { decideRange } from '../core/range.ts';
import type { KeyedRequest } from '../core/request.ts';
import {
  decodedFields,
  notModifiedFields,
  partialFields,
  replyFields,
  unsatisfiableFields,
} from '../core/response-fields.ts';
import type { Route } from '../core/route.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { VIA } from '../core/via.ts';
import type { FillResult } from './fill-types.ts';
import type { ClientLink } from './handled.ts';
import type { CodedContent, DecodedContents } from './decoded-contents.ts';
import { problemReply } from './problem-reply.ts';
import type { MaybePromise, ProxyResponse, ResponseBody } from './ports.ts';

/** A request on a cached route, keyed. */
export interface Ask {
  readonly route: Route;
  readonly keyed: KeyedRequest;
  readonly requestFields: FieldLines;
  /** Of `special-fields.ts`; absent: nobody has looked yet. */
  readonly special?: number | undefined;
  readonly head: boolean;
  /** Who asks, where interim responses can be sent there. */
  readonly client?: ClientLink | undefined;
}

/** What of a request its answer is labelled by. */
export interface Asked extends Pick<Ask, 'route' | 'head'> {
  readonly keyed: Pick<KeyedRequest, 'key' | 'url'>;
}

/** How a stored response is to be answered with. */
export interface StoredReply {
  readonly item: StoredResponse;
  readonly staleSinceMs: number | undefined;
  readonly nowMs: number;
  readonly status: CacheStatus;
  readonly outcome: OutcomeName;
  readonly tier: Tier | undefined;
}

/** What an answer that is not stored is labelled with. */
export interface PassedReply {
  readonly status: CacheStatus;
  readonly outcome: OutcomeName;
}

const OK = 200;

/** Answers with a stored response: 304, 206 or whole, in its coding or, where the client rules that out, without. */
export function respondStored(
  { decoded }: { readonly decoded: DecodedContents },
  ask: Ask,
  reply: StoredReply,
): MaybePromise<ProxyResponse> {
  const { item } = reply;
  const fields = fieldsOf(ask, reply);
  if (evaluatePreconditions(ask.requestFields, item) === 'not-modified') {
    const own = isTakenOff(ask, item) ? decodedFields(fields) : fields;
    return labelledStored(ask, { status: 304, fields: notModifiedFields(own), body: { kind: 'none' } }, reply);
  }
  const coded = codedFor(ask, item);
  if (coded === undefined || (ask.head && !decoded.knows(coded))) return asItIs(ask, reply, fields);
  const identity = decodedFields(fields);
  // Its length alone would be of use to a HEAD, and may be left out (RFC 9110 §9.3.2).
  if (ask.head) return ofUnknownLength(ask, reply, identity);
  return (
    decoded.decode(coded, ask.client)?.then(
      // Both forms share validators, which makes these weak (RFC 9110 §8.8.1): no If-Range may join parts of the two.
      (bytes) => sized(ask, reply, { fields: identity, bytes, validators: [] }),
      (error: unknown) => undecoded(ask, reply, decoded.problemOf(error)),
    ) ?? asItIs(ask, reply, fields)
  );
}

function asItIs(ask: Ask, reply: StoredReply, fields: FieldLine[]): ProxyResponse {
  const { item } = reply;
  return sized(ask, reply, { fields, bytes: item.body, validators: item.fields });
}

function ofUnknownLength(ask: Ask, reply: StoredReply, stored: FieldLine[]): ProxyResponse {
  const { status } = reply.item;
  return labelledStored(ask, { status, fields: withRanges(stored, status), body: { kind: 'none' } }, reply);
}

/** Answers with the whole stored response in its coding, for requests that ask for nothing else. */
export function respondWhole(asked: Asked, reply: StoredReply): ProxyResponse {
  const { status, body } = reply.item;
  return labelledStored(asked, content(status, withRanges(fieldsOf(asked, reply), status), body), reply);
}

/** The caller's own: what is made of them may be put into them. */
function fieldsOf({ route }: Pick<Asked, 'route'>, { item, staleSinceMs, nowMs, tier }: StoredReply): FieldLine[] {
  const { ttlMs } = standingOf(item, staleSinceMs, nowMs);
  return replyFields(item, { ttlMs, forwarded: tier === undefined }, route.policy, nowMs);
}

/** Which ranges can be had is the proxy's to say, whatever upstream said. */
function withRanges(fields: FieldLine[], status: number): FieldLine[] {
  if (status !== OK) return fields;
  const own = hasField(fields, 'accept-ranges') ? withoutFields(fields, RANGES) : fields;
  own.push(BYTE_RANGES);
  return own;
}

/**
 * The client cannot take it as it is, and upstream's coding is not what it says, or unpacks past the route's limit.
 *
 * @param noRoom there is nothing wrong with it, but no room for it either
 */
function undecoded(ask: Ask, { status: { fwd }, item }: StoredReply, noRoom: Problem | undefined): ProxyResponse {
  const meta = { route: ask.route.name, upstream: ask.route.upstream, url: ask.keyed.url };
  // Of what was fetched just now; a stored response was not forwarded.
  const forwarded = fwd === undefined ? {} : { fwd, fwdStatus: item.status };
  const problem = noRoom ?? failureProblem('malformed');
  return problemReply(problem, {
    meta,
    cacheStatus: withKey({ hit: false, ...forwarded, detail: noRoom?.code ?? 'undecodable' }, ask),
    head: ask.head,
  });
}

/** Whether the 200 to this request would be without the stored coding, and so with a weak ETag (RFC 9110 §15.4.5). */
function isTakenOff({ requestFields }: Ask, { body, fields }: StoredResponse): boolean {
  return body.length > 0 && decideCoding(fields, requestFields).kind === 'take-off';
}

/** What has to be decoded, where the client rules the stored coding out. */
function codedFor(ask: Ask, item: StoredResponse): CodedContent | undefined {
  if (item.body.length === 0) return undefined;
  const coding = decideCoding(item.fields, ask.requestFields);
  if (coding.kind !== 'take-off') return undefined;
  const { maxStoredBytes } = ask.route.policy;
  return { key: item.key, coding: coding.codings.join(', '), body: item.body, maxBytes: maxStoredBytes };
}

interface Content {
  /** Its own. */
  readonly fields: FieldLine[];
  readonly bytes: Buffer;
  /** Lines whose ETag and Last-Modified an If-Range may go by. */
  readonly validators: FieldLines;
}

/** The whole, a part of it, or word that there is no such part (RFC 9110 §14, §15.3.7, §15.5.17). */
function sized(ask: Ask, reply: StoredReply, { fields: stored, bytes, validators }: Content): ProxyResponse {
  const { length } = bytes;
  const { status, responseTimeMs } = reply.item;
  const fields = withRanges(stored, status);
  // Range means nothing but in a GET (RFC 9110 §14.2).
  const range = ask.head
    ? WHOLE
    : decideRange(ask.requestFields, { status, responseTimeMs, fields: validators }, length);
  switch (range.kind) {
    case 'whole':
      return labelledStored(ask, content(status, fields, bytes), reply);
    case 'partial': {
      const part = bytes.subarray(range.start, range.end + 1);
      return labelledStored(ask, content(206, partialFields(fields, range, length), part), reply);
    }
    case 'unsatisfiable':
      return labelledStored(
        ask,
        content(416, [...withoutFields(fields, OF_STORED), ...unsatisfiableFields(length)], EMPTY),
        reply,
      );
  }
}

const WHOLE = { kind: 'whole' } as const;
const EMPTY = Buffer.alloc(0);
const BYTE_RANGES: FieldLine = ['accept-ranges', 'bytes'];
const RANGES: ReadonlySet<string> = new Set(['accept-ranges']);
/** They are of the stored content, or say how long that may be kept: a 416 is about neither (RFC 9110 §15.5.17). */
const OF_STORED: ReadonlySet<string> = new Set([
  'age',
  'cache-control',
  'cdn-cache-control',
  'content-digest',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-md5',
  'content-type',
  'digest',
  'etag',
  'expires',
  'last-modified',
  'repr-digest',
  'surrogate-control',
]);

interface Shaped {
  readonly status: number;
  /** Its own: what every answer carries is put into them, where each copy of them was a part of what a miss costs. */
  readonly fields: FieldLine[];
  readonly body: ResponseBody;
}

function content(status: number, fields: FieldLine[], bytes: Buffer): Shaped {
  const own = hasField(fields, 'content-length') ? withoutFields(fields, REPEATED) : fields;
  // 204 and 1xx never have a Content-Length (RFC 9110 §8.6).
  if (status === 204) return { status, fields: own, body: { kind: 'none' } };
  own.push(['content-length', String(bytes.length)]);
  return { status, fields: own, body: { kind: 'bytes', bytes } };
}

/** Written anew for what is really sent. */
const REPEATED: ReadonlySet<string> = new Set(['content-length']);

/** A complete answer that is not stored. */
export function respondAnswer(
  ask: Ask,
  result: Extract<FillResult, { kind: 'answer' }>,
  reply: PassedReply,
): ProxyResponse {
  return labelled(ask, content(result.status, [...result.fields], result.bytes), { ...reply, tier: undefined });
}

/** An answer that is passed on as it comes. */
export function respondStream(
  ask: Ask,
  result: Extract<FillResult, { kind: 'stream' }>,
  reply: PassedReply,
): ProxyResponse {
  const { chunks, length } = result;
  const fields = withoutFields(result.fields, REPEATED);
  // 204 never has a Content-Length (RFC 9110 §8.6).
  const unsized = length === undefined || result.status === 204;
  const sizedFields: FieldLine[] = unsized ? fields : [...fields, ['content-length', String(length)]];
  const body: ResponseBody = { kind: 'stream', chunks, length, cancel: () => result.cancel() };
  if (ask.head || result.status === 204) {
    result.cancel();
    return labelled(
      ask,
      { status: result.status, fields: sizedFields, body: { kind: 'none' } },
      { ...reply, tier: undefined },
    );
  }
  return labelled(ask, { status: result.status, fields: sizedFields, body }, { ...reply, tier: undefined });
}

/** An answer without content whose fields may well tell of one (RFC 9110 §9.3.2, §15.4.5). */
export function respondBare(
  ask: Ask,
  result: Extract<FillResult, { kind: 'bare' }>,
  reply: PassedReply,
): ProxyResponse {
  // 204 never has a Content-Length (RFC 9110 §8.6).
  const fields = result.status === 204 ? withoutFields(result.fields, REPEATED) : [...result.fields];
  return labelled(ask, { status: result.status, fields, body: { kind: 'none' } }, { ...reply, tier: undefined });
}

/** `fwd-status` where what was fetched just now is sent under another status (RFC 9211 §2.3). */
function labelledStored(ask: Asked, shaped: Shaped, reply: StoredReply): ProxyResponse {
  const { status, item, tier } = reply;
  const differs = tier === undefined && status.fwdStatus === undefined && item.status !== shaped.status;
  return labelled(ask, shaped, differs ? { ...reply, status: { ...status, fwdStatus: item.status } } : reply);
}

/** Puts on what every answer of a route carries. */
function labelled(ask: Asked, shaped: Shaped, reply: PassedReply & { readonly tier: Tier | undefined }): ProxyResponse {
  const { fields } = shaped;
  fields.push(VIA, ['cache-status', formatCacheStatus(withKey(reply.status, ask))]);
  return {
    status: shaped.status,
    fields,
    body: ask.head ? { kind: 'none' } : shaped.body,
    meta: {
      outcome: reply.outcome,
      route: ask.route.name,
      upstream: ask.route.upstream,
      tier: reply.tier,
      fwd: reply.status.fwd,
      problem: undefined,
      url: ask.keyed.url,
    },
  };
}
