import type { PurgeSelector } from './config.ts';
import { tagSpellings } from './tag-text.ts';
import { ok, refused, type Problem, type Result } from './problem.ts';

/**
 * The scopes of the purge log that a selector covers (`scopesOf` gives those of a stored response).
 *
 * @param ofUrl scopes of a URL as an operator writes it
 */
export function scopesOfSelector(
  selector: PurgeSelector,
  ofUrl: (url: string) => Result<readonly string[]>,
): Result<readonly string[]> {
  switch (selector.by) {
    case 'all':
      return ok(['all']);
    case 'route':
      return named('route', 'r:', [selector.route]);
    case 'key':
      return named('key', 'k:', [selector.key]);
    case 'tags':
      return named('tag', 't:', selector.tags.flatMap(tagSpellings));
    case 'prefix':
      // An empty prefix would be `all` in disguise, and no canonical URL begins with anything but a slash.
      if (!selector.prefix.startsWith('/')) return refused(selectorProblem('A prefix begins with /.'));
      return ok([`p:${selector.prefix}`]);
    case 'url': {
      const found = ofUrl(selector.url);
      return found.ok && found.value.length === 0 ? refused(selectorProblem('The URL covers nothing.')) : found;
    }
  }
}

function named(what: string, kind: string, names: readonly string[]): Result<readonly string[]> {
  if (names.length === 0 || names.includes('')) return refused(selectorProblem(`The ${what} is missing or empty.`));
  return ok([...new Set(names)].map((name) => kind + name));
}

function selectorProblem(detail: string): Problem {
  return { status: 400, code: 'selector-invalid', title: 'Selector not accepted', detail };
}
