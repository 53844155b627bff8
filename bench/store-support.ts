import type { Clock } from '../src/cache/ports.ts';
import type { FieldLines } from '../src/core/fields.ts';
import type { Position, StoredItem } from '../src/core/stored-response.ts';

/** Real time. */
export function systemClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    after: (delayMs, callback) => {
      const timer = setTimeout(callback, Math.min(delayMs, 2 ** 31 - 1)).unref();
      return () => {
        clearTimeout(timer);
      };
    },
  };
}

export interface BenchItem {
  readonly key: string;
  readonly route?: string;
  readonly fields?: FieldLines;
  readonly tags?: readonly string[];
  readonly body: Buffer;
  readonly position: Position;
  readonly marker?: boolean;
}

/** An item of the shape that the exchange stores. */
export function storedItemForBench(item: BenchItem): StoredItem {
  const nowMs = Date.now();
  const common = {
    key: item.key,
    route: item.route ?? 'weather-forecast',
    upstream: 'weather',
    // A string of its own, as the key's derivation makes it.
    url: Buffer.from(item.key.slice(item.key.indexOf('|') + 1)).toString('latin1'),
    tags: item.tags ?? [],
    position: item.position,
  };
  if (item.marker === true) return { kind: 'vary', ...common, names: [], retainUntilMs: nowMs + 86_400_000 };
  return {
    kind: 'response',
    ...common,
    status: 200,
    fields: item.fields ?? [],
    body: item.body,
    requestTimeMs: nowMs - 120,
    responseTimeMs: nowMs,
    initialAgeMs: 120,
    freshness: {
      freshUntilMs: nowMs + 3_600_000,
      swrUntilMs: nowMs + 4_200_000,
      sieUntilMs: nowMs + 21_600_000,
      retainUntilMs: nowMs + 86_400_000,
      mustRevalidate: false,
      alwaysValidate: false,
      source: 'rule ttl',
    },
    etag: undefined,
    lastModified: undefined,
  };
}
