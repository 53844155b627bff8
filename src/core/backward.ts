import { escaped, type GroupPart, type PatternPart } from './route-pattern.ts';
import type { RoutePlan } from './route-plan.ts';

/** What leads to a path upstream. */
interface Behind {
  /** On the proxy; `undefined`: it cannot be told. */
  readonly path: string | undefined;
}

/**
 * The path on the proxy that a route's `forward` makes into the path upstream; `undefined`: there is none. What comes back
 * is a path of the route's shape: whether the route governs it, and whether it leads back to the same path, is for the
 * caller to check. If so, it is the only one but for other spellings of values that have a rule, since `parseForward` takes
 * no template that makes one path upstream of two.
 */
export function pathBehind(plan: RoutePlan, path: string): Behind | undefined {
  const { forward, fixedForward, fixedPath } = plan;
  if (forward === undefined) return { path };
  if (fixedForward !== undefined) return fixedForward === path ? { path: fixedPath } : undefined;
  const groups = new Map(plan.parts.flatMap((part) => (part.kind === 'group' ? [[part.name, part] as const] : [])));
  const names: string[] = [];
  const source = forward.map((piece) => {
    if ('text' in piece) return escaped(piece.text);
    names.push(piece.name);
    return `(?<${captureOf(names.length - 1)}>${valueSource(plan, groups.get(piece.name))})`;
  });
  const found = new RegExp(`^${source.join('')}$`, 'v').exec(path);
  if (found === null) return undefined;
  // A group that stands there twice, or not at all, or that may be missing, has no one value to be put back.
  if (!plan.parts.every(isPlain) || names.length !== groups.size || new Set(names).size !== groups.size)
    return { path: undefined };
  const valueOf = new Map(names.map((name, index) => [name, found.groups?.[captureOf(index)] ?? '']));
  return { path: plan.parts.map((part) => textOf(part, valueOf)).join('') };
}

/** By name, since the expression of a group may hold captures of its own. */
function captureOf(index: number): string {
  return `forecache${index}`;
}

/** At least all that the group can put into a path upstream. */
function valueSource(plan: RoutePlan, group: GroupPart | undefined): string {
  // A rule rewrites values, of one segment each; repeated groups hold what is between them.
  if (group === undefined || plan.pathParams.has(group.name)) return String.raw`[^\/]*`;
  const { modifier, source } = group;
  if (modifier === '') return source;
  return modifier === '?' ? `(?:${source})?` : '.*';
}

function isPlain(part: PatternPart): boolean {
  return part.kind === 'literal' || (part.kind === 'group' && part.modifier === '');
}

function textOf(part: PatternPart, valueOf: ReadonlyMap<string, string>): string {
  return part.kind === 'group' ? `${part.prefix}${valueOf.get(part.name) ?? ''}${part.suffix}` : part.text;
}
