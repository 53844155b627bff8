import { parseTemplate, templateNames } from '../core/forward.ts';
import { type GroupPart, parsePattern } from '../core/route-pattern.ts';
import type { Route } from '../core/route.ts';
import type { IssueList } from './issue.ts';
import type { Path } from './source.ts';

/** A `match` or `forward` in the syntax of the other one, or of none of both, and a `forward` that makes all paths one. */
export function notePaths(notes: IssueList, path: Path, route: Route): void {
  noteBraces(notes, path, route);
  const groups = groupsOf(route);
  noteQueryRules(notes, path, { route, groups });
  const pieces = parseTemplate(route.forward ?? '');
  if (pieces === undefined || pieces.length === 0) return;
  const used = templateNames(pieces);
  const text = pieces.map((piece) => ('text' in piece ? piece.text : '\0')).join('');
  const stray = groups.find((group) => !used.includes(group.name) && standsIn(text, group));
  if (stray !== undefined) {
    const written = isUnnamed(stray) ? '*' : `:${stray.name}`;
    notes.add(
      [...path, 'forward'],
      `${written} is sent as it stands; what ${written} of match stands for is written {${stray.name}} here`,
    );
    return;
  }
  if (used.length === 0) noteOneForAll(notes, path, { route, groups });
}

interface Grouped {
  readonly route: Route;
  readonly groups: readonly GroupPart[];
}

function groupsOf({ match }: Route): readonly GroupPart[] {
  const parts = parsePattern(match);
  return parts.ok ? parts.value.filter((part) => part.kind === 'group') : [];
}

/** Braces that are a whole segment, with nothing that says how often it comes, are of no use in a URLPattern. */
function noteBraces(notes: IssueList, path: Path, { match }: Route): void {
  const name = /\/\{([A-Za-z_][A-Za-z0-9_]*)\}(?=\/|$)/.exec(match)?.[1];
  if (name === undefined) return;
  const message = `{${name}} matches the text ${name} alone, since braces make no group; one is written :${name}`;
  notes.add([...path, 'match'], message);
}

/** What is no segment by itself may be meant, as in `/v1/x:run`. */
function standsIn(text: string, group: GroupPart): boolean {
  return text.split('/').includes(isUnnamed(group) ? '*' : `:${group.name}`);
}

function isUnnamed({ name, matcher }: GroupPart): boolean {
  return matcher === 'wildcard' && /^\d+$/.test(name);
}

/** Not told of a file that is named, which may be meant for all paths, and of named groups, which are left out by choice. */
function noteOneForAll(notes: IssueList, path: Path, { route, groups }: Grouped): void {
  const { cache, forward = '' } = route;
  const any = groups.find((group) => isUnnamed(group) && group.modifier === '');
  if (cache === 'off' || any === undefined || /\.[^/]*$/.test(forward)) return;
  const message = `is the same whatever * of match stands for, so all these paths have one stored response; {${any.name}} puts it in`;
  notes.add([...path, 'forward'], message);
}

function noteQueryRules(notes: IssueList, path: Path, { route, groups }: Grouped): void {
  if (route.cache === 'off') return;
  for (const { name } of groups) {
    if (!route.params.has(name) || route.pathParams.has(name)) continue;
    const message = `is a rule for the query, and match has a group :${name}, to which it does not apply; rules for groups stand under pathParams`;
    notes.add([...path, 'query', name], message, 'key');
  }
}
