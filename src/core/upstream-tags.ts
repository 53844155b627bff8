import { fieldLineValues, type FieldLines, withoutFields } from './fields.ts';
import type { Route, TagField } from './route.ts';
import { isUnread, readStringList } from './structured-field.ts';
import { tagOfBytes } from './tag-text.ts';

/** Tags, and names of groups, longer than this are not read. RFC 9875 §2 asks for groups of 32 characters at least. */
export const MAX_UPSTREAM_TAG = 256;

/** What upstream's fields say of a response's tags. */
export interface UpstreamTags {
  readonly tags: readonly string[];
  /**
   * True where there are more than are read, or longer ones: a purge of one that was left out would not find the response, so
   * that it must not be stored.
   */
  readonly cut: boolean;
}

/** What tags are read by. */
type TagRoute = Pick<Route, 'tagsFrom' | 'maxUpstreamTags' | 'policy'>;

const none: UpstreamTags = { tags: [], cut: false };

/**
 * The tag of a cache group (RFC 9875 §2): groups are of one origin, so that no origin can name those of another. What a tag
 * may not hold is percent-encoded; a group's name may have spaces and commas.
 *
 * @param origin scheme, host and port of the upstream, as {@link UpstreamConfig.origin}
 */
export function groupTag(origin: string, group: string): string {
  return `group:${origin}:${tagOfBytes(group.replaceAll('%', '%25'))}`;
}

/**
 * The tags of the groups in a Cache-Groups or Cache-Group-Invalidation field (RFC 9875 §2, §3); parameters mean nothing. None
 * where the field is no List of Strings, which is said of one that is too long to be read.
 */
export function groupTags(fields: FieldLines, name: string, origin: string): UpstreamTags {
  const lines = fieldLineValues(fields, name);
  if (lines.length === 0) return none;
  if (isUnread(lines)) return { tags: [], cut: true };
  const groups = readStringList(lines) ?? [];
  const good = groups.filter((group) => group.length <= MAX_UPSTREAM_TAG);
  return { tags: good.map((group) => groupTag(origin, group)), cut: good.length < groups.length };
}

/**
 * The tags that upstream gives a response by its fields: Cache-Groups where upstream is in charge (RFC 9875), and what the
 * route's `tagsFrom` names, each member a tag ({@link tagOfBytes}). At most `maxUpstreamTags`. The cascades that RFC 9875 §2.2 allows are
 * left out: a response that is invalidated by its URI does not take its groups with it, since who writes one thing would
 * empty the cache of all that is listed beside it. Cache-Group-Invalidation says it where it is meant.
 */
export function upstreamTags(route: TagRoute, fields: FieldLines, origin: string | undefined): UpstreamTags {
  const ofGroups = readsGroups(route, origin) ? groupTags(fields, 'cache-groups', origin) : none;
  if (ofGroups === none && route.tagsFrom.length === 0) return none;
  return bounded(route, [ofGroups, ...route.tagsFrom.map((field) => fieldTags(fields, field))]);
}

/** A stored response, and the 304 that has freshened it. */
export interface TagsToFreshen {
  /** Those that were stored, without those that the rules of today give its request. */
  readonly stored: readonly string[];
  /** Fields of the 304. */
  readonly received: FieldLines;
  /** What it has made of those that were stored. */
  readonly merged: FieldLines;
}

/**
 * The tags that upstream gives a response that a 304 has freshened. Of a field that is not passed on the stored response has
 * nothing left but its tags: they stay, unless the 304 has each such field anew. Tags that the 304 has dropped from one of
 * several may stay too, so that a purge covers too much rather than too little.
 */
export function freshenedTags(
  route: TagRoute,
  { stored, received, merged }: TagsToFreshen,
  origin: string | undefined,
): UpstreamTags {
  const { tagsFrom } = route;
  const ofGroups = readsGroups(route, origin) ? groupTags(merged, 'cache-groups', origin) : none;
  const anew = tagsFrom.map((field) => fieldTags(received, field));
  const isAnew = tagsFrom.every((field) => fieldLineValues(received, field).length > 0);
  const before = isAnew ? [] : stored.filter((tag) => !tag.startsWith(`group:${origin ?? ''}:`));
  return bounded(route, [ofGroups, ...anew, { tags: before, cut: false }]);
}

/** The fields without those that are there for this cache alone. Nothing is copied where there is none. */
export function withoutTagFields(route: Pick<Route, 'tagsFrom'>, fields: FieldLines): FieldLines {
  return route.tagsFrom.length === 0 ? fields : withoutFields(fields, new Set<string>(route.tagsFrom));
}

function readsGroups({ policy }: TagRoute, origin: string | undefined): origin is string {
  return policy.upstreamCacheControl !== 'ignore' && origin !== undefined;
}

function fieldTags(fields: FieldLines, field: TagField): UpstreamTags {
  const separator = field === 'cache-tag' ? ',' : /[ \t]+/;
  const members = fieldLineValues(fields, field).flatMap((line) => line.split(separator));
  const tags = members.map((member) => member.trim()).filter((member) => member !== '');
  const good = tags.filter((tag) => tag.length <= MAX_UPSTREAM_TAG);
  return { tags: good.map((tag) => tagOfBytes(tag)), cut: good.length < tags.length };
}

function bounded({ maxUpstreamTags }: TagRoute, parts: readonly UpstreamTags[]): UpstreamTags {
  const tags = [...new Set(parts.flatMap((part) => part.tags))];
  const cut = parts.some((part) => part.cut) || tags.length > maxUpstreamTags;
  return { tags: tags.length > maxUpstreamTags ? tags.slice(0, maxUpstreamTags) : tags, cut };
}
