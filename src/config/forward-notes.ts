import { shortestForward } from '../core/forward.ts';
import type { Route } from '../core/route.ts';
import type { IssueList } from './issue.ts';
import type { Path } from './source.ts';

/** A `forward` of which nothing sound is left where a group of `match` is left out. */
export function noteForward(notes: IssueList, path: Path, route: Route): void {
  const shortest = shortestForward(route);
  if (shortest === undefined || (shortest.issue === undefined && !shortest.hasEmptySegment)) return;
  const { issue, without } = shortest;
  const groups = without.map((name) => `{${name}}`).join(' and ');
  const what = issue === undefined ? 'with an empty segment' : `which is refused with 400 (${issue})`;
  const message = `without ${groups}, which may be left out, the path upstream is ${shortest.path}, ${what}; give paths without it a route of their own`;
  notes.add([...path, 'forward'], message);
}
