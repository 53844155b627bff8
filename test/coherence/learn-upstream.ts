import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';

import { groups, learnPlaces, resourceOf, surrogates } from './learn-world.ts';
import type { Random } from './random.ts';

/** What an answer's tags are in the history; a 304 that leaves out the fields that give tags leaves out their part of it. */
export const groupsField = 'x-groups';
export const surrogatesField = 'x-surrogates';

/** What an unsafe request is to do, for the upstream, as JSON: targets and groups. */
export const effectsField = 'x-effects';

export interface WireEffects {
  readonly location?: string;
  readonly contentLocation?: string;
  readonly groups: readonly string[];
}

/** Now and then upstream drops or changes what it says of queries; a sidecar has learnt the one rule or the other, or none. */
const searchRules = ['params=("utm")', 'key-order, params=("utm")', ''] as const;

/** Chances that an answer changes what upstream says of its path's queries, and of its resource's tags. */
const changesRule = 0.08;
const changesTags = 0.1;
/** That a 304 leaves out a field: what is stored keeps it. */
const leavesOut = 0.2;

interface Resource {
  groups: readonly string[];
  surrogates: readonly string[];
}

/** What upstream says of the keys and tags of its resources, and what it does to them. */
export class LearnUpstream {
  readonly #random: Random;
  readonly #resources = new Map<string, Resource>();
  readonly #rules = new Map<string, (typeof searchRules)[number]>();

  constructor(random: Random) {
    this.#random = random;
    for (const { target } of learnPlaces) {
      this.#resources.set(resourceOf(target), { groups: [groups[0]], surrogates: [surrogates[0]] });
      this.#rules.set(pathOf(target), searchRules[0]);
    }
  }

  /** Resources that have this tag of the history now. */
  taggedBy(tag: string): readonly string[] {
    return [...this.#resources]
      .filter(([, { groups: own, surrogates: keys }]) => {
        return own.some((group) => tag === `group:${group}`) || keys.some((key) => tag === `surrogate:${key}`);
      })
      .map(([resource]) => resource);
  }

  /** Fixes what is said of a resource, and of its path's queries. */
  set(target: string, { rule, ...tags }: Partial<Resource> & { readonly rule?: 'utm' | 'none' }): void {
    const known = this.#resources.get(resourceOf(target));
    if (known === undefined) throw new RangeError(`no resource: ${target}`);
    Object.assign(known, tags);
    if (rule !== undefined) this.#rules.set(pathOf(target), rule === 'utm' ? searchRules[0] : '');
  }

  /** Fields of an answer to a GET, beside version and time; what it says is drawn anew now and then. `isWhole`: not a 304. */
  fieldsOf(
    request: IncomingMessage,
    { isWhole, isSteady }: { isWhole: boolean; isSteady: boolean },
  ): OutgoingHttpHeaders {
    const target = request.url ?? '/';
    const resource = this.#resources.get(resourceOf(target));
    if (resource === undefined) return {};
    if (!isSteady) this.#change(target, resource);
    const says = (): boolean => isWhole || isSteady || !this.#random.chance(leavesOut);
    const rule = this.#rules.get(pathOf(target));
    return {
      ...(rule === undefined || rule === '' ? {} : { 'no-vary-search': rule }),
      ...(says() ? groupFields(resource.groups) : {}),
      ...(says() ? surrogateFields(resource.surrogates) : {}),
    };
  }

  #change(target: string, resource: Resource): void {
    if (this.#random.chance(changesRule)) this.#rules.set(pathOf(target), this.#random.pick(searchRules));
    if (!this.#random.chance(changesTags)) return;
    resource.groups = groups.filter(() => this.#random.chance(0.5));
    resource.surrogates = surrogates.filter(() => this.#random.chance(0.5));
  }
}

/** An empty one in place of none: a 304 without the field would leave what is stored as it is. */
function groupFields(own: readonly string[]): OutgoingHttpHeaders {
  return {
    'cache-groups': own.map((group) => `"${group}"`).join(', '),
    [groupsField]: own.map((group) => `group:${group}`).join(' '),
  };
}

function surrogateFields(keys: readonly string[]): OutgoingHttpHeaders {
  return { 'surrogate-key': keys.join(' '), [surrogatesField]: keys.map((key) => `surrogate:${key}`).join(' ') };
}

/** The language of an answer: the first that is asked for of those that there are. */
export function languageFor(request: IncomingMessage): string {
  return /\b(?:de|en)\b/.exec(request.headers['accept-language'] ?? '')?.[0] ?? 'en';
}

function pathOf(target: string): string {
  return target.replace(/\?.*$/, '');
}
