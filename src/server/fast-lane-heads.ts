import type { Repeat, Repeats, ResponseMeta } from '../cache/ports.ts';
import type { Wire } from './fast-lane-wire.ts';
import { HeadBytes } from './fast-lane-head-bytes.ts';
import { HeadRows, type Sought } from './fast-lane-rows.ts';
import { type Block, type Resident, Slab } from './fast-lane-slab.ts';
import { hashOf, SEED, WordBuffer } from './fast-lane-words.ts';

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
 * What a request head, byte for byte, is answered with. What each hit needs comes first: each line of memory that it reads may be
 * cold.
 */
export class KnownHead implements HeadFacts, Resident {
  /** 0: it is forgotten. */
  row = 0;
  readonly repeat: Repeat;
  readonly wire: Wire;
  readonly repeats: Repeats | undefined;
  readonly method: string;
  readonly traceId: string | undefined;
  readonly listener: string;
  readonly status: number;
  readonly meta: ResponseMeta;
  newer: KnownHead | undefined = undefined;
  older: KnownHead | undefined = undefined;
  readonly #heads: HeadBytes;

  constructor(facts: HeadFacts, heads: HeadBytes) {
    this.repeat = facts.repeat;
    this.wire = facts.wire;
    this.repeats = facts.repeats;
    this.method = facts.method;
    this.traceId = facts.traceId;
    this.listener = facts.listener;
    this.status = facts.status;
    this.meta = facts.meta;
    this.#heads = heads;
  }

  /** Of the content of its answer. */
  get length(): number {
    return this.wire.length;
  }

  /** See `Resident`. */
  leave(block: Block): void {
    this.#heads.move(this, block);
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
  readonly #slab: Slab;
  readonly #rows: HeadRows;
  readonly #bytesOfHeads: HeadBytes;
  readonly #byRow: (KnownHead | undefined)[] = [undefined];
  #newest: KnownHead | undefined;
  #oldest: KnownHead | undefined;
  #bytes = 0;
  #size = 0;
  #turn = 0;

  /** `maxBytes`: of heads and answers. `slab`: where they are kept, and nothing else. */
  constructor(maxBytes: number, slab: Slab = new Slab()) {
    this.#maxBytes = maxBytes;
    this.#slab = slab;
    this.#rows = new HeadRows(slab);
    this.#bytesOfHeads = new HeadBytes(slab, this.#rows);
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
    const row = this.#rows.find(words, bytes, hashOf(words, bytes));
    return row === 0 ? undefined : this.#byRow[row];
  }

  /** Makes its answer say what is right at that time. False: there is no such answer. */
  turnTo(known: KnownHead, nowMs: number): boolean {
    const { row, wire } = known;
    if (this.#rows.holds(row, wire.turns, nowMs)) return true;
    if (!wire.turnTo(nowMs, known.repeat)) return false;
    this.#rows.say(row, wire);
    return true;
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
    // It was let go of with the last of its heads: who has it still must have another one made.
    if (wire.first.length === 0) return;
    const words = wordsOf(head);
    const sought = { words, bytes: head.length, hash: hashOf(words, head.length) };
    const known = new KnownHead(facts, this.#bytesOfHeads);
    if (wire.users === 0) this.#bytes += wireBytesOf(known);
    wire.users += 1;
    // Behind the count: it may be the last that has the same answer.
    const one = this.#instead(sought);
    if (one !== undefined) this.forget(one);
    this.#bytesOfHeads.add(known, sought);
    this.#byRow[known.row] = known;
    // Behind its head, with which it is read.
    wire.settle(this.#slab);
    this.#link(known);
    this.#size += 1;
    this.#bytes += bytesOf(known, sought.bytes);
    this.#shrink();
  }

  /** In whose place it comes: its own, or that of one of them where as many are alike as may be, mostly of the earliest. */
  #instead(sought: Sought): KnownHead | undefined {
    const { last, count, isSame } = this.#rows.alike(sought, mostAlike);
    return isSame || count >= mostAlike ? this.#byRow[last] : undefined;
  }

  forget(known: KnownHead): void {
    // It was forgotten before.
    if (known.row === 0) return;
    const bytes = this.#rows.bytesOf(known.row);
    this.#unlink(known);
    this.#size -= 1;
    this.#bytes -= bytesOf(known, bytes);
    const { row, wire, repeat } = known;
    this.#byRow[row] = undefined;
    wire.users -= 1;
    if (wire.users === 0) {
      this.#bytes -= wireBytesOf(known);
      // Who holds the answer need not hold its bytes. What another listener has made of it since is that one's.
      if (repeat.madeOf === wire) repeat.madeOf = undefined;
      wire.giveBack();
    }
    this.#bytesOfHeads.remove(known);
    // Its block holds it until that is let go. It must not hold those beside it, which hold others when they are forgotten in their turn.
    known.newer = undefined;
    known.older = undefined;
  }

  #shrink(): void {
    let rounds = 0;
    while (this.#bytes > this.#maxBytes && this.#oldest !== undefined) {
      const oldest = this.#oldest;
      if (rounds < mostRounds && this.#rows.takeUse(oldest.row)) {
        rounds += 1;
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

function bytesOf({ meta }: KnownHead, bytes: number): number {
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
