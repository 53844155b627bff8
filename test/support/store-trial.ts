import { isDeepStrictEqual } from 'node:util';

import type { StoredPlace } from '../../src/cache/ports.ts';
import type { StoredItem } from '../../src/core/stored-response.ts';
import type { LocalPurgeLog } from '../../src/store/local-purge-log.ts';
import { createLocalPurgeLog } from '../../src/store/local-purge-log.ts';
import type { MemoryStore } from '../../src/store/memory-store.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from './clock.ts';
import type { ItemTraits } from './stored-items.ts';
import { ownBytes, storedResponse, varyMarker } from './stored-items.ts';

/** The last is longer than what the purge table keeps as it is. */
export const trialUrls: readonly string[] = ['/a', '/a/b', '/a/c', '/b', '/b/d', `/a/${'b'.repeat(200)}`];
export const trialTags: readonly string[] = ['t0', 't1', 't2', 't3', 't4', 't5'];
export const trialRoutes: readonly string[] = ['r0', 'r1'];
export const trialVariants: readonly number[] = [0, 1, 2];

/** One thing that is done to the store; `slot` names one of four fetches under way. */
export type TrialStep =
  | { readonly do: 'begin'; readonly slot: number }
  | PutStep
  | { readonly do: 'get' | 'peek' | 'again' | 'invalidate'; readonly url: number; readonly variant: number }
  | { readonly do: 'purge'; readonly scopes: readonly string[]; readonly soft: boolean }
  | { readonly do: 'advance'; readonly ms: number };

export interface PutStep {
  readonly do: 'put';
  readonly slot: number;
  readonly url: number;
  readonly variant: number;
  readonly tags: readonly number[];
  readonly retainMs: number;
  readonly marker: boolean;
  readonly bodyBytes: number;
}

export interface TrialOptions {
  readonly maxBytes: number;
  /** `maxKeys` of the route `r0`. */
  readonly limit: number;
  readonly maxScopes: number;
  /** Nothing is evicted or forgotten, so that a miss must have its reason too. */
  readonly exact: boolean;
}

/** What a read has led to, for whoever answers with it over and over. */
interface Placed {
  readonly place: StoredPlace;
  readonly item: StoredItem | undefined;
  readonly staleSinceMs: number | undefined;
}

interface Purged {
  readonly seq: number;
  readonly scopes: readonly string[];
  readonly soft: boolean;
  readonly atMs: number;
}

export function trialKey(url: number, variant: number): string {
  return `${trialRoutes[url % 2]}|${trialUrls[url]}${variant === 0 ? '' : `|v:${variant}`}`;
}

/**
 * A memory store beside the plainest model of one: a Map without a limit, and a list of all purges that ever were. Each step
 * goes to both; where they disagree a sentence is noted.
 */
export class StoreTrial {
  readonly disagreements: string[] = [];
  readonly #options: TrialOptions;
  readonly #clock = new FakeClock();
  readonly #log: LocalPurgeLog;
  readonly #store: MemoryStore;
  readonly #items = new Map<string, StoredItem>();
  readonly #placed = new Map<string, Placed>();
  readonly #purges: Purged[] = [];
  readonly #begun: Pick<ItemTraits, 'position' | 'nowMs'>[];

  constructor(options: TrialOptions) {
    this.#options = options;
    const { maxBytes, maxScopes, limit } = options;
    const clock = this.#clock;
    this.#log = createLocalPurgeLog({ clock, instanceId: 'epoch', maxScopes, positionMaxAgeMs: 2000 });
    const routeLimits = new Map([['r0', limit]]);
    this.#store = createMemoryStore({ maxBytes, routeLimits, purgeLog: this.#log, clock });
    this.#begun = [0, 1, 2, 3].map(() => this.#now());
  }

  async run(step: TrialStep): Promise<void> {
    switch (step.do) {
      case 'begin':
        this.#begun[step.slot] = this.#now();
        break;
      case 'put':
        this.#put(step);
        break;
      case 'get':
      case 'peek':
        this.#read(trialKey(step.url, step.variant), step.do);
        break;
      case 'again':
        this.#again(trialKey(step.url, step.variant));
        break;
      case 'invalidate':
        this.#invalidate(trialKey(step.url, step.variant));
        break;
      case 'purge':
        await this.#purge(step.scopes, step.soft);
        break;
      case 'advance':
        this.#clock.advance(step.ms);
        break;
    }
    this.#check(this.#store.stats().bytes <= this.#options.maxBytes, 'more bytes are held than allowed');
    this.#check(this.#log.scopes <= this.#options.maxScopes, 'the purge table has too many rows');
  }

  /**
   * Compares all indexes with the items themselves. Asking for each key makes the store drop what is not valid any more, so
   * a trial that audits late sees other states than one that audits after each step.
   */
  audit(): void {
    const held = trialUrls
      .flatMap((_, url) => trialVariants.map((variant) => this.#store.peek(trialKey(url, variant))))
      .filter((read) => read !== undefined);
    const expected: Record<string, number> = {
      keys: held.length,
      // What its key tells is not indexed once more.
      urls: distinct(held.filter(({ item }) => item.key !== `${item.route}|${item.url}`).map(({ item }) => item.url)),
      routes: distinct(held.map(({ item }) => item.route)),
      lanes: distinct(held.map(({ item }) => item.route)),
      tags: distinct(held.flatMap(({ item }) => item.tags)),
      ending: held.length,
    };
    const { bytes, ...sizes } = this.#store.sizes();
    const least = this.#store.list({ limit: 1000 }).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#check((bytes ?? 0) <= this.#options.maxBytes, `${bytes} bytes are held`);
    this.#check(held.length === 0 || (bytes ?? 0) > 0, `nothing is counted for ${least} bytes`);
    for (const [name, size] of Object.entries(sizes)) {
      this.#check(size === expected[name], `${name} is ${size}, not ${expected[name]}`);
    }
  }

  /** Reads everything, then purges everything and looks for leaks. */
  async end(): Promise<void> {
    for (const [url] of trialUrls.entries()) {
      for (const variant of trialVariants) this.#read(trialKey(url, variant), 'get');
    }
    this.audit();
    for (const route of trialRoutes) await this.#log.append({ scopes: [`r:${route}`], soft: false });
    this.#clock.advance(1000);
    const left = Object.entries(this.#store.sizes()).filter(([, size]) => size !== 0);
    this.#check(left.length === 0, `left after all: ${JSON.stringify(left)}`);
    this.#store[Symbol.dispose]();
  }

  #put(step: PutStep): void {
    const traits = {
      key: trialKey(step.url, step.variant),
      url: trialUrls[step.url] ?? '',
      route: trialRoutes[step.url % 2] ?? '',
      tags: step.tags.map((tag) => trialTags[tag] ?? ''),
      retainMs: step.retainMs,
      body: ownBytes('x'.repeat(step.bodyBytes)),
      ...(this.#begun[step.slot] ?? this.#now()),
    };
    const item = step.marker ? varyMarker(traits) : storedResponse(traits);
    const right = this.#isBehindMarker(item) ? 'outdated' : 'stored';
    const outcome = this.#store.put(item);
    const purged = this.#covering(item, false).length > 0;
    this.#check(!purged || outcome === 'purged', 'a purged response was stored');
    this.#check(purged || outcome === right || !this.#options.exact, `a valid response was ${outcome}, not ${right}`);
    if (outcome === 'stored') this.#items.set(item.key, item);
  }

  /** It would hide what the marker leads to. */
  #isBehindMarker({ kind, key }: StoredItem): boolean {
    const before = this.#items.get(key);
    return kind === 'response' && before?.kind === 'vary' && this.#readable(before);
  }

  #read(key: string, how: 'get' | 'peek'): void {
    const read = this.#store[how](key);
    const item = this.#items.get(key);
    const readable = item !== undefined && this.#readable(item);
    if (read === undefined) {
      this.#check(!readable || !this.#options.exact, `${key} is missing`);
      return;
    }
    this.#check(readable, `${key} is purged or past its retention`);
    this.#check(isDeepStrictEqual(read.item, item), `${key} was replaced or changed`);
    const staleTimes = this.#covering(read.item, true).map((purge) => purge.atMs);
    const right =
      staleTimes.length === 0 ? read.staleSinceMs === undefined : staleTimes.includes(read.staleSinceMs ?? 0);
    this.#check(right, `${key} is stale since ${read.staleSinceMs}, of ${staleTimes.join()}`);
    const { place, staleSinceMs } = read;
    if (how === 'get' && place !== undefined) this.#placed.set(key, { place, item, staleSinceMs });
  }

  /** What a read has led to may be used again as long as it is what a read would give. */
  #again(key: string): void {
    const placed = this.#placed.get(key);
    if (placed === undefined) return;
    const { place, item, staleSinceMs } = placed;
    const isThere = item !== undefined && this.#items.get(key) === item && this.#readable(item);
    const isSame = isThere && (staleSinceMs !== undefined || this.#covering(item, true).length === 0);
    const isUsed = place.again(this.#clock.nowMs(), true);
    this.#check(!isUsed || isSame, `${key} is used again though it is not what there is`);
    this.#check(isUsed || !isSame || !this.#options.exact, `${key} is there and not used again`);
  }

  #invalidate(key: string): void {
    const before = this.#items.get(key);
    if (!this.#store.invalidate(key)) return;
    this.#items.delete(key);
    if (before?.kind !== 'vary') return;
    for (const [other, item] of this.#items) if (item.url === before.url) this.#items.delete(other);
  }

  async #purge(scopes: readonly string[], soft: boolean): Promise<void> {
    const covered = [...this.#items.values()].filter(
      (item) => item.kind === 'response' && this.#readable(item) && scopes.some((scope) => covers(scope, item)),
    );
    const counted = await this.#store.count(scopes);
    this.#check(counted === covered.length || !this.#options.exact, `counted ${counted}, not ${covered.length}`);
    await this.#log.append({ scopes, soft });
    this.#purges.push({ seq: this.#log.position().seq, scopes, soft, atMs: this.#clock.nowMs() });
  }

  #covering(item: StoredItem, soft: boolean): readonly Purged[] {
    return this.#purges.filter(
      (purge) =>
        purge.soft === soft && purge.seq > item.position.seq && purge.scopes.some((scope) => covers(scope, item)),
    );
  }

  #readable(item: StoredItem): boolean {
    const retainUntilMs = item.kind === 'response' ? item.freshness.retainUntilMs : item.retainUntilMs;
    return this.#clock.nowMs() < retainUntilMs && this.#covering(item, false).length === 0;
  }

  #now(): Pick<ItemTraits, 'position' | 'nowMs'> {
    return { position: this.#log.position(), nowMs: this.#clock.nowMs() };
  }

  #check(holds: boolean, sentence: string): void {
    if (!holds) this.disagreements.push(sentence);
  }
}

function distinct(names: readonly string[]): number {
  return new Set(names).size;
}

function covers(scope: string, item: StoredItem): boolean {
  const rest = scope.slice(2);
  switch (scope.slice(0, 2)) {
    case 't:':
      return item.tags.includes(rest);
    case 'u:':
      return item.url === rest;
    case 'r:':
      return item.route === rest;
    case 'p:':
      return item.url.startsWith(rest);
    case 'k:':
      return item.key === rest;
    default:
      return true;
  }
}
