import { baseKeyOf } from '../core/vary.ts';
import type { StoredItem } from '../core/stored-response.ts';
import { HashChains } from './hash-chains.ts';
import type { Members } from './scope-index.ts';
import { membershipBytes, ScopeIndex } from './scope-index.ts';
import type { StoredRecords } from './stored-records.ts';
import { words } from './stored-records.ts';
import { TextHash } from './text-hash.ts';

interface RouteTally {
  records: number;
  responses: number;
  expiresMs: number;
}

/** Everything that is stored, by key and by each name under which it can be purged. */
export class MemoryIndex {
  readonly #records: StoredRecords;
  readonly #chains: HashChains;
  readonly #urls = new ScopeIndex();
  readonly #tags = new ScopeIndex();
  readonly #routes = new Map<string, RouteTally>();
  /** Of the key that was looked for last. */
  readonly hash = new TextHash();
  #responses = 0;
  /** Records under a variant's key. */
  #variants = 0;
  /** No record is past its retention before this: a lower bound, as in {@link Members}. */
  #expiresMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(records: StoredRecords) {
    this.#records = records;
    this.#chains = new HashChains(records.rows, { hash: words.hashLow, next: words.chain });
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
    return this.#records.rows.needs(1) + 4 + this.#urls.needs(1) + this.#tags.needs(item.tags.length);
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
    const retainUntilMs = rows.double(record, words.retainUntilMs);
    const facts = { record, isResponse, retainUntilMs };
    this.#chains.add(record);
    rows.set(record, words.url, this.#urls.add(item.url, facts, 0));
    let tags = 0;
    let indexed = membershipBytes;
    item.tags.forEach((tag, place) => {
      // A repeated tag is one membership.
      if (item.tags.indexOf(tag) !== place) return;
      tags = this.#tags.add(tag, facts, tags);
      indexed += membershipBytes;
    });
    rows.set(record, words.tags, tags);
    rows.set(record, words.indexed, indexed);
    const route = this.#routes.get(item.route) ?? { records: 0, responses: 0, expiresMs: Number.POSITIVE_INFINITY };
    if (route.records === 0) this.#routes.set(item.route, route);
    route.records += 1;
    route.expiresMs = Math.min(route.expiresMs, retainUntilMs);
    if (isResponse) {
      route.responses += 1;
      this.#responses += 1;
    }
    if (this.#records.isVariant(record)) this.#variants += 1;
    this.#expiresMs = Math.min(this.#expiresMs, retainUntilMs);
  }

  remove(record: number): void {
    const { rows } = this.#records;
    const isResponse = this.#records.isResponse(record);
    this.#chains.remove(record);
    this.#urls.remove(rows.get(record, words.url), isResponse);
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

  /** Everything has gone at once: walks under way find no more. */
  close(): void {
    this.#closed = true;
  }

  /**
   * The number of responses in a scope without looking at them; `undefined` where only looking can tell (a prefix, a key of variants, or some
   * may be past their retention). Right only while no hard purge waits to be carried out.
   */
  quickCount(scope: string, nowMs: number): number | undefined {
    if (scope === 'all') return nowMs < this.#expiresMs ? this.#responses : undefined;
    const name = scope.slice(2);
    const reach = this.reach(scope);
    if (reach === 'none') return 0;
    const members = this.#membersOf(scope.slice(0, 2), name);
    return members !== undefined && nowMs < members.expiresMs ? members.responses : undefined;
  }

  /** Whether the records of a scope are known without a walk through all, and if there are any. */
  reach(scope: string): 'none' | 'some' | 'all' {
    if (this.size === 0) return 'none';
    const name = scope.slice(2);
    switch (scope.slice(0, 2)) {
      case 't:':
        return this.#tags.members(name) === undefined ? 'none' : 'some';
      case 'u:':
        return this.#urls.members(name) === undefined ? 'none' : 'some';
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

  /** The records of a scope, markers too; live, so that the walk may be paused. 0 is none, so that a slice of work stays short. */
  *inScope(scope: string): Generator<number, void, void> {
    const name = scope.slice(2);
    const reach = this.reach(scope);
    if (reach === 'none') return;
    if (reach === 'all') {
      yield* this.#among(scope, name);
      return;
    }
    if (scope.startsWith('k:')) {
      yield this.find(name);
      return;
    }
    for (const record of (scope.startsWith('t:') ? this.#tags : this.#urls).walk(name)) {
      if (this.#closed) return;
      yield record;
    }
  }

  /** All records, one a step: a record keeps its row while it is stored, so none is missed. */
  *all(): Generator<number, void, void> {
    for (let record = 1; record <= this.#records.rows.last && !this.#closed; record += 1) {
      yield this.#records.isStored(record) ? record : 0;
    }
  }

  *#among(scope: string, name: string): Generator<number, void, void> {
    const isIn = this.#testOf(scope.slice(0, 2), name);
    for (const record of this.all()) yield record !== 0 && isIn(record) ? record : 0;
  }

  #testOf(kind: string, name: string): (record: number) => boolean {
    const records = this.#records;
    switch (kind) {
      case 'r:':
        return (record) => records.route(record) === name;
      case 'k:':
        return (record) => baseKeyOf(records.key(record)) === name;
      case 'p:':
        return (record) => records.scopes(record).url.startsWith(name);
      default:
        return () => true;
    }
  }

  #membersOf(kind: string, name: string): Pick<Members, 'responses' | 'expiresMs'> | undefined {
    switch (kind) {
      case 't:':
        return this.#tags.members(name);
      case 'u:':
        return this.#urls.members(name);
      case 'r:':
        return this.#routes.get(name);
      default:
        return undefined;
    }
  }
}

function isVariantKey(key: string): boolean {
  return baseKeyOf(key) !== key;
}
