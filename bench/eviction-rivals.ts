/** The textbook forms of what the memory tier could do instead, by count of keys. For `bench/eviction.ts` alone. */

export interface Policy {
  /** Asks for the key and stores it where it was absent; true for a hit. */
  ask(key: number): boolean;
}

/** Least recently used. A Map keeps the order of entry. */
export class Lru implements Policy {
  readonly #keys = new Set<number>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  ask(key: number): boolean {
    const hit = this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size > this.#capacity) this.#evict();
    return hit;
  }

  #evict(): void {
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      return;
    }
  }
}

interface SieveNode {
  readonly key: number;
  visited: boolean;
  newer: SieveNode | undefined;
  older: SieveNode | undefined;
}

/** SIEVE (Zhang et al., NSDI 2024): one queue, one bit, a hand that stays where it was. */
export class Sieve implements Policy {
  readonly #nodes = new Map<number, SieveNode>();
  readonly #capacity: number;
  #newest: SieveNode | undefined;
  #oldest: SieveNode | undefined;
  #hand: SieveNode | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  ask(key: number): boolean {
    const found = this.#nodes.get(key);
    if (found !== undefined) {
      found.visited = true;
      return true;
    }
    if (this.#nodes.size >= this.#capacity) this.#evict();
    const node: SieveNode = { key, visited: false, newer: undefined, older: this.#newest };
    if (this.#newest !== undefined) this.#newest.newer = node;
    this.#newest = node;
    this.#oldest ??= node;
    this.#nodes.set(key, node);
    return false;
  }

  #evict(): void {
    let node = this.#hand ?? this.#oldest;
    while (node?.visited === true) {
      node.visited = false;
      node = node.newer ?? this.#oldest;
    }
    if (node === undefined) return;
    this.#hand = node.newer;
    if (node.newer === undefined) this.#newest = node.older;
    else node.newer.older = node.older;
    if (node.older === undefined) this.#oldest = node.newer;
    else node.older.newer = node.newer;
    this.#nodes.delete(node.key);
  }
}

/** Count-min with 4-bit like counters that are halved now and then. */
class Sketch {
  readonly #counts: Uint8Array;
  readonly #sample: number;
  #added = 0;

  constructor(capacity: number) {
    this.#counts = new Uint8Array(2 ** Math.ceil(Math.log2(capacity * 8)));
    this.#sample = capacity * 10;
  }

  add(key: number): void {
    for (let row = 0; row < 4; row += 1) {
      const slot = this.#slot(key, row);
      this.#counts[slot] = Math.min(15, (this.#counts[slot] ?? 0) + 1);
    }
    this.#added += 1;
    if (this.#added < this.#sample) return;
    this.#added = Math.floor(this.#added / 2);
    for (let slot = 0; slot < this.#counts.length; slot += 1) this.#counts[slot] = (this.#counts[slot] ?? 0) >> 1;
  }

  estimate(key: number): number {
    let least = 15;
    for (let row = 0; row < 4; row += 1) least = Math.min(least, this.#counts[this.#slot(key, row)] ?? 0);
    return least;
  }

  #slot(key: number, row: number): number {
    let mixed = Math.imul(key + Math.imul(row + 1, 0x9e3779b9), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) & (this.#counts.length - 1);
  }
}

/** W-TinyLFU (Einziger et al., 2017) with a window of 1 % and a segmented main part (80 % protected), not adaptive. */
export class TinyLfu implements Policy {
  readonly #sketch: Sketch;
  readonly #window = new Set<number>();
  readonly #probation = new Set<number>();
  readonly #protected = new Set<number>();
  readonly #windowSize: number;
  readonly #protectedSize: number;
  readonly #mainSize: number;

  constructor(capacity: number) {
    this.#sketch = new Sketch(capacity);
    this.#windowSize = Math.max(1, Math.floor(capacity / 100));
    this.#mainSize = capacity - this.#windowSize;
    this.#protectedSize = Math.floor(this.#mainSize * 0.8);
  }

  ask(key: number): boolean {
    this.#sketch.add(key);
    if (this.#window.delete(key)) {
      this.#window.add(key);
      return true;
    }
    if (this.#protected.delete(key) || this.#probation.delete(key)) {
      this.#protect(key);
      return true;
    }
    this.#window.add(key);
    if (this.#window.size > this.#windowSize) this.#admit(oldestOf(this.#window));
    return false;
  }

  #protect(key: number): void {
    this.#protected.add(key);
    if (this.#protected.size <= this.#protectedSize) return;
    const demoted = oldestOf(this.#protected);
    this.#protected.delete(demoted);
    this.#probation.add(demoted);
  }

  #admit(candidate: number): void {
    this.#window.delete(candidate);
    if (this.#probation.size + this.#protected.size < this.#mainSize) {
      this.#probation.add(candidate);
      return;
    }
    const lane = this.#probation.size > 0 ? this.#probation : this.#protected;
    const victim = oldestOf(lane);
    if (this.#sketch.estimate(candidate) <= this.#sketch.estimate(victim)) return;
    lane.delete(victim);
    this.#probation.add(candidate);
  }
}

/** The set is not empty. */
function oldestOf(keys: ReadonlySet<number>): number {
  for (const key of keys) return key;
  return -1;
}
