import type { GroupPart, PatternPart } from './route-pattern.ts';

/** The text as a regular expression that matches it alone. */
export function escaped(text: string): string {
  return text.replaceAll(/[.+*?^${}()[\]|/\\]/g, String.raw`\$&`);
}

/**
 * The expression of a group that comes once, such that it ends in one place only where that changes nothing: in
 * `:a-:b` the `-` that ends `a` is the first that can, since what is behind it `b` takes as well as any other. The
 * standard's own expression tries every `-` there is, for each group of a segment within the one before: of the length
 * of the path to the power of their number, in text that clients and upstreams write.
 */
export function onceSource(parts: readonly PatternPart[], index: number, mayBeEmpty = false): string {
  const part = parts[index];
  if (part?.kind !== 'group') return '';
  const text = textToNext(parts, index);
  if (text === undefined) return mayBeEmpty ? String.raw`[^\/]*` : part.source;
  const more = String.raw`(?:(?!${escaped(text)})[^\/])*`;
  return mayBeEmpty ? more : String.raw`[^\/]${more}`;
}

/** Text between a group of one segment and the next such group in the segment; `undefined`: the group is no such one. */
function textToNext(parts: readonly PatternPart[], index: number): string | undefined {
  const part = parts[index];
  if (!isPlainSegment(part)) return undefined;
  let text = part.suffix;
  for (const next of parts.slice(index + 1)) {
    if (next.kind === 'literal') text += next.text;
    else if (isPlainSegment(next)) {
      text += next.prefix;
      return text.includes('/') ? undefined : text;
    } else return undefined;
  }
  return undefined;
}

function isPlainSegment(part: PatternPart | undefined): part is GroupPart {
  return part?.kind === 'group' && part.matcher === 'segment' && part.modifier === '';
}

/** Parts of which each may end in any number of places: the time to match is of the path's length to this power. */
const MAX_OPEN = 2;

/**
 * Whether matching takes longer than the square of the path's length; a sentence about it if so. Of expressions that the
 * configuration itself writes nothing is said.
 */
export function slowIssue(parts: readonly PatternPart[]): string | undefined {
  const endless = parts.find(isEndless);
  if (endless !== undefined) return `{${endless.name}} repeats without a / between, so a path could take for ever`;
  const open = parts.filter((_, index) => isOpen(parts, index)).length;
  return open > MAX_OPEN
    ? `${open} parts may each end in many places, so a path could take too long; give groups an expression, such as :a([^-]+)`
    : undefined;
}

/** Repeated, and the text cut into repetitions in any way: exponential where the rest does not match. */
function isEndless(part: PatternPart): part is GroupPart {
  if (part.kind !== 'group' || !isRepeated(part) || part.matcher === 'regexp') return false;
  return part.matcher === 'wildcard' || !`${part.suffix}${part.prefix}`.includes('/');
}

function isOpen(parts: readonly PatternPart[], index: number): boolean {
  const part = parts[index];
  if (part === undefined || part.kind === 'literal') return false;
  if (part.kind === 'text') return isRepeated(part);
  if (part.matcher === 'regexp' || textToNext(parts, index) !== undefined) return false;
  const rest = textBehind(parts, index);
  // What may hold a slash is ended by the end of the path alone, other groups by that of their segment too.
  if (part.matcher === 'wildcard' || isRepeated(part)) return !rest.isEnd || rest.text !== '';
  return !rest.isEnd && !rest.text.includes('/');
}

function isRepeated({ modifier }: { readonly modifier: string }): boolean {
  return modifier === '*' || modifier === '+';
}

/** Text that must follow a group, up to what may be anything. */
function textBehind(parts: readonly PatternPart[], index: number): { readonly text: string; readonly isEnd: boolean } {
  const part = parts[index];
  let text = part?.kind === 'group' ? part.suffix : '';
  for (const next of parts.slice(index + 1)) {
    const { start, mayBeMissing } = startOf(next);
    if (!mayBeMissing) text += start;
    // What begins with a slash or is missing ends a segment just as what is behind it does.
    else if (!start.startsWith('/')) return { text, isEnd: false };
    if (next.kind === 'group' && !mayBeMissing) return { text, isEnd: false };
  }
  return { text, isEnd: true };
}

function startOf(part: PatternPart): { readonly start: string; readonly mayBeMissing: boolean } {
  if (part.kind === 'literal') return { start: part.text, mayBeMissing: false };
  const mayBeMissing = part.modifier === '?' || part.modifier === '*';
  return { start: part.kind === 'group' ? part.prefix : part.text, mayBeMissing };
}
