import type { StoredItem } from '../core/stored-response.ts';
import type { Pieces } from './discarded.ts';
import type { Looks, MemberFacts, RecordWalk, ScopeTotals } from './scope-index.ts';
import { ScopeIndex } from './scope-index.ts';
import { mostLogged } from './scope-names.ts';
import type { StoredRecords } from './stored-records.ts';
import { words } from './stored-records.ts';

/**
 * Whether the key of the item is its route and its URL and no more, so that whoever knows both finds it. Most are so. Of a long URL
 * a purge may tell the digest alone.
 */
export function hasUrlKey({ key, route, url }: Pick<StoredItem, 'key' | 'route' | 'url'>): boolean {
  const { length } = route;
  if (url.length > mostLogged || key.length !== length + 1 + url.length) return false;
  return key[length] === '|' && key.startsWith(route) && key.endsWith(url);
}

/** What is asked of the index by key. */
export interface KeyFinder {
  /** The record under the key; 0: there is none. */
  readonly find: (key: string) => number;
  /** Of what is stored, those of which a key may be made of the URL; few. */
  readonly routesOf: (url: string) => readonly string[];
}

/**
 * The records of each URL. Those that {@link hasUrlKey} tells are found by their keys, one for each route at most: to index them once more
 * took each put and each eviction several lines of memory that had gone cold, and 48 bytes. What is under other keys (variants,
 * keyed fields, content, digests of long ones) is indexed by name.
 */
export class UrlScopes {
  readonly #named = new ScopeIndex();
  readonly #records: StoredRecords;
  readonly #keys: KeyFinder;

  constructor(records: StoredRecords, keys: KeyFinder) {
    this.#records = records;
    this.#keys = keys;
  }

  /** URLs that are indexed by name. */
  get size(): number {
    return this.#named.size;
  }

  get bytes(): number {
    return this.#named.bytes;
  }

  /** See {@link ScopeIndex.discard}. */
  discard(): readonly Pieces[] {
    return this.#named.discard();
  }

  /** See {@link ScopeIndex.needs}. */
  needs(memberships: number): number {
    return this.#named.needs(memberships);
  }

  /** For what is under another key. Answers its membership. */
  add(url: string, facts: MemberFacts): number {
    return this.#named.add(url, facts, 0);
  }

  remove(membership: number, isResponse: boolean): void {
    this.#named.remove(membership, isResponse);
  }

  members(url: string): ScopeTotals | undefined {
    const named = this.#named.members(url);
    const keyed = this.#keyed(url);
    if (keyed.length === 0) return named;
    const responses = keyed.filter((record) => this.#records.isResponse(record)).length;
    return { responses: responses + (named?.responses ?? 0), records: keyed.length + (named?.records ?? 0) };
  }

  /** First those under the keys of the URL, then the others, newest first. See {@link RecordWalk}. */
  walk(url: string): RecordWalk {
    const named = this.#named.walk(url);
    const routes = [...this.#keys.routesOf(url)];
    const next = (): number | undefined => {
      const route = routes.pop();
      return route === undefined ? named.next() : this.#under(route, url);
    };
    return { next, end: named.end };
  }

  /** Tells whether a record is of the URL, and counts its looks. For use at once. */
  testOf(url: string, looks?: Looks): (record: number) => boolean {
    const keyed = new Set(this.#keyed(url));
    const isNamed = this.#named.testOf(url, looks);
    return (record) => {
      const membership = this.#records.rows.get(record, words.url);
      return membership === 0 ? keyed.has(record) : isNamed(membership);
    };
  }

  #keyed(url: string): readonly number[] {
    const routes = this.#keys.routesOf(url);
    return routes.map((route) => this.#under(route, url)).filter((record) => record !== 0);
  }

  /** A key of that form may be a digest's or hold keyed fields: then it is another URL's, and indexed by name. */
  #under(route: string, url: string): number {
    const record = this.#keys.find(`${route}|${url}`);
    const isKeyed = record !== 0 && this.#records.rows.get(record, words.url) === 0;
    return isKeyed && this.#records.route(record) === route ? record : 0;
  }
}
