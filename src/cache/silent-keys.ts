import { dropOldest } from './drop-oldest.ts';

/**
 * After upstream kept a key's requests waiting until the timeout, what is stale is served at once and upstream asked
 * behind it for this long (or until it answers), since each request would else wait for the whole timeout again.
 */
const HOLD_MS = 30_000;
/** Keys; some 100 bytes for each kind of its requests. */
const CAPACITY = 10_000;
/** So many kinds of requests that upstream kept waiting are no oddity of one of them: it answers none for the key. */
const KINDS_FOR_ALL = 3;

/** What is known of keys whose requests upstream keeps waiting. */
export type Silences = Pick<SilentKeys, 'size' | 'note' | 'forget' | 'has'>;

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

  constructor(holdMs = HOLD_MS, capacity = CAPACITY) {
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
