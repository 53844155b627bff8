import {
  groups,
  groupSelection,
  learnPlaces,
  learnRouteYaml,
  searchTagsOf,
  surrogates,
  surrogateSelection,
  shownKeySelection,
} from './learn-world.ts';
import type { Random } from './random.ts';

/** One thing that is asked for, and every name by which it can be purged. */
export interface Place {
  /** Its target on the proxy; it also serves as the key of the history. */
  readonly target: string;
  /** Cache key (`ROUTE|URL`); answers of the route `far` vary, and it covers all their variants. */
  readonly cacheKey: string;
  readonly route: string;
  readonly tags: readonly string[];
}

const routeNames = ['near', 'far'] as const;
const folders = ['a', 'b'] as const;
const towns = ['p1', 'p2', 'p3'] as const;

/** Where the configuration alone makes keys and tags. */
export const ruledPlaces: readonly Place[] = routeNames.flatMap((route) =>
  folders.flatMap((folder) =>
    towns.map((town) => {
      const target = `/${route}/${folder}?town=${town}`;
      const tags = [`town:${town}`, `folder:${route}-${folder}`, `route:${route}`];
      return { target, route, tags, cacheKey: `${route}|${target}` };
    }),
  ),
);

/** Few, so that each is purged often, and read many times between. */
export const places: readonly Place[] = [...ruledPlaces, ...learnPlaces];

export interface Selection {
  readonly by: string;
  /** Body of `POST /api/purge`. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly covers: readonly Place[];
  /** Of the history (`Purge.tags`): what it covers by what answers say of themselves. */
  readonly tags: readonly string[];
}

/** Every selector; the narrow ones more often, so that something is left to be hit. */
const selectorDeck = [
  'key',
  'key',
  'url',
  'url',
  'tag',
  'tag',
  'tags',
  'prefix',
  'prefix',
  'route',
  'all',
  'group',
  'surrogate',
  'shown-key',
  'unsafe',
  'unsafe',
] as const;
export type Selector = (typeof selectorDeck)[number];
export const selectors: readonly Selector[] = [...new Set(selectorDeck)];

/** All of them in a random order, again and again. Whoever could not purge by one puts it back, to have its turn later. */
export interface Deck {
  next(): Selector;
  putBack(selector: Selector): void;
}

export function shuffledDeck(random: Random): Deck {
  let left: Selector[] = [];
  return {
    next() {
      const next = left.pop();
      if (next !== undefined) return next;
      left = random.shuffled(selectorDeck);
      return left.pop() ?? 'all';
    },
    // Last of all: else faults decide which selectors a short run checks.
    putBack: (selector) => void left.unshift(selector),
  };
}

/** What a random selection is made of beside chance. */
export interface Field {
  /** The upstream as it is configured. */
  readonly origin: string;
  /** Keys that answers have shown lately. */
  readonly shownKeys: readonly string[];
}

/** A random purge by this selector. */
export function randomSelection(random: Random, by: Exclude<Selector, 'unsafe'>, field: Field): Selection {
  const place = random.pick(places);
  switch (by) {
    case 'key':
      return keySelection(random.pick(ruledPlaces));
    case 'url':
      return urlSelection(place);
    case 'tag': {
      const tag = random.pick(place.tags);
      return { by, body: { tag }, covers: taggedBy([tag]), tags: [] };
    }
    case 'tags': {
      const tags = [random.pick(place.tags), random.pick(random.pick(places).tags), 'town:nowhere'];
      return { by, body: { tags }, covers: taggedBy(tags), tags: [] };
    }
    case 'prefix':
      return prefixSelection(place.target.slice(0, random.whole('/near/'.length - 1, place.target.length)));
    case 'route': {
      const covers = places.filter(({ route }) => route === place.route);
      return { by, body: { route: place.route }, covers, tags: [] };
    }
    case 'all':
      return { by, body: { all: true }, covers: places, tags: [] };
    case 'group':
      return groupSelection(random.pick(groups), field.origin);
    case 'surrogate':
      return surrogateSelection(random.pick(surrogates));
    case 'shown-key':
      return shownKeySelection(field.shownKeys.length === 0 ? 'learn|/none' : random.pick(field.shownKeys));
  }
}

function keySelection({ cacheKey, ...place }: Place): Selection {
  return { by: 'key', body: { key: cacheKey }, covers: [{ cacheKey, ...place }], tags: [] };
}

export function urlSelection(place: Place): Selection {
  return { by: 'url', body: { url: place.target }, covers: [place], tags: searchTagsOf([place]) };
}

/** One that ends within a query covers what is keyed by a rule on its path too. */
function prefixSelection(prefix: string): Selection {
  const covers = places.filter(({ target }) => target.startsWith(prefix));
  return { by: 'prefix', body: { prefix }, covers, tags: prefix.includes('?') ? searchTagsOf(covers) : [] };
}

function taggedBy(tags: readonly string[]): readonly Place[] {
  return places.filter((place) => place.tags.some((tag) => tags.includes(tag)));
}

export interface SidecarConfig {
  readonly upstreamPort: number;
  /** `store.redis` without its braces, such as `url: "redis://127.0.0.1:6379"`; `undefined`: none. */
  readonly redis: string | undefined;
  readonly leaseMs: number;
  /** Threads that serve; 1 unless told otherwise. */
  readonly workers?: number | undefined;
}

/**
 * Three routes: one whose answers stay fresh, one whose answers go stale at once, vary, and are validated, and one whose keys and
 * tags upstream has a say in.
 */
export function sidecarYaml({ upstreamPort, redis, leaseMs, workers = 1 }: SidecarConfig): string {
  return `
server: { listen: 127.0.0.1:0, drainDelay: 0, grace: 100ms, workers: ${workers} }
admin: { listen: 127.0.0.1:0 }
log: { level: warn }
store:
  memory: { maxBytes: 64MiB }
${redis === undefined ? '' : `  redis: { ${redis}, lease: ${leaseMs}ms }`}
upstreams:
  api: { origin: "http://127.0.0.1:${upstreamPort}", timeout: 5s, maxConnections: 64 }
routes:
  - name: near
    match: /near/:folder
    upstream: api
    ttl: 1h
    query: { town: { type: text } }
    tags: ["town:{town}", "folder:near-{folder}"]
  - name: far
    match: /far/:folder
    upstream: api
    upstreamCacheControl: honour
    query: { town: { type: text } }
    tags: ["town:{town}", "folder:far-{folder}"]
${learnRouteYaml}`;
}
