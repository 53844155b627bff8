import type { Random } from './random.ts';
import type { Place, Selection } from './world.ts';

/** Groups (RFC 9875) and surrogate keys that the upstream gives its resources, now these and now those. */
export const groups = ['g1', 'g2'] as const;
export const surrogates = ['s1', 's2'] as const;

const folders = ['a', 'b'] as const;
const towns = ['p1', 'p2'] as const;
/** Of one resource: `utm` means nothing, and neither does the order. */
const spellings = [
  (town: string) => `town=${town}`,
  (town: string) => `town=${town}&utm=1`,
  (town: string) => `utm=2&town=${town}`,
] as const;

/**
 * Places of the route whose keys and tags upstream has a say in. Each is one spelling of a resource: whether a purge of one
 * covers another depends on the key that the other's answer is under, which the answer shows.
 */
export const learnPlaces: readonly Place[] = folders.flatMap((folder) =>
  towns.flatMap((town) =>
    spellings.map((spelling) => {
      const target = `/learn/${folder}?${spelling(town)}`;
      return { target, route: 'learn', tags: [`folder:learn-${folder}`, 'route:learn'], cacheKey: `learn|${target}` };
    }),
  ),
);

/** What an unsafe request asks the upstream to do beside changing its own resource. */
export interface Effects {
  /** The answer names this one as changed too: one of them as `Location`, or as `Content-Location`. */
  readonly location: Place | undefined;
  readonly contentLocation: Place | undefined;
  /** `Cache-Group-Invalidation`. */
  readonly groups: readonly string[];
}

/** An unsafe request to a place. */
export interface Unsafe {
  readonly method: 'POST' | 'PUT' | 'DELETE';
  readonly place: Place;
  readonly effects: Effects;
}

/** The resource that a target is a spelling of; other targets are resources of their own. */
export function resourceOf(target: string): string {
  const found = /^(\/learn\/[^?]*)\?(?:.*&)?(town=[^&]*)/.exec(target);
  return found === null ? target : `${found[1]}?${found[2]}`;
}

/** What is keyed by a rule on the place's path can be purged by any URL of the path, so its answers have this tag. */
function searchTagAt(target: string): string {
  return `search:${target.replace(/\?.*$/, '')}`;
}

/** Tags of a selection of URLs in the history: those of the paths on which upstream has a say. */
export function searchTagsOf(places: readonly Pick<Place, 'route' | 'target'>[]): readonly string[] {
  return [...new Set(places.filter(({ route }) => route === 'learn').map(({ target }) => searchTagAt(target)))];
}

/**
 * What an answer says that it can be purged by. The key is the one that it was looked up under; `|?` in it is the mark of a
 * rule of upstream's. One that brings a rule itself says that it answers other URLs of its path, whatever key it is under.
 */
export function tagsOfAnswer(
  target: string,
  said: { readonly cacheStatus: string; readonly tags: string; readonly rule: string },
): string[] {
  const key = /; key="([^"]*)"/.exec(said.cacheStatus)?.[1];
  const hasRule = key?.includes('|?') === true || said.rule !== '';
  return [
    ...(key === undefined ? [] : [`key:${key}`]),
    ...(hasRule ? [searchTagAt(target)] : []),
    ...said.tags.split(' ').filter((tag) => tag !== ''),
  ];
}

/** By a group of upstream's; `origin` as it is configured. */
export function groupSelection(group: string, origin: string): Selection {
  return { by: 'group', body: { tag: `group:${origin}:${group}` }, covers: [], tags: [`group:${group}`] };
}

export function surrogateSelection(key: string): Selection {
  return { by: 'surrogate', body: { tag: key }, covers: [], tags: [`surrogate:${key}`] };
}

/** By a key that an answer has shown; as a purge by a URL it is of what is keyed by a rule on the path, too. */
export function shownKeySelection(key: string): Selection {
  const path = /^learn\|([^?|]*)/.exec(key)?.[1];
  const ofPath = path === undefined ? [] : [searchTagAt(path)];
  return { by: 'shown-key', body: { key }, covers: [], tags: [`key:${key}`, ...ofPath] };
}

export function randomUnsafe(random: Random): Unsafe {
  const place = random.pick(learnPlaces);
  const method = random.pick(['POST', 'POST', 'PUT', 'DELETE'] as const);
  const other = random.pick(learnPlaces);
  const kind = random.pick(['none', 'location', 'content-location', 'own'] as const);
  return {
    method,
    place,
    effects: {
      location: kind === 'location' ? other : undefined,
      // Its own: the answer to a POST may then be stored for later GETs.
      contentLocation: kind === 'own' ? place : kind === 'content-location' ? other : undefined,
      groups: random.chance(0.3) ? [random.pick(groups)] : [],
    },
  };
}

/** `upstreamCacheControl: honour` and a raw query; the key is shown, since it says what a purge covers. */
export const learnRouteYaml = `
  - name: learn
    match: /learn/:folder
    upstream: api
    upstreamCacheControl: honour
    forwardHeaders: "*"
    tags: ["folder:learn-{folder}"]
    tagsFrom: surrogate-key
    showKey: true
`;
