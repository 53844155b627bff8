import { baseKeyOf } from '../core/vary.ts';
import type { PurgeableItem } from './purge-table.ts';
import { mostLogged, shortName } from './scope-names.ts';
import { TextHash } from './text-hash.ts';

interface Row {
  readonly seq: number;
}

/** The first letter of a scope: all, route, key, URL, tag, prefix of a URL; URL and tag by their digests (`scopesForLog`). */
const kinds = ['a', 'r', 'k', 'u', 't', 'p', 'U', 'T'] as const;
type Kind = (typeof kinds)[number];

/**
 * A longer name is kept as its length and 64 bits of its keyed hash: whoever may send unsafe requests has their URLs purged, of 8 KiB
 * each. That two are one by that is one chance in ten million among millions, nobody can choose them, and it would widen a purge, never
 * lose one.
 */
export const maxNameLength = 128;

const mark = '#';
const hash = new TextHash();

function shortened(name: string): string {
  if (name.length <= maxNameLength && !name.startsWith(mark)) return name;
  const { low, high } = hash.take(name);
  return `${mark}${name.length} ${low} ${high}`;
}

/** Of the name that is kept as that. */
function lengthOf(short: string): number {
  return short.startsWith(mark) ? Number(short.slice(mark.length, short.indexOf(' '))) : short.length;
}

/**
 * Scope → row, kept by kind of scope under the bare name unless that is long. Looking up an item then takes its own strings, whose hashes V8 has
 * kept: joined ones (`k:` and a key) would be made and hashed anew in each check, ten times the cost.
 */
export class ScopeRows<R extends Row> {
  readonly #rows: Readonly<Record<Kind, Map<string, R>>> = {
    a: new Map(),
    r: new Map(),
    k: new Map(),
    u: new Map(),
    t: new Map(),
    p: new Map(),
    U: new Map(),
    T: new Map(),
  };
  #size = 0;
  /** Length of prefix → rows that have it. */
  readonly #prefixLengths = new Map<number, number>();
  #lengths: readonly number[] = [];

  get size(): number {
    return this.#size;
  }

  /** Seqs of the rows, rising in each list; nothing is copied. */
  get seqs(): readonly Iterator<number>[] {
    return kinds.map((kind) => this.#rows[kind].values().map((row) => row.seq));
  }

  /** Lengths of the prefixes that have rows. */
  get prefixLengths(): readonly number[] {
    return this.#lengths;
  }

  /** A scope that is there moves to the end, so that each kind stays in order of `seq`. */
  set(scope: string, row: R): void {
    const { kind, name } = parse(scope);
    const short = shortened(name);
    if (!this.#rows[kind].delete(short)) {
      this.#size += 1;
      if (kind === 'p') this.#countLength(name.length, 1);
    }
    this.#rows[kind].set(short, row);
  }

  /** Drops rows with at most this `seq`. */
  forget(seq: number): void {
    for (const kind of kinds) {
      for (const [short, row] of this.#rows[kind]) {
        if (row.seq > seq) break;
        this.#rows[kind].delete(short);
        this.#size -= 1;
        if (kind === 'p') this.#countLength(lengthOf(short), -1);
      }
    }
  }

  /** Visits the rows that cover the item and are later than its position, until one visit answers true. */
  someAfter(item: PurgeableItem, visit: (row: R) => boolean): boolean {
    const { a, r, k, p } = this.#rows;
    const { key } = item;
    if (isHit(a.get(''), item, visit)) return true;
    if (isHit(rowOf(r, item.route), item, visit)) return true;
    if (this.#isUrlHit(item, visit)) return true;
    // A key names what is stored under it and all its variants, whose keys begin with it.
    if (k.size > 0 && (isHit(rowOf(k, key), item, visit) || isHit(rowOf(k, baseKeyOf(key)), item, visit))) return true;
    if (this.#isTagHit(item, visit)) return true;
    return p.size > 0 && this.#isPrefixHit(item, visit);
  }

  #isUrlHit(item: PurgeableItem, visit: (row: R) => boolean): boolean {
    const { u, U } = this.#rows;
    if (u.size > 0 && isHit(rowOf(u, item.url), item, visit)) return true;
    return isHit(digestRowOf(U, item.url), item, visit);
  }

  #isTagHit(item: PurgeableItem, visit: (row: R) => boolean): boolean {
    const { t, T } = this.#rows;
    if (t.size === 0 && T.size === 0) return false;
    for (const tag of item.tags) {
      if (isHit(rowOf(t, tag), item, visit) || isHit(digestRowOf(T, tag), item, visit)) return true;
    }
    return false;
  }

  #isPrefixHit(item: PurgeableItem, visit: (row: R) => boolean): boolean {
    for (const length of this.#lengths) {
      if (length > item.url.length) continue;
      if (isHit(rowOf(this.#rows.p, item.url.slice(0, length)), item, visit)) return true;
    }
    return false;
  }

  #countLength(length: number, by: 1 | -1): void {
    const rows = (this.#prefixLengths.get(length) ?? 0) + by;
    if (rows === 0) this.#prefixLengths.delete(length);
    else this.#prefixLengths.set(length, rows);
    this.#lengths = [...this.#prefixLengths.keys()];
  }
}

function rowOf<R>(rows: ReadonlyMap<string, R>, name: string): R | undefined {
  return rows.get(shortened(name));
}

/** Of a name that stands in the log by its digest. */
function digestRowOf<R>(rows: ReadonlyMap<string, R>, name: string): R | undefined {
  return rows.size > 0 && name.length > mostLogged ? rows.get(shortName(name)) : undefined;
}

/** No closure over the item, nor an iterator: in a walk through many they would be most of what V8 has to collect. */
function isHit<R extends Row>(row: R | undefined, item: PurgeableItem, visit: (row: R) => boolean): boolean {
  return row !== undefined && row.seq > item.position.seq && visit(row);
}

/** Whether rows can be kept under it. */
export function isScope(text: string): boolean {
  return text === 'all' || kinds.some((letter) => letter !== 'a' && text.startsWith(`${letter}:`));
}

/** Throws RangeError for what is no scope: a purge that covers nothing by mistake must not look like a success. */
function parse(scope: string): { readonly kind: Kind; readonly name: string } {
  if (scope === 'all') return { kind: 'a', name: '' };
  const kind = kinds.find((letter) => letter !== 'a' && scope.startsWith(`${letter}:`));
  if (kind === undefined) throw new RangeError('not a purge scope');
  return { kind, name: scope.slice(2) };
}
