import type { PositionJudge, ReadFor } from '../../cache/fleet-ports.ts';
import type {
  Clock,
  InspectedRead,
  MaybePromise,
  Observer,
  PurgeLog,
  PutOutcome,
  ResponseStore,
  StoredView,
  StoreRead,
} from '../../cache/ports.ts';
import type { RedisConfig } from '../../core/config.ts';
import type { StoredItem } from '../../core/stored-response.ts';
import { baseKeyOf } from '../../core/vary.ts';
import { encodeItem } from './codec.ts';
import { putScript } from './data-scripts.ts';
import type { FingerprintOf } from './fingerprint.ts';
import type { RedisGate } from './gate.ts';
import { type EntryAsked, EntryRead, nothing, type Open, type Opening, type OpenReader, Place } from './entry-read.ts';
import type { Answered } from './gate-reading.ts';
import { type RedisKeys, routeOf } from './keys.ts';
import { mayBePacked, packBody } from './pack-body.ts';
import { PendingWrites, type Progress } from './pending-writes.ts';
import { retainUntilMsOf, ValueReader } from './value-reader.ts';

export interface RedisStoreOptions {
  readonly gate: RedisGate;
  readonly keys: Pick<RedisKeys, 'entry'>;
  readonly config: Pick<RedisConfig, 'maxObjectBytes' | 'compressAboveBytes'>;
  readonly fingerprintOf: FingerprintOf;
  readonly purgeLog: PurgeLog;
  /** Says why a response is refused; without it every refusal is a purge's. */
  readonly judge?: PositionJudge;
  readonly clock: Clock;
  /** Clock of Redis less that of this process, milliseconds. */
  readonly skewMs: () => number;
  readonly observer: Pick<Observer, 'fleet' | 'limit'>;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

const opened = (open: Open): MaybePromise<StoreRead | undefined> => open();
const nowhere = Promise.resolve();

/** Values live a little longer than they are of use, by chance, so that what was stored at once does not expire at once. */
const ttlJitter = 0.05;
const minTtlMs = 1000;
const maxTtlMs = 2 ** 48;
/** What a value takes beside its body, for the budget of what is under way. */
const metaBytes = 2048;

/**
 * The shared tier (L2). What it does not take, or loses, is as good as evicted: `put` answers `stored` unless a rule is
 * against it. Nothing in it rejects.
 */
export class RedisStore implements ResponseStore, StoredView {
  readonly tier = 'redis';
  readonly #options: RedisStoreOptions;
  readonly #values: ValueReader;
  readonly #pending = new PendingWrites();
  readonly #opening: Opening = (answer, sought) => this.#answered(answer, sought);
  #last = { key: '', fingerprint: '', entry: '' };

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    this.#values = new ValueReader(this, options);
  }

  get(key: string, asked?: ReadFor): Promise<StoreRead | undefined> {
    return new Promise((resolve, reject) => {
      this.getFor({ key, asked, isLeased: undefined }, { finish: opened, resolve, reject });
    });
  }

  /**
   * As {@link get}, but tells the reader, and not in this step; what its `finish` makes of an answer is made in the step in which that is
   * there. Each promise is paid for by every answer from Redis.
   */
  getFor<R>(sought: EntryAsked, reader: OpenReader<R>): void {
    const entry = this.entryFor(sought.key, sought.asked);
    if (entry === undefined) {
      nowhere
        .then(() => reader.finish(nothing))
        .then(
          (result) => reader.resolve(result),
          (error: unknown) => reader.reject(error),
        );
      return;
    }
    const read = new EntryRead(entry, sought, { reader, opening: this.#opening });
    this.#options.gate.readFor(read, read);
  }

  /** Redis counts uses itself, of whatever kind. */
  peek(key: string, asked?: ReadFor): Promise<StoreRead | undefined> {
    return this.get(key, asked);
  }

  /** What cannot be read, or is no value of ours, is as good as not there. */
  async inspect(key: string, asked?: ReadFor): Promise<InspectedRead | undefined> {
    const entry = this.entryOf(key, asked?.route.name);
    if (entry === undefined) return undefined;
    const { gate } = this.#options;
    const value = await gate.look({ operation: 'get', key: entry, send: (link) => link.get(entry) });
    const read = value === null || value === undefined ? undefined : await this.#values.inspect(value, key, asked);
    return read === undefined ? undefined : { ...read, isLeftAlone: gate.isLeftAlone(entry) };
  }

  async put(item: StoredItem): Promise<PutOutcome> {
    const { purgeLog, observer } = this.#options;
    if (!purgeLog.isValid(item)) return 'purged';
    if (!this.mayHold(item)) {
      this.#tellTooLarge();
      return 'too-large';
    }
    const entry = this.entryOf(item.key, item.route);
    if (entry === undefined) return 'stored';
    const markerKey = baseKeyOf(item.key);
    const write = (progress: Progress): Promise<PutOutcome | 'unsent'> => this.#written(entry, item, progress);
    const outcome = await this.#pending.follow(entry, write, markerKey === item.key ? undefined : markerKey);
    if (outcome === 'too-large') observer.limit('store.redis.maxObjectBytes');
    return outcome === 'unsent' ? 'stored' : outcome;
  }

  /**
   * Of a marker it is a purge of its URL: that takes its variants, wherever they are. Waits for one look at Redis and, with a
   * marker, for the purge; the value goes behind that, in its order among other commands.
   */
  async invalidate(key: string): Promise<boolean> {
    const entry = this.entryOf(key);
    if (entry === undefined) return false;
    const isWriting = this.#pending.mayLeave(entry);
    const item = (await this.get(key))?.item;
    if (item === undefined && !isWriting) return false;
    // What has been sent was sent before: to wait for its answer would let others read it meanwhile.
    const unsent = this.#pending.unsent(entry);
    void this.#pending.follow(entry, (progress) => {
      progress.isRemoval = true;
      return this.#unlink(entry, unsent);
    });
    if (item?.kind === 'vary') await this.#options.purgeLog.append({ scopes: [`u:${item.url}`], soft: false });
    return true;
  }

  /** False for what is too large whatever compressing makes of it. */
  mayHold(item: StoredItem): boolean {
    return mayBePacked(item, this.#options.config);
  }

  /** Name of the item's value in Redis; `undefined` for a route that is not known here. */
  entryOf(key: string, route = routeOf(key)): string | undefined {
    const { keys, fingerprintOf } = this.#options;
    const fingerprint = fingerprintOf(route);
    if (fingerprint === undefined) return undefined;
    const last = this.#last;
    // A look-up and its claim ask one after the other, and the digest is the dearest part of the answer.
    if (last.key === key && last.fingerprint === fingerprint) return last.entry;
    const entry = keys.entry(fingerprint, key);
    this.#last = { key, fingerprint, entry };
    return entry;
  }

  /** As {@link entryOf}, made once for a request that is met again. */
  entryFor(key: string, asked: ReadFor | undefined): string | undefined {
    const keyed = asked?.keyed;
    if (keyed?.key !== key) return this.entryOf(key, asked?.route.name);
    const { place } = keyed;
    if (place instanceof Place && place.store === this) return place.entry;
    const entry = this.entryOf(key, asked?.route.name);
    if (entry !== undefined && 'place' in keyed) keyed.place = new Place(this, entry);
    return entry;
  }

  /** Resolves when what is being written there has been; false where Redis did not take it. Undefined: nothing is. */
  settled(entry: string): Promise<boolean> | undefined {
    return this.#pending.settled(entry);
  }

  /** Resolves when nothing is being written any more. */
  idle(): Promise<void> {
    return this.#pending.idle();
  }

  /** What a value holds, if it may be served on behalf of `asked`. Never rejects; a promise only for large bodies. */
  open(value: Buffer, key: string, asked: ReadFor | undefined): MaybePromise<StoreRead | undefined> {
    return this.#values.open(value, key, asked);
  }

  #answered(
    { value, durationMs }: Answered<Buffer | null>,
    { key, asked }: EntryAsked,
  ): MaybePromise<StoreRead | undefined> {
    const result = value === null ? 'miss' : 'hit';
    this.#options.gate.tell('get', result, { durationMs, bytes: value?.byteLength ?? 0 });
    if (value === null) return undefined;
    const place = asked === undefined ? undefined : this.#values.keptPlace(key, asked);
    return place === undefined || asked === undefined
      ? this.open(value, key, asked)
      : this.#values.openKept(value, place, asked);
  }

  /** A write that is still being prepared would bring back what is dropped here. */
  async #unlink(entry: string, unsent: Promise<boolean> | undefined): Promise<'unsent'> {
    const { gate } = this.#options;
    if (unsent !== undefined) await unsent;
    const done = await gate.write({ operation: 'unlink', key: entry, send: (link) => link.unlink(entry) });
    if (done !== undefined) gate.tell('unlink', 'ok', { durationMs: done.durationMs });
    return 'unsent';
  }

  /** Never rejects: nobody waits for a write behind an answer. */
  async #written(entry: string, item: StoredItem, progress: Progress): Promise<PutOutcome | 'unsent'> {
    try {
      // A marker that leads to nothing yet would have whoever meets it fetch what is about to be there.
      const variants = item.kind === 'vary' ? this.#pending.variants(item.key) : undefined;
      if (variants !== undefined) await variants;
      return await this.#write(entry, item, progress);
    } catch (error) {
      this.#options.gate.bug(error);
      return 'unsent';
    }
  }

  async #write(entry: string, item: StoredItem, progress: Progress): Promise<PutOutcome | 'unsent'> {
    const { gate, config } = this.#options;
    using held = gate.hold(metaBytes + (item.kind === 'response' ? item.body.byteLength : 0));
    if (held === undefined) {
      gate.tell('put', 'pending');
      return 'unsent';
    }
    const packed = packBody(item, config);
    // Not a step later than it was asked for where it need not be: commands keep the order of their calls.
    const body = packed instanceof Promise ? await packed : packed;
    const value = encodeItem(item, body, this.#options.skewMs());
    if (value.byteLength > config.maxObjectBytes) {
      gate.tell('put', 'too-large');
      return 'too-large';
    }
    const args = [value, this.#ttlMs(item), Math.round(this.#options.clock.nowMs() + this.#options.skewMs())];
    const sent = await this.#send(entry, args, progress);
    const isPast = sent?.value === 'varies' && !(await this.#leadsOn(item, progress));
    const answer = isPast ? await this.#send(entry, [...args, 1], progress) : sent;
    if (answer === undefined) return 'unsent';
    const { durationMs } = answer;
    // Redis had something newer, or what leads to variants: the value was sent and is not there.
    if (answer.value === 'outdated' || answer.value === 'varies') {
      gate.tell('put', 'outdated', { durationMs });
      return 'outdated';
    }
    gate.tell('put', 'ok', { durationMs, bytes: value.byteLength });
    return 'stored';
  }

  #send(entry: string, args: readonly (Buffer | number)[], progress: Progress): Promise<Answered<unknown> | undefined> {
    return this.#options.gate.write({
      operation: 'put',
      key: entry,
      send: (link) => {
        const reply = link.run(putScript, [entry], args);
        progress.isSent = true;
        return reply;
      },
    });
  }

  /** Whether there is a marker that can be used. What removes the entry meanwhile has to wait for what is written then. */
  async #leadsOn({ key, url, tags }: StoredItem, progress: Progress): Promise<boolean> {
    progress.isSent = false;
    const marker = (await this.get(key))?.item;
    // Who asks judges it by the tags of today and the URL of now too: whom it does not lead on, the item must not be kept from.
    return marker?.kind === 'vary' && this.#options.purgeLog.isValid({ ...marker, url, tags });
  }

  #ttlMs(item: StoredItem): number {
    const { clock, random = Math.random } = this.#options;
    const leftMs = (retainUntilMsOf(item) - clock.nowMs()) * (1 + ttlJitter * random());
    // A larger number would be written with an exponent, which Redis does not read.
    return Math.round(Math.min(Math.max(minTtlMs, leftMs), maxTtlMs));
  }

  #tellTooLarge(): void {
    this.#options.gate.tell('put', 'too-large');
    this.#options.observer.limit('store.redis.maxObjectBytes');
  }
}

/** See {@link RedisStore}. */
export function createRedisStore(options: RedisStoreOptions): RedisStore {
  return new RedisStore(options);
}
