import { parsePattern } from '../core/route-pattern.ts';
import { type Compilation, keysAt, placesAt, unknownName } from './compilation.ts';
import { type Path, nodeAt, textAt } from './source.ts';
import { didYouMean } from './suggest.ts';
import { quoted } from './units.ts';

/** Every name that a route of the file has, sound or not. */
export function routeNames(compilation: Compilation): readonly string[] {
  const names = placesAt(compilation, ['routes']).map((index) => textAt(compilation.root, ['routes', index, 'name']));
  return [...new Set(names.filter((name) => name !== undefined))];
}

/**
 * The words of a route that name something else: its upstream and listener, groups and parameters in its templates.
 * They are read from the text, so that they are checked even where other options of the route are refused.
 */
export function checkRouteWords(compilation: Compilation, index: number): void {
  const path = ['routes', index];
  const upstreams = keysAt(compilation, ['upstreams']);
  const upstream = textAt(compilation.root, [...path, 'upstream']);
  if (upstream !== undefined && !upstreams.includes(upstream)) {
    compilation.issues.add([...path, 'upstream'], unknownName('upstream', upstream, upstreams));
  }
  const listeners = ['default', ...keysAt(compilation, ['server', 'listeners'])];
  const listener = textAt(compilation.root, [...path, 'listener']);
  if (listener !== undefined && !listeners.includes(listener)) {
    compilation.issues.add([...path, 'listener'], unknownName('listener', listener, listeners));
  }
  const match = textAt(compilation.root, [...path, 'match']) ?? '';
  // The schema says so already.
  if (!match.startsWith('/')) return;
  const pattern = parsePattern(match);
  if (!pattern.ok) {
    compilation.issues.add([...path, 'match'], `${pattern.error}, given ${quoted(match)}`);
    return;
  }
  const groups = pattern.value.filter((part) => part.kind === 'group').map((part) => part.name);
  checkGroups(compilation, path, groups);
}

function checkGroups(compilation: Compilation, path: Path, groups: readonly string[]): void {
  for (const name of keysAt(compilation, [...path, 'pathParams'])) {
    const message = `match has no group ${quoted(name)}${didYouMean(name, groups)}`;
    if (!groups.includes(name)) compilation.issues.add([...path, 'pathParams', name], message, 'key');
  }
  checkTemplate(compilation, [...path, 'forward'], { known: groups, noun: 'group of match' });
  const known = [...new Set([...keysAt(compilation, [...path, 'query']), ...groups])];
  checkZone(compilation, path, known);
  const tags = nodeAt(compilation.root, [...path, 'tags']);
  if (tags?.kind !== 'list') return;
  for (const index of tags.items.keys()) {
    const place = [...path, 'tags', index];
    for (const name of checkTemplate(compilation, place, { known, noun: 'parameter or group' })) {
      const message = `{${name}} is a secret parameter and tags are shown; leave it out`;
      if (isSecret(compilation, path, name)) compilation.issues.add(place, message);
    }
  }
}

function checkZone(compilation: Compilation, path: Path, known: readonly string[]): void {
  const place = [...path, 'expireAt', 'zone'];
  for (const name of checkTemplate(compilation, place, { known, noun: 'parameter or group' })) {
    const message = `{${name}} is a secret parameter, of which only a digest is known here; leave it out`;
    if (isSecret(compilation, path, name)) compilation.issues.add(place, message);
  }
}

function isSecret(compilation: Compilation, path: Path, name: string): boolean {
  return ['query', 'pathParams'].some(
    (option) => textAt(compilation.root, [...path, option, name, 'secret']) === 'true',
  );
}

/** The names in the template at a path that are known; the others become issues. */
function checkTemplate(
  compilation: Compilation,
  path: Path,
  given: { readonly known: readonly string[]; readonly noun: string },
): readonly string[] {
  const template = textAt(compilation.root, path) ?? '';
  const names = [...template.matchAll(/\{([^{}]*)\}/g)].map((found) => found[1] ?? '');
  for (const name of names) {
    if (given.known.includes(name)) continue;
    compilation.issues.add(path, `{${name}} is no ${given.noun}${didYouMean(name, given.known)}`);
  }
  if (/[{}]/.test(template.replaceAll(/\{[^{}]*\}/g, ''))) {
    compilation.issues.add(path, `has a brace without its partner, given ${quoted(template)}`);
  }
  return names.filter((name) => given.known.includes(name));
}
