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

/** Few, so that each is purged often, and read many times between. */
export const places: readonly Place[] = routeNames.flatMap((route) =>
  folders.flatMap((folder) =>
    towns.map((town) => {
      const target = `/${route}/${folder}?town=${town}`;
      const tags = [`town:${town}`, `folder:${route}-${folder}`, `route:${route}`];
      return { target, route, tags, cacheKey: `${route}|${target}` };
    }),
  ),
);

export interface Selection {
  readonly by: string;
  /** Body of `POST /api/purge`. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly covers: readonly Place[];
}

/** Every selector; the narrow ones more often, so that something is left to be hit. */
const selectorDeck = [
  'key',
  'key',
  'url',
  'url',
  'url',
  'tag',
  'tag',
  'tags',
  'prefix',
  'prefix',
  'route',
  'all',
] as const;
export type Selector = (typeof selectorDeck)[number];
export const selectors: readonly Selector[] = [...new Set(selectorDeck)];

/** All of them in a random order. */
export function shuffledSelectors(random: Random): Selector[] {
  return random.shuffled(selectorDeck);
}

/** A random purge by this selector. */
export function randomSelection(random: Random, by: Selector): Selection {
  const place = random.pick(places);
  switch (by) {
    case 'key':
      return { by, body: { key: place.cacheKey }, covers: [place] };
    case 'url':
      return { by, body: { url: place.target }, covers: [place] };
    case 'tag': {
      const tag = random.pick(place.tags);
      return { by, body: { tag }, covers: taggedBy([tag]) };
    }
    case 'tags': {
      const tags = [random.pick(place.tags), random.pick(random.pick(places).tags), 'town:nowhere'];
      return { by, body: { tags }, covers: taggedBy(tags) };
    }
    case 'prefix': {
      const prefix = place.target.slice(0, random.whole('/near/'.length - 1, place.target.length));
      return { by, body: { prefix }, covers: places.filter(({ target }) => target.startsWith(prefix)) };
    }
    case 'route':
      return { by, body: { route: place.route }, covers: places.filter(({ route }) => route === place.route) };
    case 'all':
      return { by, body: { all: true }, covers: places };
  }
}

function taggedBy(tags: readonly string[]): readonly Place[] {
  return places.filter((place) => place.tags.some((tag) => tags.includes(tag)));
}

export interface SidecarConfig {
  readonly upstreamPort: number;
  /** `store.redis` without its braces, such as `url: "redis://127.0.0.1:6379"`; `undefined`: none. */
  readonly redis: string | undefined;
  readonly leaseMs: number;
}

/** Two routes: one whose answers stay fresh, one whose answers go stale at once, vary, and are validated. */
export function sidecarYaml({ upstreamPort, redis, leaseMs }: SidecarConfig): string {
  return `
server: { listen: 127.0.0.1:0, drainDelay: 0, grace: 100ms }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
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
`;
}
