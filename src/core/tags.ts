import { MAX_ITEMS } from './normalise.ts';
import { parseTemplate, templateNames, type TemplatePiece } from './forward.ts';
import type { Route } from './route.ts';

/** Templates of a route, tags that one answer of upstream's can add (`maxUpstreamTags`), and items of a parameter, at most. */
export const MAX_ROUTE_TAGS = 50;
export const MAX_TAGS_FROM_UPSTREAM = 1000;
/** Those of the route, of the upstream, and of a path and its key as cut and as they are, where No-Vary-Search counts. */
const MAX_OTHER_TAGS = 8;

/** No response is stored with more: each template gives one for each item of a parameter. */
export const MAX_TAGS = MAX_ROUTE_TAGS * MAX_ITEMS + MAX_TAGS_FROM_UPSTREAM + MAX_OTHER_TAGS;

/** Compared one by one so many take less time than a set of them takes to be made. */
const FEW = 8;

/** A tag template made ready. */
export interface TagTemplate {
  readonly pieces: readonly TemplatePiece[];
  /** Whether a value of several items gives one tag for each. */
  readonly isItems: (name: string) => boolean;
  /** Whether that is so of any name in it. */
  readonly hasItems: boolean;
}

/** The templates of a route; the error is the template that does not parse or uses a name that the route does not have. */
export function parseTags(route: Route, names: ReadonlySet<string>): readonly (TagTemplate | string)[] {
  const isItems = (name: string): boolean => {
    const type = (route.params.get(name) ?? route.pathParams.get(name))?.kind.type;
    return type === 'set' || type === 'list';
  };
  return route.tags.map((tag) => {
    const pieces = parseTemplate(tag);
    if (pieces === undefined) return `tag "${tag}": braces do not pair`;
    const unknown = templateNames(pieces).find((name) => !names.has(name));
    if (unknown !== undefined) return `tag "${tag}": no parameter or group "${unknown}"`;
    return { pieces, isItems, hasItems: templateNames(pieces).some(isItems) };
  });
}

/**
 * The tags of one request, from canonical values that hold no secret. A `set` or `list` gives one tag for each item;
 * several of them in one template go side by side (`lat,lon` of the first place, of the second, …), one item going with
 * all of the others. Where a parameter is absent there is no such tag.
 */
export function expandTags(
  fixed: readonly string[],
  templates: readonly TagTemplate[],
  valueOf: (name: string) => string | undefined,
): readonly string[] {
  if (templates.length === 0) return fixed;
  const tags = [...fixed];
  for (const template of templates) addTags(template, valueOf, tags);
  return tags.length > fixed.length + 1 ? distinct(tags) : tags;
}

/** Each once, in the order in which they first come; a few that are all different are the same array. */
export function distinct(tags: readonly string[]): readonly string[] {
  if (tags.length > FEW) return [...new Set(tags)];
  for (let place = 1; place < tags.length; place += 1) {
    if (tags.indexOf(tags[place] ?? '') < place) return [...new Set(tags)];
  }
  return tags;
}

/** Those of `tags` that are none of the others. */
export function without(tags: readonly string[], others: readonly string[]): readonly string[] {
  if (others.length <= FEW) return tags.filter((tag) => !others.includes(tag));
  const known = new Set(others);
  return tags.filter((tag) => !known.has(tag));
}

function addTags(template: TagTemplate, valueOf: (name: string) => string | undefined, tags: string[]): void {
  if (!template.hasItems) {
    const tag = plainTag(template, valueOf);
    if (tag !== undefined) tags.push(tag);
    return;
  }
  const columns: (readonly string[])[] = [];
  let rows = 1;
  for (const piece of template.pieces) {
    const items = itemsOf(piece, template, valueOf);
    if (items === undefined) return;
    // Lists of different length do not belong side by side; upstreams refuse them, and the rest of the longer is left out.
    if (items.length > 1) rows = rows === 1 ? items.length : Math.min(rows, items.length);
    columns.push(items);
  }
  for (let row = 0; row < rows; row += 1) {
    const cells = columns.map((items) => (items.length === 1 ? items[0] : items[row]) ?? '');
    tags.push(cells.join(''));
  }
}

/** The one tag of a template none of whose values is several. */
function plainTag({ pieces }: TagTemplate, valueOf: (name: string) => string | undefined): string | undefined {
  let tag = '';
  for (const piece of pieces) {
    const text = 'text' in piece ? piece.text : valueOf(piece.name);
    if (text === undefined) return undefined;
    tag += text;
  }
  return tag;
}

function itemsOf(
  piece: TemplatePiece,
  template: TagTemplate,
  valueOf: (name: string) => string | undefined,
): readonly string[] | undefined {
  if ('text' in piece) return [piece.text];
  const value = valueOf(piece.name);
  if (value === undefined) return undefined;
  return template.isItems(piece.name) ? value.split(',') : [value];
}
