import type { FieldLines } from '../core/fields.ts';
import { searchRule } from '../core/no-vary-search.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { without } from '../core/tags.ts';
import { freshenedTags, upstreamTags, type UpstreamTags, withoutTagFields } from '../core/upstream-tags.ts';
import type { FillDeps, FillInput } from './fill-types.ts';
import type { Observer } from './ports.ts';

type OriginDeps = Pick<FillDeps, 'upstreams'>;
type TagDeps = OriginDeps & { readonly observer: Pick<Observer, 'limit'> };
type Tagged = Pick<FillInput, 'route' | 'keyed'>;

/** The response with the tags that upstream gives it, and without the fields that are read for them alone. */
export function tagged(deps: OriginDeps, { route, keyed }: Tagged, response: StoredResponse): StoredResponse {
  const found = upstreamTags(route, response.fields, originOf(deps, route));
  return withTags({ route, keyed }, response, found);
}

/** As {@link tagged}, of what a 304 with these fields has made of a stored response. `cut`: it must not stay stored. */
export function retagged(
  deps: TagDeps,
  { route, keyed }: Tagged,
  response: StoredResponse,
  received: FieldLines,
): { readonly response: StoredResponse; readonly cut: boolean } {
  const own = [...keyed.tags, ...(keyed.search?.tags() ?? [])];
  const stored = without(response.tags, own);
  const found = freshenedTags(route, { stored, received, merged: response.fields }, originOf(deps, route));
  if (found.cut) deps.observer.limit('routes.maxUpstreamTags');
  return { response: withTags({ route, keyed }, response, found), cut: found.cut };
}

/** Whether an answer has more tags than are read, so that it must not be stored: some purge would not find it. */
export function hasCutTags(deps: TagDeps, { route }: Pick<Tagged, 'route'>, fields: FieldLines): boolean {
  const { cut } = upstreamTags(route, fields, originOf(deps, route));
  if (cut) deps.observer.limit('routes.maxUpstreamTags');
  return cut;
}

/** The tags by which an answer that is not stored may be purged while others wait for it; they may not be all. */
export function tagsOfAnswer(deps: OriginDeps, { route, keyed }: Tagged, fields: FieldLines): UpstreamTags {
  const { tags, cut } = upstreamTags(route, fields, originOf(deps, route));
  return { tags: united(keyed.tags, tags), cut };
}

function withTags({ route, keyed }: Tagged, response: StoredResponse, found: UpstreamTags): StoredResponse {
  const { search } = keyed;
  // What does not say a rule itself is not stored under one, whatever the request was looked up by.
  const own = search?.rule === undefined ? keyed.tags : search.by(undefined).tags;
  const ofRule = tagsOfRule(keyed, response.fields);
  const more = ofRule.length === 0 ? found.tags : [...found.tags, ...ofRule];
  // Most are made with the tags of their request, by routes that read none.
  if (more.length === 0 && response.tags === own && route.tagsFrom.length === 0) return response;
  return { ...response, tags: united(own, more), fields: withoutTagFields(route, response.fields) };
}

/**
 * What brings a rule for queries has the tags of its path, whatever key it is under: it is stored under its whole query too, and
 * who has not learnt the rule would go on serving that after a purge of another spelling.
 */
function tagsOfRule({ search }: Tagged['keyed'], fields: FieldLines): readonly string[] {
  return search === undefined || searchRule(fields) === undefined ? [] : search.tags();
}

/** The same array where nothing is added: thousands of responses share it. */
function united(own: readonly string[], more: readonly string[]): readonly string[] {
  return more.length === 0 ? own : [...new Set([...own, ...more])];
}

function originOf({ upstreams }: OriginDeps, { upstream }: Tagged['route']): string | undefined {
  return upstreams.get(upstream)?.origin;
}
