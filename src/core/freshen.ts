import type { FieldLine, FieldLines } from './fields.ts';
import { initialAgeMs } from './freshness.ts';
import { endToEnd } from './hop-by-hop.ts';
import type { Route } from './route.ts';
import { decideStorage, fieldsToStore } from './storage-policy.ts';
import type { StoredResponse } from './stored-response.ts';

/** A 304 that answered a validation of `stored`; times wall clock in milliseconds. */
export interface FreshenInput {
  readonly stored: StoredResponse;
  readonly route: Route;
  /** Fields of the client's request; none for background work. */
  readonly requestFields: FieldLines;
  /** Fields of the 304. */
  readonly fields: FieldLines;
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
}

/** What a 304 changes about a stored response. */
export type Freshened = Pick<
  StoredResponse,
  'fields' | 'requestTimeMs' | 'responseTimeMs' | 'initialAgeMs' | 'freshness' | 'etag' | 'lastModified'
>;

/** They describe the stored bytes and not those that a 304 does not have (RFC 9111 §3.2). */
const describeStoredBody: ReadonlySet<string> = new Set(['content-length', 'content-encoding', 'content-range']);

/**
 * Freshens a stored response with a 304 (RFC 9111 §3.2, §4.3.4): its fields replace those of the same name, and age and
 * freshness are computed anew. The old Date never stays: it would make the response as old as before. Where the 304
 * takes away the right to store (`no-store` now), the result answers this request and is past `retainUntilMs` at once,
 * so that storing it puts an end to what was stored.
 */
export function freshenStored(input: FreshenInput): Freshened {
  const { stored, requestTimeMs, responseTimeMs } = input;
  const merged = { ...input, status: stored.status, fields: mergedFields(stored.fields, input.fields) };
  const storage = decideStorage(merged);
  if (storage.kind === 'store') {
    const { fields, freshness, initialAgeMs, etag, lastModified } = storage;
    return { fields, requestTimeMs, responseTimeMs, initialAgeMs, freshness, etag, lastModified };
  }
  const over = { freshUntilMs: responseTimeMs, swrUntilMs: responseTimeMs, sieUntilMs: responseTimeMs };
  return {
    fields: fieldsToStore(merged),
    requestTimeMs,
    responseTimeMs,
    initialAgeMs: initialAgeMs(merged),
    freshness: { ...stored.freshness, ...over, retainUntilMs: responseTimeMs },
    etag: stored.etag,
    lastModified: stored.lastModified,
  };
}

/** The fields that make a request a validation of the stored response (RFC 9111 §4.3.1). */
export function validationFields(stored: Pick<StoredResponse, 'etag' | 'lastModified'>): FieldLines {
  const fields: FieldLine[] = [];
  if (stored.etag !== undefined) fields.push(['if-none-match', stored.etag]);
  if (stored.lastModified !== undefined) fields.push(['if-modified-since', stored.lastModified]);
  return fields;
}

function mergedFields(stored: FieldLines, received: FieldLines): FieldLines {
  const news = endToEnd(received).filter(([name]) => !describeStoredBody.has(name));
  const replaced = new Set(news.map(([name]) => name));
  return [...stored.filter(([name]) => name !== 'date' && !replaced.has(name)), ...news];
}
