import type { FieldLines } from '../../src/core/fields.ts';
import type { Position, StoredResponse, VaryMarker } from '../../src/core/stored-response.ts';

/** What a test cares about; the rest is that of a plausible forecast. */
export interface ItemTraits {
  readonly key?: string;
  readonly route?: string;
  readonly url?: string;
  readonly tags?: readonly string[];
  readonly position: Position;
  readonly nowMs: number;
  readonly retainMs?: number;
  readonly body?: Buffer;
  readonly fields?: FieldLines;
}

const fields: FieldLines = [
  ['content-type', 'application/json; charset=utf-8'],
  ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
];

/** A stored response that was fetched at `nowMs`. */
export function storedResponse(traits: ItemTraits): StoredResponse {
  const route = traits.route ?? 'weather-forecast';
  const key = traits.key ?? `${route}|/v1/forecast?location=berlin`;
  const retainUntilMs = traits.nowMs + (traits.retainMs ?? 86_400_000);
  return {
    kind: 'response',
    key,
    route,
    upstream: 'weather',
    url: traits.url ?? key.slice(key.indexOf('|') + 1),
    tags: traits.tags ?? [`route:${route}`, 'upstream:weather'],
    position: traits.position,
    status: 200,
    fields: traits.fields ?? fields,
    body: traits.body ?? ownBytes('{"temperature":21.5}'),
    requestTimeMs: traits.nowMs - 120,
    responseTimeMs: traits.nowMs,
    initialAgeMs: 120,
    freshness: {
      freshUntilMs: Math.min(traits.nowMs + 3_600_000, retainUntilMs),
      swrUntilMs: Math.min(traits.nowMs + 4_200_000, retainUntilMs),
      sieUntilMs: retainUntilMs,
      retainUntilMs,
      mustRevalidate: false,
      alwaysValidate: false,
      source: 'rule ttl',
    },
    etag: undefined,
    lastModified: undefined,
  };
}

/** A marker under the base key. */
export function varyMarker(traits: ItemTraits): VaryMarker {
  const { key, route, upstream, url, tags, position, freshness } = storedResponse(traits);
  const { retainUntilMs } = freshness;
  return { kind: 'vary', key, route, upstream, url, tags, position, names: ['accept-language'], retainUntilMs };
}

/** Text as bytes in an allocation of their own. */
export function ownBytes(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
