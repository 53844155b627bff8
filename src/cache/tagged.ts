import type { FieldLines } from '../core/fields.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { freshenedTags, upstreamTags, type UpstreamTags, withoutTagFields } from '../core/upstream-tags.ts';
import type { FillDeps, FillInput } from './fill-types.ts';

type TagDeps = Pick<FillDeps, 'upstreams' | 'observer'>;
type Tagged = Pick<FillInput, 'route' | 'keyed'>;

/** The response with the tags that upstream gives it, and without the fields that are read for them alone. */
export function tagged(deps: TagDeps, { route, keyed }: Tagged, response: StoredResponse): StoredResponse {
  const found = upstreamTags(route, response.fields, originOf(deps, route));
  return withTags(deps, { route, keyed }, response, found);
}

/** As {@link tagged}, of what a 304 with these fields has made of a stored response. */
export function retagged(
  deps: TagDeps,
  { route, keyed }: Tagged,
  response: StoredResponse,
  received: FieldLines,
): StoredResponse {
  const stored = response.tags.filter((tag) => !keyed.tags.includes(tag));
  const found = freshenedTags(route, { stored, received, merged: response.fields }, originOf(deps, route));
  return withTags(deps, { route, keyed }, response, found);
}

/** The tags by which an answer that is not stored may be purged while others wait for it. */
export function tagsOfAnswer(deps: TagDeps, { route, keyed }: Tagged, fields: FieldLines): readonly string[] {
  const { tags } = upstreamTags(route, fields, originOf(deps, route));
  return united(keyed.tags, tags);
}

function withTags(
  deps: TagDeps,
  { route, keyed }: Tagged,
  response: StoredResponse,
  found: UpstreamTags,
): StoredResponse {
  if (found.cut) deps.observer.limit('routes.maxUpstreamTags');
  return { ...response, tags: united(keyed.tags, found.tags), fields: withoutTagFields(route, response.fields) };
}

/** The same array where nothing is added: thousands of responses share it. */
function united(own: readonly string[], more: readonly string[]): readonly string[] {
  return more.length === 0 ? own : [...new Set([...own, ...more])];
}

function originOf({ upstreams }: TagDeps, { upstream }: Tagged['route']): string | undefined {
  return upstreams.get(upstream)?.origin;
}
