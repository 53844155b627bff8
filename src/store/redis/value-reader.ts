import type { Invalidity, ReadFor } from '../../cache/fleet-ports.ts';
import type { MaybePromise, SameReads, StoreRead } from '../../cache/ports.ts';
import { wallMsOf } from '../../cache/turn.ts';
import type { StoredItem } from '../../core/stored-response.ts';
import { asAsked } from './as-asked.ts';
import { type Decoded, decodeItem, maxExpansion } from './codec.ts';
import { Place } from './entry-read.ts';
import { LastValue } from './last-value.ts';
import type { RedisStoreOptions } from './redis-store.ts';

interface Opening {
  readonly asked: ReadFor | undefined;
  /** Where it may be kept what it was. */
  readonly place: Place | undefined;
}

interface Judging {
  readonly asked: ReadFor | undefined;
  /** Which it was read as once more. */
  readonly last?: LastValue | undefined;
}

type ReaderOptions = Pick<RedisStoreOptions, 'config' | 'purgeLog' | 'judge' | 'clock' | 'skewMs' | 'observer'>;

/** What values of Redis hold, and whether that may be served. */
export class ValueReader {
  readonly #options: ReaderOptions;
  /** Whose places count. */
  readonly #store: object;

  constructor(store: object, options: ReaderOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** What a value holds, if it may be served on behalf of `asked`. Never rejects; a promise only for large bodies. */
  open(value: Buffer, key: string, asked: ReadFor | undefined): MaybePromise<StoreRead | undefined> {
    return this.#openedFor(value, key, { asked, place: undefined });
  }

  /** Where what comes of a value of the key may be kept for when the same is read again. */
  keptPlace(key: string, { keyed }: ReadFor): Place | undefined {
    const { place } = keyed;
    if (keyed.memo === undefined || keyed.key !== key) return undefined;
    return place instanceof Place && place.store === this.#store ? place : undefined;
  }

  /** As {@link open}, of what was read at the request's own key. */
  openKept(value: Buffer, place: Place, asked: ReadFor): MaybePromise<StoreRead | undefined> {
    const { last } = place;
    const decoded = last?.again(value, this.#skewMs(), this.#maxBodyBytes());
    if (decoded === undefined) return this.#openedFor(value, asked.keyed.key, { asked, place });
    return decoded instanceof Promise
      ? decoded.then((whole) => this.#judged(whole, { asked, last }))
      : this.#judged(decoded, { asked, last });
  }

  async inspect(
    value: Buffer,
    key: string,
    asked: ReadFor | undefined,
  ): Promise<(StoreRead & { readonly invalid: Invalidity | undefined }) | undefined> {
    const decoded = await this.#decode(value, key);
    const item = decoded.kind === 'item' ? this.#keptFor(decoded.item, asked) : undefined;
    return item === undefined ? undefined : { ...this.#read(item), invalid: this.#invalidity(item, asked) };
  }

  #openedFor(value: Buffer, key: string, { asked, place }: Opening): MaybePromise<StoreRead | undefined> {
    const decoded = this.#decode(value, key);
    if (decoded instanceof Promise) return decoded.then((whole) => this.#judged(whole, { asked }));
    const read = this.#judged(decoded, { asked });
    if (place !== undefined && asked?.keyed.memo !== undefined && read?.item.kind === 'response') {
      place.last?.drop();
      place.last = LastValue.of(value, { item: read.item, asked, memo: asked.keyed.memo, skewMs: this.#skewMs() });
    }
    return read;
  }

  /** `last`: the item is one by the rules of today. */
  #judged(decoded: Decoded, { asked, last }: Judging): StoreRead | undefined {
    const { observer } = this.#options;
    if (decoded.kind === 'unusable') {
      observer.fleet(decoded);
      return undefined;
    }
    const item = this.#keptFor(decoded.item, last === undefined ? asked : undefined);
    if (item === undefined) return undefined;
    const reason = this.#invalidity(item, asked);
    if (reason === undefined) return this.#read(item, last);
    observer.fleet({ kind: 'refused', reason });
    return undefined;
  }

  #decode(value: Buffer, key: string): MaybePromise<Decoded> {
    return decodeItem(value, { key, skewMs: this.#skewMs(), maxBodyBytes: this.#maxBodyBytes() });
  }

  #maxBodyBytes(): number {
    return this.#options.config.maxObjectBytes * maxExpansion;
  }

  #skewMs(): number {
    return Math.round(this.#options.skewMs());
  }

  #read(item: StoredItem, same?: SameReads): StoreRead {
    const staleSinceMs = this.#options.purgeLog.softPurgedAtMs(item);
    return { item, staleSinceMs, tier: 'redis', tally: { hits: 0 }, same };
  }

  /** By the rules of today; `undefined` where they, or the time, would not have it kept. */
  #keptFor(stored: StoredItem, asked: ReadFor | undefined): StoredItem | undefined {
    const item = asked === undefined ? stored : asAsked(stored, asked);
    return item !== undefined && retainUntilMsOf(item) > wallMsOf(this.#options.clock) ? item : undefined;
  }

  #invalidity(item: StoredItem, asked: ReadFor | undefined): Invalidity | undefined {
    const { purgeLog, judge } = this.#options;
    if (!purgeLog.isValid(item)) return judge?.invalidity(item) ?? 'purged';
    if (asked === undefined || asked.keyed.url === item.url) return undefined;
    const here = { ...item, url: asked.keyed.url };
    return purgeLog.isValid(here) ? undefined : (judge?.invalidity(here) ?? 'purged');
  }
}

/** Wall clock, milliseconds. */
export function retainUntilMsOf(item: StoredItem): number {
  return item.kind === 'response' ? item.freshness.retainUntilMs : item.retainUntilMs;
}
