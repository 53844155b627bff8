import { withSearchScopes } from '../core/no-vary-search.ts';
import type { StoredItem } from '../core/stored-response.ts';
import { ScopeRows } from './scope-rows.ts';

/** What a purge is judged by. */
export type PurgeableItem = Pick<StoredItem, 'key' | 'route' | 'url' | 'tags' | 'position'>;

/** One entry of the purge log as it was applied. */
export interface AppliedPurge {
  /** As asked for; once applied also what they stand for, and a prefix past {@link maxPrefixLengths} may be a wider scope. */
  readonly scopes: readonly string[];
  readonly soft: boolean;
  readonly seq: number;
  /** Wall clock, milliseconds. */
  readonly atMs: number;
}

interface PurgeRow {
  readonly seq: number;
  readonly atMs: number;
}

/**
 * Distinct lengths of purged prefixes that the table tells apart, hard and soft each. Each costs one more look-up in a check,
 * so an operator (or a script) that purges thousands of prefixes must not make every check slow.
 */
export const maxPrefixLengths = 64;

/**
 * Scope → last purge of it. Answers whether a purge after an item's position covers it, at the cost of one look-up for each
 * of the item's scopes: it does not matter how much is stored or how many purges there were. See docs/decisions/0002.
 */
export class PurgeTable {
  readonly #hard = new ScopeRows<PurgeRow>();
  readonly #soft = new ScopeRows<PurgeRow>();
  readonly #searching: boolean;

  /** `searching`: this process keys by rules for queries, so a purge also counts for what they key ({@link withSearchScopes}). */
  constructor({ searching = false }: { readonly searching?: boolean | undefined } = {}) {
    this.#searching = searching;
  }

  /** Rows: at most one hard and one soft for each scope. */
  get size(): number {
    return this.#hard.size + this.#soft.size;
  }

  /**
   * Notes the purge; answers it with the scopes that it took in effect ({@link inEffect}). `seq` must not be less than any before. Throws
   * RangeError for what is no scope.
   */
  apply(purge: AppliedPurge): AppliedPurge {
    const rows = purge.soft ? this.#soft : this.#hard;
    const row = { seq: purge.seq, atMs: purge.atMs };
    const scopes = this.inEffect(purge.scopes).map((asked) => {
      const scope = tellable(asked, rows.prefixLengths);
      rows.set(scope, row);
      return scope;
    });
    return { ...purge, scopes };
  }

  /** The scopes of a purge, and what they stand for here. */
  inEffect(scopes: readonly string[]): readonly string[] {
    return this.#searching ? withSearchScopes(scopes) : scopes;
  }

  /** True where a hard purge after the item's position covers it. Epochs are the log's affair. */
  isPurged(item: PurgeableItem): boolean {
    return this.#hard.size > 0 && this.#hard.someAfter(item, () => true);
  }

  /**
   * Wall clock of a soft purge after the item's position that covers it; the earliest over its scopes. Of several purges of
   * one scope the table knows the last only, which makes an item stale a little later in its windows, never fresh.
   */
  softPurgedAtMs(item: PurgeableItem): number | undefined {
    if (this.#soft.size === 0) return undefined;
    let earliestMs: number | undefined;
    this.#soft.someAfter(item, ({ atMs }) => {
      earliestMs = Math.min(earliestMs ?? atMs, atMs);
      return false;
    });
    return earliestMs;
  }

  /** Drops rows whose last purge is at or before `seq`. */
  forget(seq: number): void {
    this.#hard.forget(seq);
    this.#soft.forget(seq);
  }

  /** The least `seq` whose {@link forget} leaves at most `rows` rows. */
  seqThatLeaves(rows: number): number {
    const surplus = this.size - rows;
    return surplus <= 0 ? 0 : nthLeast([...this.#hard.seqs, ...this.#soft.seqs], surplus);
  }
}

/** Merges rising lists as far as that: sorting a table of millions would hold everything up. */
function nthLeast(lists: readonly Iterator<number>[], place: number): number {
  const heads = lists.map((list) => ({ list, seq: nextOf(list) }));
  let least = 0;
  for (let taken = 0; taken < place; taken += 1) {
    const head = heads.reduce((first, other) => (other.seq < first.seq ? other : first));
    least = head.seq;
    head.seq = nextOf(head.list);
  }
  return least;
}

function nextOf(list: Iterator<number>): number {
  const step = list.next();
  return step.done === true ? Number.POSITIVE_INFINITY : step.value;
}

/**
 * A prefix of one length too many is widened to the longest length that is already told apart, or to everything: that purges
 * more than was asked for, which costs upstream calls; less would be wrong answers.
 */
function tellable(scope: string, lengths: readonly number[]): string {
  if (!scope.startsWith('p:')) return scope;
  const prefix = scope.slice(2);
  if (lengths.includes(prefix.length) || lengths.length < maxPrefixLengths) return scope;
  const shorter = lengths.filter((length) => length < prefix.length);
  return shorter.length === 0 ? 'all' : `p:${prefix.slice(0, Math.max(...shorter))}`;
}
