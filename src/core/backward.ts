import { escaped, onceSource } from './pattern-cuts.ts';
import type { TemplatePiece } from './forward.ts';
import { SEGMENT, type GroupPart, type PatternPart } from './route-pattern.ts';
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
  const backward = backwardOf(plan, forward);
  const found = backward.full.exec(path);
  if (found === null) return backward.withEmpty.test(path) ? { path: undefined } : undefined;
  const { names } = backward;
  if (names === undefined) return { path: undefined };
  const values = new Map(names.map((name, index) => [name, found.groups?.[captureOf(index)] ?? '']));
  return { path: plan.parts.map((part) => textOf(part, values)).join('') };
}

/** What tells the paths upstream of a route from others. */
interface Backward {
  readonly full: RegExp;
  /** With values that a rule has made empty: where one stands, its place in the path cannot be told. */
  readonly withEmpty: RegExp;
  /** Of the captures; `undefined`: a path cannot be put together from them. */
  readonly names: readonly string[] | undefined;
}

/** Made once for each plan, of those that upstream names anything of. */
const made = new WeakMap<RoutePlan, Backward>();

function backwardOf(plan: RoutePlan, forward: readonly TemplatePiece[]): Backward {
  const known = made.get(plan);
  if (known !== undefined) return known;
  const parts = forwardParts(forward, plan.parts, plan.pathParams);
  const names = parts.flatMap((part) => (part.kind === 'group' ? [part.name] : []));
  const count = plan.parts.filter((part) => part.kind === 'group').length;
  // A group that stands there twice, or not at all, or that may be missing, has no one value to be put back.
  const isWhole = plan.parts.every(isPlain) && names.length === count && new Set(names).size === count;
  const backward = {
    full: expressionOf(parts, () => false),
    withEmpty: expressionOf(parts, (name) => plan.pathParams.has(name)),
    names: isWhole ? names : undefined,
  };
  made.set(plan, backward);
  return backward;
}

function expressionOf(parts: readonly PatternPart[], mayBeEmpty: (name: string) => boolean): RegExp {
  let count = 0;
  const source = parts.map((part, index) => {
    if (part.kind !== 'group') return escaped(part.text);
    count += 1;
    const once = onceSource(parts, index, mayBeEmpty(part.name));
    return `(?<${captureOf(count - 1)}>${part.modifier === '?' ? `(?:${once})?` : once})`;
  });
  return new RegExp(`^${source.join('')}$`, 'v');
}

/** By name, since the expression of a group may hold captures of its own. */
function captureOf(index: number): string {
  return `forecache${index}`;
}

/** The template as a pattern, of at least all that its groups can put into a path upstream. */
function forwardParts(
  forward: readonly TemplatePiece[],
  parts: readonly PatternPart[],
  rules: RoutePlan['pathParams'],
): readonly PatternPart[] {
  const groups = new Map(parts.flatMap((part) => (part.kind === 'group' ? [[part.name, part] as const] : [])));
  return forward.map((piece) => {
    if ('text' in piece) return { kind: 'literal', text: piece.text };
    const group = groups.get(piece.name);
    return { kind: 'group', name: piece.name, prefix: '', suffix: '', ...valuesOf(group, rules) };
  });
}

function valuesOf(
  group: GroupPart | undefined,
  rules: RoutePlan['pathParams'],
): Pick<GroupPart, 'matcher' | 'source' | 'modifier'> {
  // A rule rewrites values, of one segment each; repeated groups hold what is between them.
  if (group === undefined || rules.has(group.name)) return { matcher: 'segment', source: SEGMENT, modifier: '' };
  const { modifier, source, matcher } = group;
  return modifier === '' || modifier === '?'
    ? { matcher, source, modifier }
    : { matcher: 'wildcard', source: '.*', modifier: '' };
}

function isPlain(part: PatternPart): boolean {
  return part.kind === 'literal' || (part.kind === 'group' && part.modifier === '');
}

function textOf(part: PatternPart, valueOf: ReadonlyMap<string, string>): string {
  return part.kind === 'group' ? `${part.prefix}${valueOf.get(part.name) ?? ''}${part.suffix}` : part.text;
}
