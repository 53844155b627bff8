import type { ParamRule } from './params.ts';
import { maySpan } from './pattern-rank.ts';
import { ok, refused, type Result } from './problem.ts';
import { parsePattern, type GroupPart, type PatternPart } from './route-pattern.ts';
import type { Route } from './route.ts';
import { pathIssue } from './target.ts';

/** A piece of a template: text, or the value of what a name stands for. */
export type TemplatePiece = { readonly text: string } | { readonly name: string };

/** Cuts `text{name}text` at its braces; `undefined` where they do not pair. */
export function parseTemplate(template: string): readonly TemplatePiece[] | undefined {
  const pieces: TemplatePiece[] = [];
  for (const [index, piece] of template.split(/\{([^{}]*)\}/).entries()) {
    if (index % 2 === 1) pieces.push({ name: piece });
    else if (/[{}]/.test(piece)) return undefined;
    else if (piece !== '') pieces.push({ text: piece });
  }
  return pieces;
}

/** Names that a template uses. */
export function templateNames(pieces: readonly TemplatePiece[]): readonly string[] {
  return pieces.flatMap((piece) => ('name' in piece ? [piece.name] : []));
}

/**
 * Reads a route's `forward`. Its groups must stand so that the path upstream says what each of them was: two paths on
 * the proxy with one path upstream would share a key, and a purge of the one by its URL would not find the other.
 * (A group that is left out altogether is another matter: its paths are one and the same by the route's own words.)
 */
export function parseForward(
  forward: string,
  parts: readonly PatternPart[],
  rules: ReadonlyMap<string, ParamRule>,
): Result<readonly TemplatePiece[], string> {
  const pieces = parseTemplate(forward);
  if (pieces === undefined) return refused('forward: braces do not pair');
  const groups = new Map(parts.flatMap((part) => (part.kind === 'group' ? [[part.name, part] as const] : [])));
  const unknown = templateNames(pieces).find((name) => !groups.has(name));
  if (unknown !== undefined) return refused(`forward: match has no group "${unknown}"`);
  const issue = pathIssue(pieces.map((piece) => ('text' in piece ? piece.text : 'x')).join(''));
  if (issue !== undefined) return refused(`forward: is no path: ${issue}`);
  if (!tellsApart(pieces, { parts, groups, rules })) {
    return refused('forward: two paths on the proxy could become the same path upstream; put a / between the groups');
  }
  return ok(pieces);
}

/** The path upstream of a request without the optional groups. */
export interface ShortestForward {
  readonly path: string;
  /** Groups that may be left out and then have no value. Not empty. */
  readonly without: readonly string[];
  /** Why such a request is refused; `undefined` where it is not. */
  readonly issue: string | undefined;
  /** There is nothing between two `/` where a group stood. */
  readonly hasEmptySegment: boolean;
}

/**
 * `undefined` where no group of `forward` may be left out. All of them at once are the worst case: what makes a dot segment or a
 * `//` of the template stands between groups that are missing.
 */
export function shortestForward({
  forward,
  match,
  pathParams,
}: Pick<Route, 'forward' | 'match' | 'pathParams'>): ShortestForward | undefined {
  const parts = parsePattern(match);
  const pieces = parseTemplate(forward ?? '');
  if (!parts.ok || pieces === undefined) return undefined;
  const optional = parts.value.flatMap((part) => (mayBeMissing(part, pathParams) ? [part.name] : []));
  const without = templateNames(pieces).filter((name) => optional.includes(name));
  if (without.length === 0) return undefined;
  const pathOf = (missing: readonly string[]): string =>
    pieces.map((piece) => ('text' in piece ? piece.text : missing.includes(piece.name) ? '' : 'x')).join('');
  const path = pathOf(without);
  const hasEmptySegment = emptySegmentsOf(path) > emptySegmentsOf(pathOf([]));
  return { path, without, issue: pathIssue(path), hasEmptySegment };
}

/** One at the end is none: the path ends with `/`. */
function emptySegmentsOf(path: string): number {
  return path
    .split('/')
    .slice(1, -1)
    .filter((segment) => segment === '').length;
}

function mayBeMissing(part: PatternPart, rules: ReadonlyMap<string, ParamRule>): part is GroupPart {
  if (part.kind !== 'group' || (part.modifier !== '?' && part.modifier !== '*')) return false;
  const rule = rules.get(part.name);
  return rule === undefined || (!rule.required && rule.default === undefined);
}

interface Groups {
  readonly parts: readonly PatternPart[];
  readonly groups: ReadonlyMap<string, GroupPart>;
  readonly rules: ReadonlyMap<string, ParamRule>;
}

function tellsApart(pieces: readonly TemplatePiece[], context: Groups): boolean {
  const names = templateNames(pieces);
  if (names.length < 2 || keepsOrder(pieces, context.parts)) return true;
  if (names.filter((name) => isOpen(name, context)).length > 1) return false;
  const pairs = pairsOf(pieces).map(({ left, between, right }) => ({
    // The first character of `between` that the left group cannot hold ends it; the right one begins after the last such.
    fromLeft: between.split('').some((char) => excludes(left, char, context)),
    fromRight: between.split('').some((char) => excludes(right, char, context)),
  }));
  const firstUnclear = pairs.findIndex((pair) => !pair.fromLeft);
  return firstUnclear === -1 || pairs.slice(firstUnclear).every((pair) => pair.fromRight);
}

/** All groups in the order of `match` with the same text between them: then `match` itself tells them apart. */
export function keepsOrder(pieces: readonly TemplatePiece[], parts: readonly PatternPart[]): boolean {
  const inMatch = parts.map((part) =>
    part.kind === 'group' ? `${part.prefix}{${part.name}}${part.suffix}` : part.text,
  );
  const plain = parts.every((part) => part.kind === 'literal' || (part.kind === 'group' && part.modifier === ''));
  const inForward = pieces.map((piece) => ('name' in piece ? `{${piece.name}}` : piece.text)).join('');
  return plain && fromFirstToLastGroup(inMatch.join('')) === fromFirstToLastGroup(inForward);
}

function fromFirstToLastGroup(template: string): string {
  return template.slice(template.indexOf('{'), template.lastIndexOf('}') + 1);
}

function pairsOf(pieces: readonly TemplatePiece[]): readonly { left: string; between: string; right: string }[] {
  const pairs: { left: string; between: string; right: string }[] = [];
  let left: string | undefined;
  let between = '';
  for (const piece of pieces) {
    if ('text' in piece) between = piece.text;
    else {
      if (left !== undefined) pairs.push({ left, between, right: piece.name });
      left = piece.name;
      between = '';
    }
  }
  return pairs;
}

function isOpen(name: string, context: Groups): boolean {
  const group = context.groups.get(name);
  return group !== undefined && maySpan(group) && !isNumeric(name, context);
}

function isNumeric(name: string, context: Groups): boolean {
  const type = context.rules.get(name)?.kind.type;
  return type === 'integer' || type === 'decimal' || type === 'date';
}

function excludes(name: string, char: string, context: Groups): boolean {
  if (isNumeric(name, context)) return !/[0-9.-]/.test(char);
  return char === '/' && !isOpen(name, context);
}
