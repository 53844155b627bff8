import type { Repeat } from '../cache/ports.ts';

/** What a request head, byte for byte, was answered with. */
export interface KnownHead {
  /** Held weakly, so that a response which the store has dropped goes with it. */
  readonly repeat: WeakRef<Repeat>;
  readonly method: string;
  readonly traceId: string | undefined;
  readonly listener: string;
}

/** What a head takes beside its bytes, about: 280 on the heap, measured with 20,000 heads, and what a buffer takes outside of it. */
const BYTES_BESIDE = 500;

interface Entry {
  readonly head: Buffer;
  readonly known: KnownHead;
}

/**
 * Request heads that may be answered again. Two generations: what is not asked for while one fills is forgotten, what is
 * asked for goes from one to the next, so that no flood of others drives it out.
 *
 * By a hash of its own and a comparison of bytes: a `Map` of texts makes each text it is asked for one of V8's own table,
 * which costs more than both and keeps what was asked for until the next collection of garbage.
 */
export class KnownHeads {
  readonly #maxBytes: number;
  // By hash. Of two heads with the same one the later takes the place of the earlier.
  #young = new Map<number, Entry>();
  #old = new Map<number, Entry>();
  #youngBytes = 0;

  /** `maxBytes`: of one generation; there are two. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Heads that are held, those that are in both generations twice. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  find(head: Buffer): KnownHead | undefined {
    const hash = hashOf(head);
    const entry = this.#young.get(hash) ?? this.#recall(hash);
    return entry?.head.equals(head) === true ? entry.known : undefined;
  }

  /** Keeps a copy of the head. */
  remember(head: Buffer, known: KnownHead): void {
    const copy = Buffer.allocUnsafeSlow(head.length);
    head.copy(copy);
    this.#put(hashOf(head), { head: copy, known });
  }

  forget(head: Buffer): void {
    const hash = hashOf(head);
    this.#take(hash);
    this.#old.delete(hash);
  }

  #put(hash: number, entry: Entry): void {
    this.#take(hash);
    const bytes = entry.head.length + BYTES_BESIDE;
    if (this.#youngBytes + bytes > this.#maxBytes) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(hash, entry);
    this.#youngBytes += bytes;
  }

  #take(hash: number): void {
    const entry = this.#young.get(hash);
    if (entry === undefined) return;
    this.#young.delete(hash);
    this.#youngBytes -= entry.head.length + BYTES_BESIDE;
  }

  #recall(hash: number): Entry | undefined {
    const entry = this.#old.get(hash);
    if (entry !== undefined) this.#put(hash, entry);
    return entry;
  }
}

/** Bytes of a head that are all hashed: the request line mostly. Of the rest so many are. */
const HASHED_WHOLE = 96;
const HASHED_OF_REST = 32;

/** So that nobody can tell which heads share a place. */
const SEED = Math.trunc(Math.random() * 0x7fff_ffff);

/** At most 30 bits, which V8 keeps without allocating. A word at a time: a byte at a time takes three times as long. */
function hashOf(head: Buffer): number {
  const { length } = head;
  const whole = Math.min(length, HASHED_WHOLE) & ~3;
  let hash = SEED ^ length;
  for (let at = 0; at < whole; at += 4) {
    hash = Math.imul(hash ^ wordAt(head, at), 0x9e37_79b1);
    hash ^= hash >>> 15;
  }
  const step = Math.max(1, Math.floor((length - whole) / HASHED_OF_REST));
  for (let at = whole; at < length; at += step) hash = Math.imul(hash ^ (head[at] ?? 0), 0x85eb_ca6b);
  return (hash ^ (hash >>> 13)) & 0x3fff_ffff;
}

function wordAt(bytes: Buffer, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
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

  /** Whether the same head was among the last of its set; it is now. */
  again(head: { readonly url?: string | undefined; readonly rawHeaders: readonly string[] }): boolean {
    let hash = mix(SEED, head.url ?? '');
    for (const part of head.rawHeaders) hash = mix(hash, part);
    hash >>>= 0;
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
