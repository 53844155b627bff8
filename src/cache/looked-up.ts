import type { Position } from '../core/stored-response.ts';
import type { StoreRead } from './ports.ts';
import type { Ask } from './respond.ts';
import type { VariantPromise } from './variant.ts';

/** What a look-up came to. */
export interface LookedUp {
  /** The key that was looked under, with its variant part. */
  readonly key: string;
  readonly read: StoreRead | undefined;
  /** Of the purge log, from before the look by which the read was found to be valid. */
  readonly at: Position;
  /** Since when it was waited for, by the monotonic clock, milliseconds; absent where it was not. */
  readonly sinceMs?: number | undefined;
  /** Where the request is looked up by its own query: as a rule for queries keys it, under which nothing was found. */
  readonly ruled?: Ask | undefined;
  /** Where another request's variant is looked for. */
  readonly promise?: VariantPromise | undefined;
  /** That led to the variant which is looked for; absent where a look at another one came between. */
  readonly marker?: StoreRead | undefined;
}

/** What goes with a look-up from one look at the store to the next. */
export type Looking = Pick<LookedUp, 'at' | 'sinceMs' | 'ruled' | 'promise' | 'marker'>;

/** A look-up that takes time: what it comes to is judged when it is there. */
export interface Awaiting extends Omit<Looking, 'at'> {
  readonly sinceMs: number;
}

/** At once, under its own key or that of the variant which a marker of that key leads to. */
export function isSettled(ask: Ask, { key, sinceMs, ruled, marker }: LookedUp): boolean {
  if (sinceMs !== undefined || ruled !== undefined) return false;
  return marker !== undefined || key === ask.keyed.key;
}
