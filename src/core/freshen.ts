import { type FieldLine, fieldLineValues, type FieldLines, fieldValue, hasField } from './fields.ts';
import { initialAgeMs } from './freshness.ts';
import { endToEnd } from './hop-by-hop.ts';
import { weaklyEqual } from './preconditions.ts';
import { headReasons, passReasons } from './reasons.ts';
import type { Route } from './route.ts';
import type { StorageDecision, StorageInput } from './storage-policy.ts';
import { decideStorage, fieldsToStore, validatorsOf } from './storage-policy.ts';
import type { StoredResponse } from './stored-response.ts';
import { varyNames } from './vary.ts';

/** A 304 that answered a validation of `stored`; times wall clock in milliseconds. */
export interface FreshenInput {
  readonly stored: StoredResponse;
  readonly route: Route;
  /** Fields of the client's request; none for background work. */
  readonly requestFields: FieldLines;
  /** As of {@link StorageInput}. */
  readonly keyed: StorageInput['keyed'];
  /** Fields of the 304. */
  readonly fields: FieldLines;
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
}

/** What a 304 makes of a stored response. */
export interface Freshened {
  /** Answers the request that was validated for; stored only where `storage` says so. Its `position` is the old one. */
  readonly response: StoredResponse;
  /** `pass`: what came of it is for the one who asked alone. */
  readonly storage: StorageDecision;
  /**
   * True where the response itself may not be kept any longer (`no-store` now), whoever asks: what is stored has to go. What
   * one request forbids (its own no-store, RFC 9111 §5.2.1.5) or brings with it (Authorization, §3.5) takes nothing from others.
   */
  readonly ends: boolean;
}

/** The answer to a HEAD, and what is stored for a GET of the same target. */
export interface HeadInput extends FreshenInput {
  readonly status: number;
}

/** What the answer to a HEAD makes of the stored response to a GET. `reason` is a sentence for `explain`. */
export type HeadDecision =
  /** It lives on with the fields of the HEAD, as after a 304. Its `position` is the old one. */
  | {
      readonly kind: 'update';
      readonly response: StoredResponse;
      readonly storage: Extract<StorageDecision, { kind: 'store' }>;
      readonly reason: string;
    }
  /** It is another representation by now, or may not be kept any longer. */
  | { readonly kind: 'invalidate'; readonly reason: string }
  | { readonly kind: 'ignore'; readonly reason: string };

/** They describe the stored bytes and not those that a 304 does not have (RFC 9111 §3.2). */
const describeStoredBody: ReadonlySet<string> = new Set(['content-length', 'content-encoding', 'content-range']);

/**
 * They are of the content as upstream codes it (RFC 9530 §2, §3). Where its coding was taken off they went with it, and a 304 must not
 * bring them back; elsewhere they are replaced as any other field.
 */
const digests: ReadonlySet<string> = new Set(['content-digest', 'content-md5', 'digest', 'repr-digest']);

/**
 * Freshens a stored response with a 304 (RFC 9111 §3.2, §4.3.4): its fields replace those of the same name, and age and
 * freshness are computed anew. The old Date never stays: it would make the response as old as before.
 */
export function freshenStored(input: FreshenInput): Freshened {
  const { stored, requestTimeMs, responseTimeMs } = input;
  const merged = { ...input, status: stored.status, fields: mergedFields(stored.fields, input.fields) };
  const storage = decideStorage(merged);
  const renewed = { ...stored, requestTimeMs, responseTimeMs };
  switch (storage.kind) {
    case 'store': {
      const { fields, freshness, etag, lastModified } = storage;
      const times = { initialAgeMs: storage.initialAgeMs, freshness };
      return { response: { ...renewed, fields, ...times, etag, lastModified }, storage, ends: false };
    }
    case 'pass': {
      const over = { freshUntilMs: responseTimeMs, swrUntilMs: responseTimeMs, sieUntilMs: responseTimeMs };
      // Past retention at once: even if it got into a store, it would never be served from there.
      const freshness = { ...stored.freshness, ...over, retainUntilMs: responseTimeMs };
      const fields = fieldsToStore(merged);
      const ends = decideStorage({ ...merged, requestFields: [] }).kind === 'pass';
      const described = { fields, initialAgeMs: initialAgeMs(merged), ...validatorsOf(fields, responseTimeMs) };
      return { response: { ...renewed, ...described, freshness }, storage, ends };
    }
  }
}

/**
 * Whether a 304 is about the stored response (RFC 9111 §4.3.4): of strong entity tags in it one has to be the stored one, else a
 * weak one or a Last-Modified has to fit it, and a 304 without any confirms what was asked about. One with another entity tag
 * confirms a representation that is not here: its fields, that tag among them, must not be put on this one.
 */
export function confirms(stored: Pick<StoredResponse, 'etag' | 'lastModified'>, fields: FieldLines): boolean {
  const tags = entityTagsOf(fields);
  if (tags.some((tag) => !isWeak(tag))) return stored.etag !== undefined && tags.includes(stored.etag);
  if (stored.etag !== undefined && tags.length > 0) return tags.some((tag) => isSameTag(stored.etag, tag));
  const lastModified = fieldValue(fields, 'last-modified');
  if (tags.length > 0) return lastModified !== undefined && lastModified === stored.lastModified;
  return lastModified === undefined || stored.lastModified === undefined || lastModified === stored.lastModified;
}

/** One, as a rule; an empty value is none. */
function entityTagsOf(fields: FieldLines): readonly string[] {
  return fieldLineValues(fields, 'etag').filter((tag) => tag !== '');
}

/**
 * Whether an entity tag that came names what is stored. A strong one says that bytes are the same (RFC 9110 §8.8.1), so that
 * none but the same strong one will do: what is stored under a weak tag may differ from it.
 */
function isSameTag(stored: string | undefined, received: string): boolean {
  if (stored === undefined) return false;
  return isWeak(received) ? weaklyEqual(stored, received) : stored === received;
}

function isWeak(etag: string): boolean {
  return etag.startsWith('W/');
}

/**
 * What a HEAD says of the stored response that a GET would have got (RFC 9111 §4.3.5): a 200, of which all validators and the
 * Content-Length have to be those that are stored, else something else is upstream by now; and a 304 to a condition of its client's
 * that names what is stored (§4.3.4).
 */
export function freshenByHead(input: HeadInput): HeadDecision {
  const { stored, status, fields } = input;
  if (status === 304 && names(stored, fields)) return freshenedByHead(input, headReasons.confirmed);
  if (status !== 200) return { kind: 'ignore', reason: headReasons.ignored };
  if (stored.status !== 200 || !isSameAsHead(stored, fields))
    return { kind: 'invalidate', reason: headReasons.differs };
  return freshenedByHead(input, headReasons.updated);
}

function freshenedByHead(input: HeadInput, reason: string): HeadDecision {
  const { stored } = input;
  const { key, zone } = input.keyed;
  const keyed = { key, zone, canonical: { method: 'GET' as const } };
  const { response, storage, ends } = freshenStored({ ...input, keyed });
  if (storage.kind === 'pass') return { kind: ends ? 'invalidate' : 'ignore', reason: passReasons[storage.reason] };
  if (!isToldApartBy(stored, storage.vary)) return { kind: 'invalidate', reason: headReasons.varies };
  return { kind: 'update', response, storage, reason };
}

/** Whether a 304 has a validator of the stored response. Without any it confirms what its client has, which is not known to be that. */
function names(stored: StoredResponse, fields: FieldLines): boolean {
  const isDated = stored.lastModified !== undefined && hasField(fields, 'last-modified');
  return (isDated || entityTagsOf(fields).length > 0) && confirms(stored, fields);
}

/** Whether its key holds what it varies by now: what is stored under another key would be found by requests that it is not for. */
function isToldApartBy(stored: StoredResponse, vary: readonly string[]): boolean {
  const known = varyNames(stored.fields);
  return vary.every((name) => known.includes(name));
}

function isSameAsHead(stored: StoredResponse, fields: FieldLines): boolean {
  if (!entityTagsOf(fields).every((tag) => isSameTag(stored.etag, tag))) return false;
  const lastModified = fieldValue(fields, 'last-modified');
  if (lastModified !== undefined && lastModified !== stored.lastModified) return false;
  const length = fieldValue(fields, 'content-length');
  return length === undefined || length === String(stored.body.byteLength);
}

/** Whether there is anything to validate it by: without, a 304 is the answer to nothing that was asked. */
export function hasValidator(stored: Pick<StoredResponse, 'etag' | 'lastModified'>): boolean {
  return stored.etag !== undefined || stored.lastModified !== undefined;
}

/** The fields that make a request a validation of the stored response (RFC 9111 §4.3.1). */
export function validationFields(stored: Pick<StoredResponse, 'etag' | 'lastModified'>): FieldLines {
  const fields: FieldLine[] = [];
  if (stored.etag !== undefined) fields.push(['if-none-match', stored.etag]);
  if (stored.lastModified !== undefined) fields.push(['if-modified-since', stored.lastModified]);
  return fields;
}

function mergedFields(stored: FieldLines, received: FieldLines): FieldLines {
  const news = endToEnd(received).filter(
    ([name]) => !describeStoredBody.has(name) && (!digests.has(name) || hasField(stored, name)),
  );
  const replaced = new Set(news.map(([name]) => name));
  return [...stored.filter(([name]) => name !== 'date' && !replaced.has(name)), ...news];
}
