import { maySpan } from '../core/pattern-rank.ts';
import { ok, refused, type Result } from '../core/problem.ts';
import { parsePattern, type GroupPart } from '../core/route-pattern.ts';

/** A path made from a `match` pattern, and the names of the values that went into it. */
export interface FilledPath {
  readonly path: string;
  readonly used: ReadonlySet<string>;
}

/**
 * The path that a client would ask for: a URLPattern pathname with its groups filled from values by name (`0`, `1`, …
 * for those without one), optional parts without a value left out. The error is a sentence. Whether the path matches
 * the expressions of its groups is for `matchRoute` to say.
 *
 * @param ruled names of the groups with a rule
 */
export function fillPattern(
  pattern: string,
  values: ReadonlyMap<string, string>,
  ruled: Pick<ReadonlySet<string>, 'has'>,
): Result<FilledPath, string> {
  const parts = parsePattern(pattern);
  if (!parts.ok) return refused(`the route's pattern ${parts.error}`);
  const used = new Set<string>();
  let path = '';
  for (const part of parts.value) {
    if (part.kind !== 'group') {
      const optional = part.kind === 'text' && (part.modifier === '?' || part.modifier === '*');
      if (!optional) path += part.text;
      continue;
    }
    const value = values.get(part.name);
    if (value !== undefined) {
      used.add(part.name);
      path += `${part.prefix}${encoded(part, value, ruled.has(part.name))}${part.suffix}`;
    } else if (part.modifier === '' || part.modifier === '+') {
      return refused(`the path needs a value for "${part.name}"`);
    }
  }
  return ok({ path, used });
}

/**
 * The slash of a value is part of it where its group may not span segments. Without a rule a group is keyed byte for byte, so
 * that what may stand in a path as it is (RFC 3986 §3.3) has to be written as clients write it.
 */
function encoded(part: GroupPart, value: string, isRuled: boolean): string {
  const pieces = maySpan(part) ? value.split('/') : [value];
  return pieces.map(isRuled ? encodeURIComponent : encodeSegment).join('/');
}

/** Only what no segment of a path may hold as it is. */
function encodeSegment(text: string): string {
  return encodeURIComponent(text).replaceAll(/%(?:3A|40|24|26|2B|2C|3B|3D)/g, decodeURIComponent);
}
