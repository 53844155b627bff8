import type { Repeat, Repeats, ResponseMeta } from '../cache/ports.ts';
import type { Wire } from './fast-lane-answer.ts';
import { hashOf, isSameHead, keptOf, SEED, WordBuffer } from './fast-lane-words.ts';

/** What a head takes beside its bytes, and its answer beside the bytes that are sent for it: growth of RSS, rounded up. */
const HEAD_BYTES_BESIDE = 600;
const WIRE_BYTES_BESIDE = 900;

/** What is known of a request by its head, and of its answer. */
export interface HeadFacts {
  readonly repeat: Repeat;
  readonly wire: Wire;
  readonly method: string;
  readonly traceId: string | undefined;
  readonly listener: string;
  readonly status: number;
  readonly meta: ResponseMeta;
  /** Who hears of each answer. `undefined`: each has to be told of in full. */
  readonly repeats: Repeats | undefined;
}

/**
 * What a request head, byte for byte, is answered with: all that an answer needs is here or one step away, as each step is a line of
 * memory that may be cold.
 */
export class KnownHead implements HeadFacts {
  readonly words: Int32Array;
  /** Of the head. */
  readonly bytes: number;
  readonly hash: number;
  readonly repeat: Repeat;
  readonly wire: Wire;
  readonly repeats: Repeats | undefined;
  /** Since it was last considered. */
  isUsed = false;
  readonly method: string;
  readonly traceId: string | undefined;
  readonly listener: string;
  readonly status: number;
  readonly meta: ResponseMeta;
  newer: KnownHead | undefined = undefined;
  older: KnownHead | undefined = undefined;
  /** Another with the same hash. */
  next: KnownHead | undefined = undefined;

  constructor({ words, bytes, hash }: Pick<KnownHead, 'words' | 'bytes' | 'hash'>, facts: HeadFacts) {
    this.words = words;
    this.bytes = bytes;
    this.hash = hash;
    this.repeat = facts.repeat;
    this.wire = facts.wire;
    this.repeats = facts.repeats;
    this.method = facts.method;
    this.traceId = facts.traceId;
    this.listener = facts.listener;
    this.status = facts.status;
    this.meta = facts.meta;
  }

  /** Of the content of its answer. */
  get length(): number {
    return this.wire.length;
  }
}

/** Once they are full, one of so many is let in: where more come in turn than there is room for, all would else come and go unused. */
const oneOf = 8;

/** So many heads may have the same hash: those that are alike in all that it looks at. */
const mostAlike = 4;

/** So many that were used since are given another round for one that comes, and no more: nobody has to wait for a walk through all. */
const mostRounds = 32;

/**
 * Request heads that may be answered again, and their answers. First in, first out, but what was used since gets another
 * round, so that no flood of others drives it out.
 *
 * By a hash of its own and a comparison of bytes: a `Map` of texts makes each text it is asked for one of V8's own table,
 * which costs more than both and keeps what was asked for until the next collection of garbage.
 *
 * Answers that are held here must be held nowhere else, as their bytes are counted here.
 */
export class KnownHeads {
  readonly #maxBytes: number;
  // By hash: the latest of those with the same one.
  readonly #byHash = new Map<number, KnownHead>();
  #newest: KnownHead | undefined;
  #oldest: KnownHead | undefined;
  #bytes = 0;
  #size = 0;
  #turn = 0;

  /** `maxBytes`: of heads and answers. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(head: Buffer): KnownHead | undefined {
    return this.findIn(wordsOf(head), head.length);
  }

  /** A head of so many bytes; see `WordBuffer.end`. */
  findIn(words: Int32Array, bytes: number): KnownHead | undefined {
    let known = this.#byHash.get(hashOf(words, bytes));
    while (known !== undefined && !isHead(known, words, bytes)) known = known.next;
    if (known !== undefined) known.isUsed = true;
    return known;
  }

  /** Whether the next one is to be kept: another would have to go for it, or is there room? */
  isOpen(): boolean {
    if (this.#bytes < this.#maxBytes - this.#maxBytes / 32) return true;
    this.#turn = (this.#turn + 1) % oneOf;
    return this.#turn === 0;
  }

  /** Keeps a copy of the head. */
  remember(head: Buffer, facts: HeadFacts): void {
    const { wire } = facts;
    const bytes = head.length;
    const words = keptOf(wordsOf(head), bytes);
    const hash = hashOf(words, bytes);
    const known = new KnownHead({ words, bytes, hash }, facts);
    if (wire.users === 0) this.#bytes += wireBytesOf(known);
    wire.users += 1;
    // Behind the count: it may be the last that has the same answer.
    const one = this.#instead(known);
    if (one !== undefined) this.forget(one);
    known.next = this.#byHash.get(hash);
    this.#byHash.set(hash, known);
    this.#link(known);
    this.#size += 1;
    this.#bytes += bytesOf(known);
    this.#shrink();
  }

  /** In whose place it comes: its own, or that of the earliest where as many are alike as may be. */
  #instead({ hash, words, bytes }: KnownHead): KnownHead | undefined {
    let one = this.#byHash.get(hash);
    let alike = 1;
    while (one?.next !== undefined && !isHead(one, words, bytes)) {
      one = one.next;
      alike += 1;
    }
    return one !== undefined && (alike >= mostAlike || isHead(one, words, bytes)) ? one : undefined;
  }

  forget(known: KnownHead): void {
    if (!this.#unchain(known)) return;
    this.#unlink(known);
    this.#size -= 1;
    this.#bytes -= bytesOf(known);
    const { wire, repeat } = known;
    wire.users -= 1;
    if (wire.users > 0) return;
    this.#bytes -= wireBytesOf(known);
    // Who holds the answer need not hold its bytes. What another listener has made of it since is that one's.
    if (repeat.madeOf === wire) repeat.madeOf = undefined;
  }

  /** False: it was forgotten before. */
  #unchain(known: KnownHead): boolean {
    const { hash, next } = known;
    const first = this.#byHash.get(hash);
    if (first === known) {
      if (next === undefined) this.#byHash.delete(hash);
      else this.#byHash.set(hash, next);
      return true;
    }
    let before = first;
    while (before !== undefined && before.next !== known) before = before.next;
    if (before === undefined) return false;
    before.next = next;
    return true;
  }

  #shrink(): void {
    let rounds = 0;
    while (this.#bytes > this.#maxBytes && this.#oldest !== undefined) {
      const oldest = this.#oldest;
      if (oldest.isUsed && rounds < mostRounds) {
        rounds += 1;
        oldest.isUsed = false;
        this.#unlink(oldest);
        this.#link(oldest);
      } else {
        this.forget(oldest);
      }
    }
  }

  #link(known: KnownHead): void {
    known.older = this.#newest;
    known.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = known;
    this.#newest = known;
    this.#oldest ??= known;
  }

  #unlink(known: KnownHead): void {
    if (known.newer === undefined) this.#newest = known.older;
    else known.newer.older = known.older;
    if (known.older === undefined) this.#oldest = known.newer;
    else known.older.newer = known.newer;
  }
}

function isHead(known: KnownHead, words: Int32Array, bytes: number): boolean {
  return known.bytes === bytes && isSameHead(words, known.words, bytes);
}

function bytesOf({ bytes, meta }: KnownHead): number {
  return bytes + meta.url.length + HEAD_BYTES_BESIDE;
}

/** As when it was made: a few digits come and go later. */
function wireBytesOf({ wire }: KnownHead): number {
  return wire.madeBytes + WIRE_BYTES_BESIDE;
}

/** For heads that come as a `Buffer`. */
let scratch = new WordBuffer(4096);

/** Until it is called again. */
function wordsOf(head: Buffer): Int32Array {
  if (scratch.bytes.length < head.length) scratch = new WordBuffer(4 * head.length);
  scratch.put(head);
  return scratch.words;
}

/** Sets, a power of two, and places of each: 128 KB, of which only what is used is memory. */
const SETS = 8192;
const WAYS = 4;

/**
 * Tells heads that recur from those that come once, without keeping any of them. Errors cost time alone. Several places for
 * each set: with one, two of 200 heads that are asked for in turn would share it, drive each other out each time, and
 * never be known.
 */
export class SeenHeads {
  readonly #places = new Uint32Array(SETS * WAYS);

  /** Whether the same head was among the last of its set; it is now. Without `url`: whether its like with any target was. */
  again(head: { readonly url?: string | undefined; readonly rawHeaders: readonly string[] }): boolean {
    let hash = mix(SEED, head.url ?? '');
    for (const part of head.rawHeaders) hash = mix(hash, part);
    return this.#again(hash >>> 0);
  }

  /** As {@link again}, of its bytes. */
  bytesAgain(head: Buffer): boolean {
    return this.#again(hashOf(wordsOf(head), head.length));
  }

  #again(hash: number): boolean {
    const places = this.#places;
    const from = ((hash ^ (hash >>> 16)) & (SETS - 1)) * WAYS;
    let at = from;
    while (at < from + WAYS - 1 && places[at] !== hash) at += 1;
    const isSame = places[at] === hash;
    // The latest first; the last one goes.
    places.copyWithin(from + 1, from, at);
    places[from] = hash;
    return isSame;
  }
}

/** FNV-1a, a character for a byte. */
function mix(hash: number, text: string): number {
  let mixed = hash;
  for (let index = 0; index < text.length; index += 1) mixed = Math.imul(mixed ^ text.charCodeAt(index), 0x0100_0193);
  return mixed;
}
