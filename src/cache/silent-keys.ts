import { dropOldest } from './drop-oldest.ts';

/** So many kinds of requests that upstream kept waiting are no oddity of one of them: it answers none for the key. */
const KINDS_FOR_ALL = 3;

/**
 * Keys whose requests upstream kept waiting until the timeout. An odd field of one request may be what upstream does not
 * answer, so that at first it is known only of requests that look the same to it, and of all once several kinds fared so.
 * Bounded; the oldest key is forgotten first.
 */
export class SilentKeys {
  /** Of each key until when which kinds are held, the oldest first; never more than it takes to hold all. */
  readonly #kinds = new Map<string, Map<string, number>>();
  readonly #holdMs: number;
  readonly #capacity: number;

  constructor(holdMs: number, capacity: number) {
    this.#holdMs = holdMs;
    this.#capacity = capacity;
  }

  /** Keys that have been noted and not forgotten, their time over or not. */
  get size(): number {
    return this.#kinds.size;
  }

  /** Upstream has kept such a request waiting. */
  note(key: string, kind: string, nowMs: number): void {
    const kinds = this.#kinds.get(key) ?? new Map<string, number>();
    this.#kinds.delete(key);
    if (this.#kinds.size >= this.#capacity) dropOldest(this.#kinds);
    this.#kinds.set(key, kinds);
    kinds.delete(kind);
    if (kinds.size >= KINDS_FOR_ALL) dropOldest(kinds);
    kinds.set(kind, nowMs + this.#holdMs);
  }

  /** Upstream has answered such a request: where all were held, none is any more. */
  forget(key: string, kind: string, nowMs: number): void {
    const kinds = this.#kinds.get(key);
    if (kinds === undefined) return;
    const wereAll = this.#isForAll(kinds, nowMs);
    kinds.delete(kind);
    if (wereAll || kinds.size === 0) this.#kinds.delete(key);
  }

  has(key: string, kind: string, nowMs: number): boolean {
    const kinds = this.#kinds.get(key);
    if (kinds === undefined) return false;
    return (kinds.get(kind) ?? 0) > nowMs || this.#isForAll(kinds, nowMs);
  }

  #isForAll(kinds: ReadonlyMap<string, number>, nowMs: number): boolean {
    const [oldest] = kinds.values();
    return kinds.size >= KINDS_FOR_ALL && oldest !== undefined && oldest > nowMs;
  }
}
