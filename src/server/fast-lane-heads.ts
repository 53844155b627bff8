import type { Repeat } from '../cache/ports.ts';

/** What a request head, byte for byte, was answered with. */
export interface KnownHead {
  /** Held weakly, so that a response which the store has dropped goes with it. */
  readonly repeat: WeakRef<Repeat>;
  readonly method: string;
  readonly traceId: string | undefined;
  readonly listener: string;
}

/** What a head takes beside its bytes, about. Measured with heads of 200 bytes. */
const BYTES_BESIDE = 250;

/**
 * Request heads that may be answered again. Two generations: what is not asked for while one fills is forgotten, what is
 * asked for goes from one to the next, so that no flood of others drives it out.
 */
export class KnownHeads {
  readonly #maxBytes: number;
  #young = new Map<string, KnownHead>();
  #old = new Map<string, KnownHead>();
  #youngBytes = 0;

  /** `maxBytes`: of one generation; there are two. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Heads that are held, those that are in both generations twice. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  find(head: string): KnownHead | undefined {
    return this.#young.get(head) ?? this.#recall(head);
  }

  remember(head: string, known: KnownHead): void {
    const bytes = head.length + BYTES_BESIDE;
    if (this.#youngBytes + bytes > this.#maxBytes) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    if (!this.#young.has(head)) this.#youngBytes += bytes;
    this.#young.set(head, known);
  }

  forget(head: string): void {
    if (this.#young.delete(head)) this.#youngBytes -= head.length + BYTES_BESIDE;
    this.#old.delete(head);
  }

  #recall(head: string): KnownHead | undefined {
    const known = this.#old.get(head);
    if (known !== undefined) this.remember(head, known);
    return known;
  }
}

/** A power of two: 32 KB, and two heads that recur are taken for one new one once in some thousands. */
const SLOTS = 8192;

/** Tells heads that recur from those that come once, without keeping any of them. Errors cost time alone. */
export class SeenHeads {
  readonly #slots = new Uint32Array(SLOTS);

  /** Whether the same head was the last of its slot; it is now. */
  again(head: { readonly url?: string | undefined; readonly rawHeaders: readonly string[] }): boolean {
    let hash = mix(0, head.url ?? '');
    for (const part of head.rawHeaders) hash = mix(hash, part);
    hash >>>= 0;
    const slot = (hash ^ (hash >>> 16)) & (SLOTS - 1);
    const isSame = this.#slots[slot] === hash;
    this.#slots[slot] = hash;
    return isSame;
  }
}

/** FNV-1a, a character for a byte. */
function mix(hash: number, text: string): number {
  let mixed = hash;
  for (let index = 0; index < text.length; index += 1) mixed = Math.imul(mixed ^ text.charCodeAt(index), 0x0100_0193);
  return mixed;
}
