import { contentCodings } from './content-coding.ts';
import { fieldLineValues, fieldValue, type FieldLines } from './fields.ts';
import { canonicalForm } from './form-text.ts';
import type { GraphqlReader } from './graphql-text.ts';
import { canonicalJson } from './json-text.ts';
import { formatMediaType, isJsonType, type MediaType, parseMediaType } from './media-type.ts';
import { refused, type Problem } from './problem.ts';
import { decodeQueryText, parseQuery } from './query.ts';
import type { CanonicalContent } from './request.ts';
import type { ContentMethod, ContentRules } from './route.ts';

/** How the content of one request is read. */
export interface ContentForm {
  readonly method: ContentMethod;
  readonly as: 'json' | 'form' | 'graphql' | 'bytes';
  /** Its media type, normalised; empty where the request names none. */
  readonly type: string;
}

/** Content as it enters a key. */
export interface KeyedContent {
  readonly method: ContentMethod;
  readonly canonical: CanonicalContent;
  /** What the digest in the key is made of: everything that tells this content from other content. */
  readonly identity: string;
  /** For `explain`: content may be personal, so it is measured and not shown. */
  readonly step: { readonly before: string; readonly after: string; readonly rule: string };
}

/** What content came to. */
export type ContentOutcome =
  | { readonly kind: 'keyed'; readonly content: KeyedContent }
  /** Not to be looked up; `why` says of the content what it is or does, in a few words. */
  | {
      readonly kind: 'relay';
      readonly fwd: 'method' | 'bypass';
      readonly reason: ContentRelayReason;
      readonly why: string;
    }
  | { readonly kind: 'reject'; readonly problem: Problem };

/** Why a request with a method that its route names is relayed all the same. A token. */
export type ContentRelayReason =
  /** Of a type that the route does not read. */
  | 'content-type'
  /** Only what it means could be keyed. */
  | 'content-coding'
  /** More than the route reads, as its length says. */
  | 'content-length'
  /** It has no one meaning. Known once it is there. */
  | 'content-invalid'
  /** It may do more than read. Known once it is there. */
  | 'content'
  /** The URL says by itself what a GraphQL server may do. */
  | 'graphql-url';

/** A request that announces content to be keyed. */
export interface Announcing {
  readonly method: ContentMethod;
  readonly fields: FieldLines;
  /** Raw query; `undefined` without a `?`. */
  readonly query: string | undefined;
}

/** What the head of a request says of its content. */
export type AnnouncedContent =
  | { readonly kind: 'read'; readonly form: ContentForm }
  | { readonly kind: 'relay'; readonly fwd: 'bypass'; readonly reason: ContentRelayReason }
  | { readonly kind: 'reject'; readonly problem: Problem };

/**
 * How the route reads the content that a request announces. What it does not read of a POST goes upstream as it did before
 * the route had `content`: the method promises no more. A QUERY that no answer can be keyed by is refused: with a 415
 * where its content is coded, with a 400 where it does not say what its content is (RFC 10008 §2).
 */
export function announcedContent(rules: ContentRules, asks: Announcing): AnnouncedContent {
  const { method, fields } = asks;
  const isCoded = contentCodings(fieldValue(fields, 'content-encoding')).length > 0;
  const types = fieldLineValues(fields, 'content-type');
  const media = types.length === 1 ? parseMediaType(types.join('')) : undefined;
  if (method === 'QUERY') {
    if (isCoded) return { kind: 'reject', problem: coded };
    if (media === undefined) return { kind: 'reject', problem: types.length === 0 ? untyped : badlyTyped };
  } else {
    if (isCoded) return unread('content-coding');
    if (types.length > 1) return unread('content-type');
  }
  const form = formOf(rules, { method, media, given: types.join('') });
  return form === undefined ? unread('content-type') : ofForm(rules, asks, form);
}

function ofForm(
  { maxBytes }: ContentRules,
  { method, fields, query }: Announcing,
  form: ContentForm,
): AnnouncedContent {
  if (form.as === 'graphql' && saysGraphql(query)) return unread('graphql-url');
  // Of a QUERY whoever reads it says so.
  const isLong = method === 'POST' && Number(fieldValue(fields, 'content-length') ?? 0) > maxBytes;
  return isLong ? unread('content-length') : { kind: 'read', form };
}

function unread(reason: ContentRelayReason): AnnouncedContent {
  return { kind: 'relay', fwd: 'bypass', reason };
}

/** Whether a GraphQL server could take the URL for a request, or a part of one. */
function saysGraphql(query: string | undefined): boolean {
  return parseQuery(query).some(({ rawName }) => urlMembers.has(decodeQueryText(rawName) ?? rawName));
}

/** GraphQL over HTTP, and the names by which some servers find a document. */
const urlMembers: ReadonlySet<string> = new Set([
  'query',
  'operationName',
  'variables',
  'extensions',
  'id',
  'documentId',
]);

interface Typed {
  readonly method: ContentMethod;
  readonly media: MediaType | undefined;
  /** As it came; empty where it did not. */
  readonly given: string;
}

function formOf(rules: ContentRules, { method, media, given }: Typed): ContentForm | undefined {
  if (media === undefined) {
    return rules.as === 'auto' || rules.as === 'bytes' ? { method, as: 'bytes', type: given } : undefined;
  }
  const found = textForm(media);
  const as = readAs(rules, found);
  const type = formatMediaType(found === 'json' ? withoutCharset(media) : media);
  return as === undefined ? undefined : { method, as, type };
}

function readAs({ as }: ContentRules, found: 'json' | 'form' | undefined): ContentForm['as'] | undefined {
  switch (as) {
    case 'auto':
      return found ?? 'bytes';
    case 'bytes':
      return 'bytes';
    case 'json':
    case 'graphql':
      return found === 'json' ? as : undefined;
    case 'form':
      return found === 'form' ? 'form' : undefined;
  }
}

/**
 * The content in the one spelling that is keyed and goes upstream.
 *
 * @param graphql there where the route is read as GraphQL; throws where it is not
 */
export function readContent(form: ContentForm, bytes: Uint8Array, graphql?: GraphqlReader): ContentOutcome {
  switch (form.as) {
    case 'json':
    case 'graphql':
      return readJson(form, bytes, graphql);
    case 'form': {
      const text = canonicalForm(latin1(bytes));
      return text.ok ? keyed(form, bytes, text.value, 'form, canonical') : invalid(form, text.error);
    }
    case 'bytes': {
      const canonical = { type: form.type, bytes };
      return { kind: 'keyed', content: keyedOf(form, canonical, latin1(bytes), [bytes.length, 'byte for byte']) };
    }
  }
}

function readJson(form: ContentForm, bytes: Uint8Array, graphql: GraphqlReader | undefined): ContentOutcome {
  const text = utf8(bytes);
  const json = text === undefined ? refused('is not UTF-8 text') : canonicalJson(text);
  if (!json.ok) return invalid(form, json.error);
  if (form.as === 'json') return keyed(form, bytes, json.value.text, 'JSON, canonical');
  if (graphql === undefined) throw new Error('a route is read as GraphQL, and nothing reads it');
  const request = graphql(json.value, form.method === 'QUERY');
  if (request.kind === 'other') return { kind: 'relay', fwd: 'method', reason: 'content', why: `is ${request.why}` };
  return keyed(form, bytes, request.text, 'GraphQL query, canonical');
}

function keyed(form: ContentForm, received: Uint8Array, text: string, rule: string): ContentOutcome {
  const canonical = { type: form.type, bytes: new TextEncoder().encode(text) };
  return { kind: 'keyed', content: keyedOf(form, canonical, text, [received.length, rule]) };
}

function keyedOf(
  { method, as, type }: ContentForm,
  canonical: CanonicalContent,
  text: string,
  [receivedBytes, rule]: readonly [number, string],
): KeyedContent {
  return {
    method,
    canonical,
    // A type holds no line break, so what follows it is all text.
    identity: `${as}\n${type}\n${text}`,
    step: { before: measured(type, receivedBytes), after: measured(type, canonical.bytes.length), rule },
  };
}

/** What may be shown of content. */
function measured(type: string, bytes: number): string {
  return `${type === '' ? 'no Content-Type' : type}, ${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`;
}

function textForm(media: MediaType): 'json' | 'form' | undefined {
  const charset = media.parameters.get('charset');
  // The same bytes are another text in another charset.
  if (charset !== undefined && charset !== 'utf-8') return undefined;
  if (isJsonType(media)) return 'json';
  return media.essence === 'application/x-www-form-urlencoded' ? 'form' : undefined;
}

/** RFC 8259 §11: JSON has no charset parameter, and to write one changes nothing. */
function withoutCharset({ essence, parameters }: MediaType): MediaType {
  return { essence, parameters: new Map([...parameters].filter(([name]) => name !== 'charset')) };
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** One character for each byte. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** What no reader, or not every reader, would understand in one way: of a POST upstream may know better. */
function invalid({ method }: ContentForm, words: string): ContentOutcome {
  if (method === 'POST') return { kind: 'relay', fwd: 'bypass', reason: 'content-invalid', why: words };
  return {
    kind: 'reject',
    problem: {
      status: 400,
      code: 'content-invalid',
      title: 'Content invalid',
      detail: `The content of the request ${words}.`,
    },
  };
}

/** The 413 for content that is longer than its route reads. */
export function contentTooLarge(maxBytes: number): Problem {
  return {
    status: 413,
    code: 'content-too-large',
    title: 'Content too large',
    detail: `The content of this request may have ${maxBytes} bytes at most.`,
    extra: { limit: maxBytes },
  };
}

const coded: Problem = {
  status: 415,
  code: 'content-coding-unsupported',
  title: 'Content coding not supported',
  detail: 'The content of a QUERY request must come without a content coding.',
};

const untyped: Problem = {
  status: 400,
  code: 'content-type-missing',
  title: 'Content-Type missing',
  detail: 'A QUERY request needs a Content-Type (RFC 10008 §2).',
};

const badlyTyped: Problem = {
  status: 400,
  code: 'content-type-invalid',
  title: 'Content-Type invalid',
  detail: 'The Content-Type of a QUERY request is no media type (RFC 9110 §8.3.1).',
};
