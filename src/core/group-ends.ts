import type { PatternPart } from './route-pattern.ts';

/** By the name of a group the text that ends it, where something else that may vary follows in its segment: `,` in `/:city,:land`. */
export type GroupEnds = ReadonlyMap<string, string>;

const none: GroupEnds = new Map();

export function groupEnds(parts: readonly PatternPart[]): GroupEnds {
  const ends = new Map<string, string>();
  for (const [index, part] of parts.entries()) {
    if (part.kind !== 'group') continue;
    const end = endOf(part.suffix, parts.slice(index + 1));
    // What is encoded itself cannot be encoded once more, and the code of a digit has that digit in it.
    if (end !== '' && !/^[%0-9]/.test(end)) ends.set(part.name, end);
  }
  return ends.size === 0 ? none : ends;
}

/** Empty where the segment says by its own end what the group is. */
function endOf(suffix: string, rest: readonly PatternPart[]): string {
  let text = suffix;
  for (const part of rest) {
    if (part.kind === 'literal') {
      text += part.text;
      continue;
    }
    const before = part.kind === 'text' ? part.text : part.prefix;
    if ((text + before).includes('/')) return '';
    return text === '' ? before : text;
  }
  return '';
}

/** Whether the encoded value of a group may seem to end within itself. */
export function mayEndWithin(encoded: string, end: string | undefined): end is string {
  return end !== undefined && (encoded + end).indexOf(end) !== encoded.length;
}

/** The encoded value so written that its end is not in it. */
export function withoutEnd(encoded: string, end: string): string {
  const first = end.slice(0, 1);
  const code = `%${first.charCodeAt(0).toString(16).toUpperCase()}`;
  // Digits of what is encoded are none of its characters.
  return encoded.replaceAll(/%[0-9A-F]{2}|[^%]/gu, (char) => (char === first ? code : char));
}
