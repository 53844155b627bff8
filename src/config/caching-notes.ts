import type { ParamKind } from '../core/params.ts';
import { isNever } from '../core/forwarded-fields.ts';
import { readName } from '../core/read-name.ts';
import type { Route } from '../core/route.ts';
import type { Compilation } from './compilation.ts';
import type { IssueList } from './issue.ts';
import type { RouteInput } from './schema-routes.ts';
import { isWritten, type Path } from './source.ts';
import { formatDuration } from './units.ts';

/** A cached route at a path of the file. */
interface NotedRoute {
  readonly path: Path;
  readonly input: RouteInput;
  readonly route: Route;
}

const dayMs = 86_400_000;

/** What a cached route says of its caching and that does nothing, or something else than it seems to. */
export function noteCaching(notes: IssueList, compilation: Compilation, noted: NotedRoute): void {
  noteRetain(notes, compilation, noted);
  noteExpireAt(notes, noted);
  noteHeuristic(notes, noted);
  noteUpstreamTags(notes, compilation, noted);
  noteKeyed(notes, noted);
  noteForwarded(notes, noted);
  noteWithheld(notes, noted);
}

/** What was written down and is cut by `retain`, which may be the default. */
function noteRetain(notes: IssueList, { root }: Compilation, { path, route: { policy } }: NotedRoute): void {
  const { retainMs, ttlMs = 0 } = policy;
  const isOwn = isWritten(root, [...path, 'retain']);
  const cut = `is cut by retain, which is ${formatDuration(retainMs)}${isOwn ? '' : ' by default'}: nothing is kept for longer after it came`;
  for (const [status, ownMs] of policy.statusTtlMs) {
    if (ownMs > retainMs) notes.add([...path, 'statusTtl', String(status)], cut);
  }
  if (retainMs < ttlMs) {
    notes.add([...path, 'retain'], 'is below ttl: answers are removed while they are still fresh');
    return;
  }
  for (const name of ['staleWhileRevalidate', 'staleIfError'] as const) {
    const windowMs = policy[`${name}Ms`];
    if (windowMs > 0 && ttlMs + windowMs > retainMs) notes.add([...path, name], cut);
  }
}

function noteExpireAt(notes: IssueList, { path, route }: NotedRoute): void {
  const { expireAt } = route.policy;
  if (expireAt?.kind === 'every' && dayMs % expireAt.everyMs !== 0) {
    const message = `a day is no multiple of ${formatDuration(expireAt.everyMs)}, which is counted from 1970: the instants are at other times each day`;
    notes.add([...path, 'expireAt', 'every'], message);
  }
  if (expireAt?.kind !== 'daily') return;
  const name = /^\{(.+)\}$/.exec(expireAt.zone)?.[1];
  const kind = name === undefined ? undefined : (route.params.get(name) ?? route.pathParams.get(name))?.kind;
  if (kind === undefined || mayNameZone(kind)) return;
  const message = `${expireAt.zone} is of type ${kind.type}, but a time zone is a text, so it names none`;
  notes.add([...path, 'expireAt', 'zone'], message);
}

/** A list names the zone that it has once, or over and over. */
function mayNameZone({ type }: ParamKind): boolean {
  return type === 'text' || type === 'enum' || type === 'list' || type === 'set';
}

function noteHeuristic(notes: IssueList, { path, input }: NotedRoute): void {
  if (input.heuristicMax === undefined || input.heuristicFraction !== 0) return;
  notes.add([...path, 'heuristicMax'], 'does nothing with heuristicFraction: 0', 'key');
}

function noteUpstreamTags(notes: IssueList, { root }: Compilation, { path, route }: NotedRoute): void {
  const place = [...path, 'maxUpstreamTags'];
  const hasSource = route.tagsFrom.length > 0 || route.policy.upstreamCacheControl !== 'ignore';
  if (hasSource || !isWritten(root, place)) return;
  const message =
    'does nothing: without tagsFrom, upstream gives tags (Cache-Groups) where upstreamCacheControl is honour or cap';
  notes.add(place, message, 'key');
}

function noteKeyed(notes: IssueList, { path, input }: NotedRoute): void {
  for (const [index, name] of (input.headers ?? []).entries()) {
    if (!name.includes('*')) continue;
    notes.add(
      [...path, 'headers', index],
      'is the name of one field, its * included; each that enters the key is named',
    );
  }
}

/** Names are compared whole: what a client sends under another one is keyed and goes upstream. */
function noteWithheld(notes: IssueList, { path, input }: NotedRoute): void {
  for (const option of ['ignore', 'secret'] as const) {
    for (const [index, name] of (input[option] ?? []).entries()) {
      if (!name.includes('*')) continue;
      notes.add([...path, option, index], 'is the name of one parameter, its * included; each is named by itself');
    }
  }
}

function noteForwarded(notes: IssueList, { path, input }: NotedRoute): void {
  for (const [index, name] of (input.forwardHeaders ?? []).entries()) {
    if (name === '*') continue;
    const at = [...path, 'forwardHeaders', index];
    if (isNever(readName(name.toLowerCase()))) notes.add(at, 'goes upstream only where headers of the route keys it');
    else if (name.includes('*'))
      notes.add(at, 'is the name of one field, its * included; only * alone stands for others');
  }
}
