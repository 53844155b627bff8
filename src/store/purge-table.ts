import type { StoredItem } from '../core/stored-response.ts';
import { scopesOf } from '../core/stored-response.ts';

/** What a purge is judged by. */
export type PurgeableItem = Pick<StoredItem, 'key' | 'route' | 'url' | 'tags' | 'position'>;

/** One entry of the purge log as it was applied. */
export interface AppliedPurge {
  /** As asked for, save that a prefix past {@link maxPrefixLengths} may have become a wider scope. */
  readonly scopes: readonly string[];
  readonly soft: boolean;
  readonly seq: number;
  /** Wall clock, milliseconds. */
  readonly atMs: number;
}

interface SoftPurge {
  readonly seq: number;
  readonly atMs: number;
}

/**
 * Distinct lengths of purged prefixes that the table tells apart. Each costs one more look-up in a validity check, so an
 * operator (or a script) that purges thousands of prefixes must not make every check slow.
 */
export const maxPrefixLengths = 64;

/**
 * Scope → last purge of it. Answers whether a purge after an item's position covers it, at the cost of one look-up for each
 * of the item's scopes: it does not matter how much is stored or how many purges there were. See docs/decisions/0002.
 */
export class PurgeTable {
  // Both in order of `seq` (a repeated scope moves to the end), so that forgetting the oldest is a walk from the front.
  readonly #hard = new Map<string, number>();
  readonly #soft = new Map<string, SoftPurge>();
  /** Prefix length → number of table rows that have it. */
  readonly #prefixLengths = new Map<number, number>();

  /** Rows: at most one hard and one soft for each scope. */
  get size(): number {
    return this.#hard.size + this.#soft.size;
  }

  /** Notes the purge; answers it with the scopes that it took in effect. `seq` must not be less than any before. */
  apply(purge: AppliedPurge): AppliedPurge {
    const scopes = purge.scopes.map((scope) => this.#tellable(scope));
    for (const scope of scopes) {
      if (purge.soft) this.#setSoft(scope, { seq: purge.seq, atMs: purge.atMs });
      else this.#setHard(scope, purge.seq);
    }
    return { ...purge, scopes };
  }

  /** True where a hard purge after the item's position covers it. Epochs are the log's affair. */
  isPurged(item: PurgeableItem): boolean {
    if (this.#hard.size === 0) return false;
    return this.#scopesInTable(item).some((scope) => (this.#hard.get(scope) ?? -1) > item.position.seq);
  }

  /**
   * Wall clock of a soft purge after the item's position that covers it; the earliest over its scopes. Of several purges of
   * one scope the table knows the last only, which makes an item stale a little later in its windows, never fresh.
   */
  softPurgedAtMs(item: PurgeableItem): number | undefined {
    if (this.#soft.size === 0) return undefined;
    let earliestMs: number | undefined;
    for (const scope of this.#scopesInTable(item)) {
      const purge = this.#soft.get(scope);
      if (purge === undefined || purge.seq <= item.position.seq) continue;
      if (earliestMs === undefined || purge.atMs < earliestMs) earliestMs = purge.atMs;
    }
    return earliestMs;
  }

  /** Drops rows whose last purge is at or before `seq`. */
  forget(seq: number): void {
    for (const [scope, last] of this.#hard) {
      if (last > seq) break;
      this.#hard.delete(scope);
      this.#prefixGone(scope);
    }
    for (const [scope, last] of this.#soft) {
      if (last.seq > seq) break;
      this.#soft.delete(scope);
      this.#prefixGone(scope);
    }
  }

  /** The least `seq` whose {@link forget} leaves at most `rows` rows. */
  seqThatLeaves(rows: number): number {
    const seqs = [...this.#hard.values(), ...Array.from(this.#soft.values(), (purge) => purge.seq)];
    const surplus = seqs.length - rows;
    return surplus <= 0 ? 0 : (seqs.toSorted((a, b) => a - b)[surplus - 1] ?? 0);
  }

  #scopesInTable(item: PurgeableItem): readonly string[] {
    if (this.#prefixLengths.size === 0) return scopesOf(item);
    const scopes = [...scopesOf(item)];
    for (const length of this.#prefixLengths.keys()) {
      if (length <= item.url.length) scopes.push(`p:${item.url.slice(0, length)}`);
    }
    return scopes;
  }

  #setHard(scope: string, seq: number): void {
    if (!this.#hard.delete(scope)) this.#prefixCame(scope);
    this.#hard.set(scope, seq);
  }

  #setSoft(scope: string, purge: SoftPurge): void {
    if (!this.#soft.delete(scope)) this.#prefixCame(scope);
    this.#soft.set(scope, purge);
  }

  /**
   * A prefix of one length too many is widened to the longest length that is already told apart, or to everything: that
   * purges more than was asked for, which costs upstream calls; less would be wrong answers.
   */
  #tellable(scope: string): string {
    if (!scope.startsWith('p:')) return scope;
    const prefix = scope.slice(2);
    if (this.#prefixLengths.has(prefix.length) || this.#prefixLengths.size < maxPrefixLengths) return scope;
    const shorter = [...this.#prefixLengths.keys()].filter((length) => length < prefix.length);
    return shorter.length === 0 ? 'all' : `p:${prefix.slice(0, Math.max(...shorter))}`;
  }

  #prefixCame(scope: string): void {
    if (!scope.startsWith('p:')) return;
    const length = scope.length - 2;
    this.#prefixLengths.set(length, (this.#prefixLengths.get(length) ?? 0) + 1);
  }

  #prefixGone(scope: string): void {
    if (!scope.startsWith('p:')) return;
    const length = scope.length - 2;
    const rows = (this.#prefixLengths.get(length) ?? 1) - 1;
    if (rows === 0) this.#prefixLengths.delete(length);
    else this.#prefixLengths.set(length, rows);
  }
}
