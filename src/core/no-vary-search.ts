import { fieldLineValues, type FieldLines } from './fields.ts';
import { byCodeUnit } from './normalise.ts';
import { decodeQueryText, hasBrokenEscape, parseQuery, recodeQueryText } from './query.ts';
import type { StoredItem } from './stored-response.ts';
import { booleanOf, innerStringsOf, readDictionary } from './structured-field.ts';

/** What a No-Vary-Search field says of the queries of its path (draft-ietf-httpbis-no-vary-search). */
export interface SearchRule {
  /** True: the order of parameters counts for nothing, but for those of one name among themselves. */
  readonly anyOrder: boolean;
  /** `dropped`: those named count for nothing. `kept`: all others do. */
  readonly params: { readonly kind: 'dropped' | 'kept'; readonly names: ReadonlySet<string> };
  /** The rule in one spelling: equal for rules that say the same. */
  readonly text: string;
}

/**
 * The rule of a response; `undefined` where it has none: the field is absent, is no Dictionary, has a member of a type that
 * the draft does not give it, or says what is true without it. Members that nobody knows are passed over. Never throws.
 */
export function searchRule(fields: FieldLines): SearchRule | undefined {
  const lines = fieldLineValues(fields, 'no-vary-search');
  if (lines.length === 0) return undefined;
  const members = readDictionary(lines);
  if (members === undefined) return undefined;
  const order = members.get('key-order');
  const anyOrder = order === undefined ? false : booleanOf(order);
  const params = paramsOf(members);
  if (anyOrder === undefined || params === undefined) return undefined;
  if (!anyOrder && params.kind === 'dropped' && params.names.size === 0) return undefined;
  const names = [...params.names].toSorted(byCodeUnit);
  return { anyOrder, params, text: JSON.stringify([anyOrder, params.kind, names]) };
}

function paramsOf(members: NonNullable<ReturnType<typeof readDictionary>>): SearchRule['params'] | undefined {
  const params = members.get('params');
  const all = booleanOf(params);
  if (members.has('except')) {
    // It says what is left of "all", so beside anything else it makes no sense, and the whole field none.
    const except = innerStringsOf(members.get('except'));
    return all === true && except !== undefined ? { kind: 'kept', names: namesOf(except) } : undefined;
  }
  if (params === undefined || all === false) return { kind: 'dropped', names: new Set() };
  if (all === true) return { kind: 'kept', names: new Set() };
  const listed = innerStringsOf(params);
  return listed && { kind: 'dropped', names: namesOf(listed) };
}

/** Names are written as in a query: percent-encoded, `+` for a space. */
function namesOf(spellings: readonly string[]): ReadonlySet<string> {
  return new Set(spellings.map((spelling) => nameOf(spelling)));
}

/** The name that a spelling means. What is no UTF-8 is in one spelling, behind a half of a character, which is in no text. */
function nameOf(raw: string): string {
  if (hasBrokenEscape(raw)) return raw;
  return decodeQueryText(raw) ?? `\uD800${recodeQueryText(raw)}`;
}

/**
 * The query as it counts by the rule: parameters that do not are gone, the others are in one spelling, and in order of their
 * names where their order does not count. Equal for two queries only if a cache may take them for the same. A query with a
 * broken escape counts as it is: parsers disagree on what it means. `undefined`: nothing of it counts.
 */
export function searchThatCounts(rule: SearchRule, raw: string | undefined): string | undefined {
  if (raw !== undefined && hasBrokenEscape(raw)) return raw;
  const counted: { readonly name: string; readonly text: string }[] = [];
  for (const { rawName, rawValue = '' } of parseQuery(raw)) {
    const name = nameOf(rawName);
    if (rule.params.names.has(name) !== (rule.params.kind === 'kept')) continue;
    // `a` and `a=` are one pair to a parser of forms.
    counted.push({ name, text: `${recodeQueryText(rawName)}=${recodeQueryText(rawValue)}` });
  }
  if (counted.length === 0) return undefined;
  const sorted = rule.anyOrder ? counted.toSorted((one, other) => byCodeUnit(one.name, other.name)) : counted;
  return sorted.map((pair) => pair.text).join('&');
}

const SEARCH_TAG = 'search:';

/** Where a request stands whose answer may bring a rule. */
export interface SearchPlace {
  /** Canonical, with or without a query. */
  readonly url: string;
  /** The key as far as the path. */
  readonly keyPath: string;
  /** Characters of a key that are left of one that is cut. */
  readonly room: number;
}

/**
 * The tags of everything that brings a rule, or is keyed by one, on a path: by its URL and by its key. What is stored there is
 * good for URLs, and stands for keys, that only the rule makes one, and whoever purges one of those may know nothing of the
 * rule. So each process that keys by rules takes a purge of any URL or key of the path for one of these tags
 * ({@link withSearchScopes}).
 */
export function searchTags({ url, keyPath, room }: SearchPlace): readonly string[] {
  const tags = [urlTag(url), SEARCH_TAG + keyPath];
  // A key that is cut within its path shows no more of it.
  return keyPath.length > room ? [...tags, SEARCH_TAG + keyPath.slice(0, room)] : tags;
}

/** Whether it brings a rule, or is keyed by one, by its tags. */
export function isOfRule({ url, tags }: Pick<StoredItem, 'url' | 'tags'>): boolean {
  return tags.includes(urlTag(url));
}

function urlTag(url: string): string {
  return SEARCH_TAG + pathOf(url);
}

/** A URL without its query. */
export function pathOf(url: string): string {
  const mark = url.indexOf('?');
  return mark === -1 ? url : url.slice(0, mark);
}

/** The name of the route and the path: behind it come a query, keyed fields or content, a digest, or a variant. */
const keyPathForm = /^[^|]*\|[^?|# ]*/;

/**
 * The scopes of a purge with those that they stand for in a process that keys by rules: whoever has asked for it need not
 * know of any. A prefix that ends within a path covers all that is stored there by its URL; one that ends within a query does
 * not, since what a rule keys is stored under the URL of whoever was first.
 */
export function withSearchScopes(scopes: readonly string[]): readonly string[] {
  const all = new Set(scopes);
  for (const scope of scopes) {
    const name = scope.slice(2);
    if (scope.startsWith('u:') || (scope.startsWith('p:') && name.includes('?'))) all.add(`t:${urlTag(name)}`);
    else if (scope.startsWith('k:')) all.add(`t:${SEARCH_TAG}${keyPathForm.exec(name)?.[0] ?? name}`);
  }
  return all.size === scopes.length ? scopes : [...all];
}
