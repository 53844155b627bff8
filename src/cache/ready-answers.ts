import type { FieldLines } from '../core/fields.ts';
import { standingOf } from '../core/freshness.ts';
import { isCutKey } from '../core/key.ts';
import type { SearchRule } from '../core/no-vary-search.ts';
import type { KeyValues, ProxyRequest } from '../core/request.ts';
import { specialOf } from '../core/special-fields.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { KnownHits } from './known-hits.ts';
import { isCodedContent, isPlain, NARROWING } from './plain-requests.ts';
import type { ProxyResponse, Repeat, StoreRead } from './ports.ts';
import { type Ask, type Asked, respondWhole } from './respond.ts';
import { isIn, type RepeatDeps, saidOf, staleFrom, StoredRepeat } from './stored-repeat.ts';

/**
 * Of so many stored responses that are asked for in turn each finds its answer; twice as many are kept at most, each with its fields
 * and two texts of 2 KiB (those of `node:http` and of the fast lane).
 */
const MAX_READY = 2048;

type Asking = Pick<ProxyRequest, 'fields' | 'special'>;

/** A stored response in memory, and how it was found. */
export interface Found {
  readonly read: StoreRead;
  readonly item: StoredResponse;
  /** That led to it. */
  readonly marker: StoreRead | undefined;
  /** Whether the same request would find it by the same looks at the store, and by nothing else. */
  readonly isSettled: boolean;
}

/**
 * Fresh answers from memory whose bytes depend on nothing of the request but its key: composed once for each stored
 * response and second, and the same object for every request until then. Keyed by the read, which a store gives anew where
 * a purge or another response changes what it says, and held weakly, so that what is evicted is not kept by its answer.
 */
export class ReadyAnswers {
  readonly #deps: RepeatDeps;
  readonly #capacity: number;
  // Two generations, since nothing of a WeakMap can be counted or forgotten one by one.
  #young = new WeakMap<StoreRead, ReadyAnswer>();
  #old = new WeakMap<StoreRead, ReadyAnswer>();
  #made = 0;
  readonly #known = new KnownHits<ReadyAnswer>();

  constructor(deps: RepeatDeps, capacity: number = MAX_READY) {
    this.#deps = deps;
    this.#capacity = capacity;
  }

  /**
   * The answer to a request whose like was just answered, which needs no look at the store then: what it gives counts as a use and
   * as a hit, so that it must be sent. `undefined`: it has to be looked up.
   */
  known(
    { fields, special: known }: Asking,
    asked: KeyValues | undefined,
    head: boolean,
    nowMs: number,
  ): ProxyResponse | undefined {
    if (asked === undefined || ((known ?? specialOf(fields)) & NARROWING) !== 0) return undefined;
    const response = this.#known.find(asked, head)?.at(nowMs);
    return response?.repeat?.again(nowMs) === true ? response : undefined;
  }

  /** The answer that is there and still right; `undefined`: it has to be decided on. */
  find(ask: Ask, { read, marker, isSettled }: Found, nowMs: number): ProxyResponse | undefined {
    if (read.once === true) return undefined;
    const ready = this.#young.get(read) ?? this.#recall(read);
    if (ready?.isFor(ask, marker, isSettled) !== true) return undefined;
    if (ready.isForKey) this.#known.remember(ask.keyed.values, ask.head, ready);
    return ready.at(nowMs);
  }

  /** To be called where it was decided that the response is fresh for the request. `undefined`: its answer is a special one. */
  make(ask: Ask, found: Found, nowMs: number): ProxyResponse | undefined {
    if (found.read.tier !== 'memory' || !isPlain(ask, found.item, isCodedContent(found.item))) return undefined;
    // Whole keys have one URL each. That one is cut is counted each time.
    if (isCutKey(ask.keyed.key, ask.route.maxKeyBytes)) return undefined;
    const ready = new ReadyAnswer(this.#deps, ask, found);
    // A read that is given once more is another one: all that this leads to is what the answer itself says, that it may be repeated.
    if (found.read.once !== true) this.#remember(found.read, ready);
    return ready.at(nowMs);
  }

  #recall(read: StoreRead): ReadyAnswer | undefined {
    const ready = this.#old.get(read);
    if (ready !== undefined) this.#remember(read, ready);
    return ready;
  }

  #remember(read: StoreRead, ready: ReadyAnswer): void {
    if (this.#made >= this.#capacity) {
      this.#old = this.#young;
      this.#young = new WeakMap();
      this.#made = 0;
    }
    // In the place of another: what is asked for by two methods in turn must not drive out what others have.
    if (!this.#young.has(read)) this.#made += 1;
    this.#young.set(read, ready);
  }
}

/** The answers of one stored response, one after the other as seconds pass. */
class ReadyAnswer {
  readonly #deps: RepeatDeps;
  readonly #asked: Asked;
  readonly #found: Found;
  /** The answer may be given again for the same request without a look at it. */
  readonly #repeats: boolean;
  /** Upstream may yet say how to key it. */
  readonly #isTeachable: boolean;
  readonly #rule: SearchRule | undefined;
  readonly #isCoded: boolean;
  /** For all requests of its key and method that ask for the whole: no other field of theirs counts. */
  readonly isForKey: boolean;
  #repeat: Repeat | undefined;
  #response: ProxyResponse | undefined;
  // See `Said`.
  #sinceMs = 0;
  #untilMs = 0;
  #lastMs = 0;

  constructor(deps: RepeatDeps, { route, keyed, head }: Ask, found: Found) {
    this.#deps = deps;
    const { key, url } = found.item;
    this.#asked = { route, keyed: { key: ownText(keyed.key, key), url: ownText(keyed.url, url) }, head };
    this.#found = found;
    this.#isTeachable = keyed.search !== undefined;
    this.#rule = keyed.search?.rule;
    this.#isCoded = isCodedContent(found.item);
    // What is keyed by more than its head has to come the whole way: by its content, or by what upstream has said of its path.
    const isByHead = keyed.canonical.content === undefined && keyed.search?.rule === undefined;
    this.#repeats = found.isSettled && isByHead;
    this.isForKey = this.#repeats && found.marker === undefined && !this.#isCoded;
  }

  /** Whether it is what this request gets, when it is still fresh. */
  isFor(ask: Ask, marker: StoreRead | undefined, isSettled: boolean): boolean {
    const { route, keyed, head } = this.#asked;
    if (ask.route !== route || ask.head !== head) return false;
    // Requests that a rule for queries makes one, and they alone, have different URLs.
    if (this.#isTeachable && ask.keyed.search?.rule !== this.#rule) return false;
    if (this.#rule !== undefined && ask.keyed.url !== keyed.url) return false;
    const found = this.#found;
    return found.marker === marker && found.isSettled === isSettled && isPlain(ask, found.item, this.#isCoded);
  }

  at(nowMs: number): ProxyResponse | undefined {
    if (nowMs >= this.#sinceMs && nowMs < this.#untilMs && nowMs <= this.#lastMs) return this.#response;
    return this.#compose(nowMs);
  }

  #compose(nowMs: number): ProxyResponse | undefined {
    const { item, read } = this.#found;
    if (read.staleSinceMs !== undefined) return undefined;
    const staleFromMs = staleFrom(item);
    if (!isIn(item, staleFromMs, nowMs)) return undefined;
    const standing = standingOf(item, undefined, nowMs);
    const whole = respondWhole(this.#asked, {
      item,
      staleSinceMs: undefined,
      nowMs,
      status: { hit: true, ttl: standing.ttlSeconds, detail: 'memory' },
      outcome: 'hit',
      tier: 'memory',
    });
    const { status, fields, body, meta } = whole;
    const text = this.#response?.text;
    const repeat = this.#repeatOf(fields, nowMs);
    this.#response = { status, fields, body, meta, raw: fields.flat(), repeat, text, ready: undefined };
    const { sinceMs, untilMs, lastMs } = saidOf(standing, staleFromMs, nowMs);
    this.#sinceMs = sinceMs;
    this.#untilMs = untilMs;
    this.#lastMs = lastMs;
    return this.#response;
  }

  /** One for all seconds. */
  #repeatOf(fields: FieldLines, nowMs: number): Repeat | undefined {
    const { item, read, marker } = this.#found;
    const { place } = read;
    if (this.#repeat !== undefined) return this.#repeat;
    if (!this.#repeats || place === undefined || (marker !== undefined && marker.place === undefined)) return undefined;
    // What is written anew of a repeat stands in these two lines, in this order.
    if (fields.at(-1)?.[0] !== 'cache-status' || fields.every(([name]) => name !== 'age')) return undefined;
    this.#repeat = new StoredRepeat(this.#deps, {
      place,
      marker: marker?.place,
      isTeachable: this.#isTeachable,
      item,
      fields,
      nowMs,
    });
    return this.#repeat;
  }
}

/**
 * The text, as one that holds nothing else: those of a request are pieces of its target as it came, which may be a hundred times as long
 * for all that was dropped of it, and would live as long as they do.
 */
function ownText(text: string, stored: string): string {
  return text === stored ? stored : Buffer.from(text).toString();
}
