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
 */
export function fillPattern(pattern: string, values: ReadonlyMap<string, string>): Result<FilledPath, string> {
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
      path += `${part.prefix}${encoded(part, value)}${part.suffix}`;
    } else if (part.modifier === '' || part.modifier === '+') {
      return refused(`the path needs a value for "${part.name}"`);
    }
  }
  return ok({ path, used });
}

/** A wildcard may span segments; the slash of any other value is part of the value. */
function encoded(part: GroupPart, value: string): string {
  return part.matcher === 'wildcard' ? value.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(value);
}
