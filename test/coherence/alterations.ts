/**
 * Rules of how upstream's word on keys and tags enters purges. They are in the program as they stand, with no switch; to take one
 * away, the text of the program is altered as a sidecar loads it.
 */
export interface Alteration {
  /** Of the program, below `src/`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const alterations = {
  /** Where it is applied, a purge of a URL is of all too that is keyed by a rule of upstream's on its path. */
  searchTag: {
    file: 'store/purge-table.ts',
    from: 'return this.#searching ? withSearchScopes(scopes) : scopes;',
    to: 'return scopes;',
  },
  /** What brings a rule is of its path whatever key it is under. */
  taughtTag: {
    file: 'cache/tagged.ts',
    from: 'search === undefined || searchRule(fields) === undefined ? [] : search.tags()',
    to: '[]',
  },
  /** What is stored carries the tags that upstream gave it. */
  upstreamTags: {
    file: 'cache/tagged.ts',
    from: 'ofRule.length === 0 ? found.tags : [...found.tags, ...ofRule]',
    to: 'ofRule',
  },
  /** Who has joined a fetch is asked about the tags that its answer has brought. */
  joinedTags: {
    file: 'cache/sharing.ts',
    from: '(!purgeLog.isValid(item) || purgeLog.softPurgedAtMs(item) !== undefined)',
    to: 'purgeLog.softPurgedAtMs(item) !== undefined',
  },
  /** The answer to an unsafe request is held back until its purge holds. */
  heldAnswer: {
    file: 'cache/relay-follow.ts',
    from: 'ready: atMost(deps, position),',
    to: 'ready: undefined,',
  },
  /** What one thread purges is told to the others. */
  toldPurges: {
    file: 'workers/shared-purges.ts',
    from: 'const receipt = await this.#log.append({ scopes, soft });',
    to: 'const receipt = await this.#log.append({ scopes, soft }); if (this.#place >= 0) return receipt;',
  },
} as const satisfies Readonly<Record<string, Alteration>>;

export type AlterationName = keyof typeof alterations;
export const alterationNames = Object.keys(alterations);

export function isAlteration(name: string): name is AlterationName {
  return alterationNames.includes(name);
}
