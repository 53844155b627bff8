import { baseKeyOf } from '../core/vary.ts';
import type { StoredItem } from '../core/stored-response.ts';
import { distinct } from '../core/tags.ts';
import type { Pieces } from './discarded.ts';
import { HashChains, slotBytes } from './hash-chains.ts';
import type { Looks, RecordWalk } from './scope-index.ts';
import { membershipBytes, ScopeIndex, type ScopeTotals } from './scope-index.ts';
import type { StoredRecords } from './stored-records.ts';
import { words } from './stored-records.ts';
import { TextHash } from './text-hash.ts';
import { hasUrlKey, UrlScopes } from './url-scopes.ts';

interface RouteTally {
  readonly name: string;
  records: number;
  responses: number;
  /**
   * With what each URL begins that was stored under a key of its own ({@link hasUrlKey}) since the route last had nothing; `undefined`: none
   * was. With hundreds of routes a look-up under the key of each took most of a purge by URL.
   */
  stem: string | undefined;
}

/** Everything that is stored, by key and by each name under which it can be purged. */
export class MemoryIndex {
  readonly #records: StoredRecords;
  readonly #chains: HashChains;
  readonly #urls: UrlScopes;
  readonly #tags = new ScopeIndex();
  readonly #routes = new Map<string, RouteTally>();
  /** Of the key that was looked for last. */
  readonly hash = new TextHash();
  #responses = 0;
  /** Records under a variant's key. */
  #variants = 0;
  #closed = false;

  constructor(records: StoredRecords) {
    this.#records = records;
    this.#chains = new HashChains(records.rows, { hash: words.hashLow, next: words.chain });
    this.#urls = new UrlScopes(records, { find: (key) => this.find(key), routesOf: (url) => this.#routesOf(url) });
  }

  /** Keys that are held. */
  get size(): number {
    return this.#records.rows.size;
  }

  /** Bytes of all tables. */
  get bytes(): number {
    return this.#records.rows.bytes + this.#chains.bytes + this.#urls.bytes + this.#tags.bytes;
  }

  /** Vary markers are not counted. */
  get responses(): number {
    return this.#responses;
  }

  get tags(): number {
    return this.#tags.size;
  }

  /** Keys, URLs, routes and tags that are held, for tests: all are 0 when nothing is stored. */
  get sizes(): { readonly keys: number; readonly urls: number; readonly routes: number; readonly tags: number } {
    return { keys: this.size, urls: this.#urls.size, routes: this.#routes.size, tags: this.#tags.size };
  }

  /** Bytes of tables that an item more would take at most. */
  needs(item: StoredItem): number {
    const urls = hasUrlKey(item) ? 0 : this.#urls.needs(1);
    return this.#records.rows.needs(1) + slotBytes + urls + this.#tags.needs(item.tags.length);
  }

  /** Its record; 0: there is none under the key. */
  find(key: string): number {
    const hash = this.hash.take(key);
    let record = this.#chains.first(hash.low);
    while (record !== 0 && !this.#records.isUnder(record, key, hash)) record = this.#chains.next(record);
    return record;
  }

  routeCount(route: string): number {
    return this.#routes.get(route)?.records ?? 0;
  }

  /** The key must be free. `item` is the record's. */
  add(record: number, item: StoredItem): void {
    const { rows } = this.#records;
    const isResponse = item.kind === 'response';
    const facts = { record, isResponse };
    this.#chains.add(record);
    let tags = 0;
    let indexed = 0;
    const isKeyed = hasUrlKey(item);
    if (!isKeyed) {
      rows.set(record, words.url, this.#urls.add(item.url, facts));
      indexed = membershipBytes;
    }
    // A repeated tag is one membership.
    for (const tag of distinct(item.tags)) {
      tags = this.#tags.add(tag, facts, tags);
      indexed += membershipBytes;
    }
    rows.set(record, words.tags, tags);
    rows.set(record, words.indexed, indexed);
    this.#tally(item, isKeyed);
    if (this.#records.isVariant(record)) this.#variants += 1;
  }

  remove(record: number): void {
    const { rows } = this.#records;
    const isResponse = this.#records.isResponse(record);
    this.#chains.remove(record);
    const url = rows.get(record, words.url);
    if (url !== 0) this.#urls.remove(url, isResponse);
    let tag = rows.get(record, words.tags);
    while (tag !== 0) tag = this.#tags.remove(tag, isResponse);
    const name = this.#records.route(record);
    const route = this.#routes.get(name);
    if (route !== undefined) {
      route.records -= 1;
      if (isResponse) route.responses -= 1;
      if (route.records === 0) this.#routes.delete(name);
    }
    if (isResponse) this.#responses -= 1;
    if (this.#records.isVariant(record)) this.#variants -= 1;
  }

  #tally({ kind, route: name, url }: StoredItem, isKeyed: boolean): void {
    const route = this.#routes.get(name) ?? { name, records: 0, responses: 0, stem: undefined };
    if (route.records === 0) this.#routes.set(name, route);
    route.records += 1;
    if (kind === 'response') {
      route.responses += 1;
      this.#responses += 1;
    }
    if (isKeyed && (route.stem === undefined || !url.startsWith(route.stem)))
      route.stem = commonStart(route.stem ?? url, url);
  }

  /** Of which something may be stored under the key that is made of the URL; never too few. */
  #routesOf(url: string): readonly string[] {
    const routes: string[] = [];
    for (const { name, stem } of this.#routes.values()) {
      if (stem !== undefined && url.startsWith(stem)) routes.push(name);
    }
    return routes;
  }

  /** Everything has gone at once: walks under way find no more. Answers the memory of the tables, the records' own rows included. */
  close(): readonly Pieces[] {
    this.#closed = true;
    return [this.#records.clear(), this.#chains.pieces, ...this.#urls.discard(), ...this.#tags.discard()];
  }

  /**
   * The number of responses in a scope and of all its records, without a look at them; those past their retention that are still
   * there are among them. `undefined`: only looking can tell (a prefix, a key of variants).
   */
  totals(scope: string): ScopeTotals | undefined {
    if (scope === 'all') return { responses: this.#responses, records: this.size };
    const name = scope.slice(2);
    if (this.reach(scope) === 'none') return { responses: 0, records: 0 };
    if (scope.startsWith('r:')) return this.#routes.get(name);
    return this.#scopesOf(scope)?.members(name);
  }

  /** Tells whether a record is in a scope, and counts its looks; for use at once. */
  testOf(scope: string, looks?: Looks): (record: number) => boolean {
    const { rows } = this.#records;
    const name = scope.slice(2);
    const index = this.#scopesOf(scope);
    if (index === this.#urls) return this.#urls.testOf(name, looks);
    if (index === undefined) return this.#testAlone(scope);
    const isMember = this.#tags.testOf(name, looks);
    return (record) => isMember(rows.get(record, words.tags));
  }

  /** Whether the records of a scope are known without a walk through all, and if there are any. */
  reach(scope: string): 'none' | 'some' | 'all' {
    if (this.size === 0) return 'none';
    const name = scope.slice(2);
    const index = this.#scopesOf(scope);
    if (index !== undefined) return index.members(name) === undefined ? 'none' : 'some';
    switch (scope.slice(0, 2)) {
      case 'r:':
        return this.#routes.has(name) ? 'all' : 'none';
      case 'k:':
        return this.#reachOfKey(name);
      default:
        return 'all';
    }
  }

  /**
   * Variants are not indexed by the key that they are of, whatever is under that now: upstream may vary no more, and its
   * variants of before be there still.
   */
  #reachOfKey(key: string): 'none' | 'some' | 'all' {
    if (this.#variants > 0 && !isVariantKey(key)) return 'all';
    return this.find(key) === 0 ? 'none' : 'some';
  }

  /** The records of a scope, markers too; live, so that the walk may be paused. */
  walk(scope: string): RecordWalk {
    const reach = this.reach(scope);
    if (reach === 'none') return noWalk;
    if (reach === 'all') return this.#walkAmong(scope);
    const name = scope.slice(2);
    const walk = this.#scopesOf(scope)?.walk(name) ?? walkOfOne(this.find(name));
    return { next: () => (this.#closed ? undefined : walk.next()), end: walk.end };
  }

  /** As {@link walk}; ended with the loop that it is in. */
  *inScope(scope: string): Generator<number, void, void> {
    const walk = this.walk(scope);
    try {
      for (let record = walk.next(); record !== undefined; record = walk.next()) yield record;
    } finally {
      walk.end();
    }
  }

  /** All records: a record keeps its row while it is stored, so none is missed. */
  #walkAmong(scope: string): RecordWalk {
    const { rows } = this.#records;
    const isIn = this.testOf(scope);
    let last = 0;
    const next = (): number | undefined => {
      last = rows.firstFrom(last + 1);
      if (last > rows.last || this.#closed) return undefined;
      return this.#records.isStored(last) && isIn(last) ? last : 0;
    };
    return { next, end: () => {} };
  }

  #testAlone(scope: string): (record: number) => boolean {
    const records = this.#records;
    const name = scope.slice(2);
    switch (scope.slice(0, 2)) {
      case 'r:':
        return (record) => records.route(record) === name;
      case 'k:':
        return (record) => baseKeyOf(records.key(record)) === name;
      case 'p:':
        return (record) => records.urlBeginsWith(record, name);
      default:
        return () => true;
    }
  }

  /** The index of its kind; `undefined`: there is none. */
  #scopesOf(scope: string): Pick<ScopeIndex, 'members' | 'walk'> | undefined {
    switch (scope.slice(0, 2)) {
      case 't:':
      case 'T:':
        return this.#tags;
      case 'u:':
      case 'U:':
        return this.#urls;
      default:
        return undefined;
    }
  }
}

const noWalk: RecordWalk = { next: () => undefined, end: () => {} };

function walkOfOne(record: number): RecordWalk {
  let next: number | undefined = record;
  return {
    next: () => {
      const one = next;
      next = undefined;
      return one;
    },
    end: () => {},
  };
}

function commonStart(one: string, other: string): string {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return one.slice(0, length);
}

function isVariantKey(key: string): boolean {
  return baseKeyOf(key) !== key;
}
