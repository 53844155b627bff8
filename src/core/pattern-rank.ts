import type { GroupPart, PatternPart } from './route-pattern.ts';

/** What stands between two slashes of a pattern. */
export interface PatternSegment {
  /** Literal text before the first group, all of it where there is no group. */
  readonly before: string;
  /** Literal text after the last group; `undefined` where there is no group. */
  readonly after: string | undefined;
  /** The more, the more specific. */
  readonly rank: number;
  /** May match a `/`, so what follows has no fixed place from the left. */
  readonly spans: boolean;
  /** Expression of the group, where there is one and it comes once. */
  readonly source: string | undefined;
}

/** `{/:x}?` and its like each double the variants of a pattern. */
const MAX_OPTIONAL = 5;

/**
 * A pattern without anything optional in it, as often as there are choices: `/a{/:x}?` is `/a` and `/a/:x`. Only such
 * variants can be ranked. `undefined` past five optional parts.
 */
export function variantsOf(parts: readonly PatternPart[]): readonly (readonly PatternPart[])[] | undefined {
  if (parts.filter(isOptional).length > MAX_OPTIONAL) return undefined;
  let variants: readonly (readonly PatternPart[])[] = [[]];
  for (const part of parts) {
    const present = withoutChoice(part);
    variants = variants.flatMap((variant) =>
      isOptional(part) ? [[...variant, present], variant] : [[...variant, present]],
    );
  }
  return variants;
}

function isOptional(part: PatternPart): boolean {
  return part.kind !== 'literal' && (part.modifier === '?' || part.modifier === '*');
}

function withoutChoice(part: PatternPart): PatternPart {
  if (part.kind === 'literal') return part;
  const modifier = part.modifier === '*' || part.modifier === '+' ? '+' : '';
  if (part.kind === 'text' && modifier === '') return { kind: 'literal', text: part.text };
  return { ...part, modifier };
}

type Atom = { readonly literal: string } | { readonly group: GroupPart | undefined };

/** The segments of a variant. */
export function segmentsOf(variant: readonly PatternPart[]): readonly PatternSegment[] {
  const segments: Atom[][] = [[]];
  const addLiteral = (text: string): void => {
    for (const [index, piece] of text.split('/').entries()) {
      if (index > 0) segments.push([]);
      if (piece !== '') segments.at(-1)?.push({ literal: piece });
    }
  };
  for (const part of variant) {
    switch (part.kind) {
      case 'literal':
        addLiteral(part.text);
        break;
      case 'text':
        segments.at(-1)?.push({ group: undefined });
        break;
      case 'group':
        addLiteral(part.prefix);
        segments.at(-1)?.push({ group: part });
        addLiteral(part.suffix);
        break;
    }
  }
  // The piece before the first slash is empty in all of them.
  return segments.slice(1).map(segmentOf);
}

function segmentOf(atoms: readonly Atom[]): PatternSegment {
  const literal = (some: readonly Atom[]): string =>
    some.map((atom) => ('literal' in atom ? atom.literal : '')).join('');
  const first = atoms.findIndex((atom) => 'group' in atom);
  if (first === -1)
    return { before: literal(atoms), after: undefined, rank: rankOf(6, 0), spans: false, source: undefined };
  const last = atoms.findLastIndex((atom) => 'group' in atom);
  const groups = atoms.filter((atom) => 'group' in atom).map((atom) => atom.group);
  const spans = groups.some((group) => group === undefined || maySpan(group));
  const only = atoms.length === 1 ? groups[0] : undefined;
  return {
    before: literal(atoms.slice(0, first)),
    after: literal(atoms.slice(last + 1)),
    rank: only === undefined ? rankOf(spans ? 4 : 5, literal(atoms).length) : rankOf(loneClass(only), 0),
    spans,
    source: groups.length === 1 && groups[0]?.modifier === '' ? groups[0].source : undefined,
  };
}

/** Literal 6, text with groups 5 (4 where it spans), expression 3, named 2, repeated 1, wildcard 0; then the length of the text. */
function rankOf(kind: number, literalLength: number): number {
  return kind * 100_000 + literalLength;
}

function loneClass(group: GroupPart): number {
  if (group.modifier === '+') return group.matcher === 'wildcard' ? 0 : 1;
  if (group.matcher === 'segment') return 2;
  return group.matcher === 'wildcard' ? 0 : 3;
}

/** True where one occurrence, or several, may hold a `/`. Expressions are judged by their characters, rather too often than too rarely. */
export function maySpan(group: GroupPart): boolean {
  if (group.modifier === '+' || group.modifier === '*' || group.matcher === 'wildcard') return true;
  return group.matcher === 'regexp' && /[./]|\[\^|\\[DWSPpux]|\\\//.test(group.source);
}

/** Below zero where `a` comes first: left to right the higher rank, then the longer pattern. */
export function compareRanks(a: readonly PatternSegment[], b: readonly PatternSegment[]): number {
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const difference = (b[index]?.rank ?? 0) - (a[index]?.rank ?? 0);
    if (difference !== 0) return difference;
  }
  return b.length - a.length;
}

/** Whether some path may match both of two variants of the same rank. In doubt it says yes. */
export function mayOverlap(a: readonly PatternSegment[], b: readonly PatternSegment[]): boolean {
  const spanning = a.flatMap((segment, index) => (segment.spans || b[index]?.spans === true ? [index] : []));
  const first = spanning[0] ?? a.length;
  const last = spanning.at(-1) ?? -1;
  // Between the first and the last spanning segment nothing has a fixed place.
  return a.every((segment, index) => {
    const other = b[index];
    if (other === undefined) return true;
    const whole = index < first || index > last;
    return segmentsMeet(segment, other, { left: whole || index <= first, right: whole || index >= last });
  });
}

/** `left`, `right`: whether that end of the segment has a fixed place; both, where the whole of it has. */
function segmentsMeet(a: PatternSegment, b: PatternSegment, place: { left: boolean; right: boolean }): boolean {
  if (!place.left && !place.right) return true;
  if (a.after === undefined || b.after === undefined) return a.before === b.before;
  const beforeMeets = a.before.startsWith(b.before) || b.before.startsWith(a.before);
  const afterMeets = a.after.endsWith(b.after) || b.after.endsWith(a.after);
  if (!place.left) return afterMeets;
  if (!place.right) return beforeMeets;
  return beforeMeets && afterMeets && !groupsDiffer(a, b);
}

/** With the same text around them the groups stand for the same piece of the path, and may be such as never match the same. */
function groupsDiffer(a: PatternSegment, b: PatternSegment): boolean {
  return a.before === b.before && a.after === b.after && areDisjoint(a.source, b.source);
}

/** `berlin|paris` and the like. */
const WORDS = /^[\w\-~]+(?:\|[\w\-~]+)*$/;
/** One class of characters, some times. */
const CLASS = /^(\[[^\]\\^]+\]|\\[dw])(?:[+*?]|\{[0-9,]+\})?$/;

const ASCII: readonly string[] = Array.from({ length: 94 }, (_, index) => String.fromCodePoint(33 + index));

/** Proves for simple expressions that no text matches both; `false` where it cannot tell. */
function areDisjoint(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined || a === b) return false;
  const words = WORDS.test(a) ? { list: a, other: b } : { list: b, other: a };
  if (WORDS.test(words.list)) {
    const other = new RegExp(`^(?:${words.other})$`, 'v');
    return words.list.split('|').every((word) => !other.test(word));
  }
  if ([a, b].every((source) => new RegExp(`^(?:${source})$`, 'v').test(''))) return false;
  const classes = [CLASS.exec(a)?.[1], CLASS.exec(b)?.[1]].filter((found) => found !== undefined);
  if (classes.length < 2) return false;
  const regexps = classes.map((found) => new RegExp(`^${found}$`, 'v'));
  return ASCII.every((char) => !regexps.every((regexp) => regexp.test(char)));
}
