import type { TemplatePiece } from './forward.ts';
import type { PatternPart } from './route-pattern.ts';

/** By the name of a group the text that ends it, where something else that may vary follows in its segment: `,` in `/:city,:land`. */
export type GroupEnds = ReadonlyMap<string, string>;

const none: GroupEnds = new Map();

/** Text, or what may vary with the text that comes and goes with it; `name`: of a group. */
type Part =
  | { readonly text: string }
  | { readonly name: string | undefined; readonly before: string; readonly after: string };

/** On the proxy. */
export function endsInPattern(parts: readonly PatternPart[]): GroupEnds {
  return endsOf(
    parts.map((part) => {
      if (part.kind === 'literal') return { text: part.text };
      if (part.kind === 'text') return { name: undefined, before: part.text, after: '' };
      return { name: part.name, before: part.prefix, after: part.suffix };
    }),
  );
}

/** Upstream. */
export function endsInForward(pieces: readonly TemplatePiece[]): GroupEnds {
  return endsOf(pieces.map((piece) => ('text' in piece ? piece : { name: piece.name, before: '', after: '' })));
}

function endsOf(parts: readonly Part[]): GroupEnds {
  const ends = new Map<string, string>();
  for (const [index, part] of parts.entries()) {
    if ('text' in part || part.name === undefined) continue;
    const end = endOf(part.after, parts.slice(index + 1));
    // What is encoded itself cannot be encoded once more.
    if (end !== '' && !end.startsWith('%')) ends.set(part.name, end);
  }
  return ends.size === 0 ? none : ends;
}

/** Empty where the segment says by its own end what the group is. */
function endOf(after: string, rest: readonly Part[]): string {
  let text = after;
  for (const part of rest) {
    if ('text' in part) text += part.text;
    else if ((text + part.before).includes('/')) return '';
    else return text === '' ? part.before : text;
  }
  return '';
}

/**
 * The encoded value of a group that has a rule, so written that it does not seem to end within itself. It was decoded, so that it may
 * hold what ends it: `/Washington%2C%20DC,us` is not `/Washington,%20DC,us`, and must be neither that upstream nor the same key.
 */
export function keptApart(encoded: string, end: string | undefined): string {
  if (end === undefined || (encoded + end).indexOf(end) === encoded.length) return encoded;
  const first = end.slice(0, 1);
  return encoded.replaceAll(first, `%${first.charCodeAt(0).toString(16).toUpperCase()}`);
}
