import type { ExpireAt } from '../core/route.ts';
import type { Compilation } from './compilation.ts';
import type { RouteInput } from './schema-routes.ts';
import type { Path } from './source.ts';
import { formatDuration } from './units.ts';
import { zoneProblem } from './words.ts';

type ExpireAtInput = NonNullable<RouteInput['expireAt']>;

/** The instants of a route at which upstream's data changes. */
export function compileExpireAt(compilation: Compilation, path: Path, input: RouteInput): ExpireAt | undefined {
  const given = input.expireAt;
  if (given === undefined) return undefined;
  if (input.upstreamCacheControl === 'honour') {
    const message = 'bounds lifetimes by rule, and on honour routes upstream is in charge of them; use ignore or cap';
    compilation.issues.add(path, message, 'key');
    return undefined;
  }
  if ((given.every === undefined) === (given.daily === undefined)) {
    const both = given.every !== undefined;
    const message = both ? 'has both every and daily; keep one of the two' : 'needs one of every and daily';
    compilation.issues.add(path, message);
    return undefined;
  }
  if (given.daily !== undefined) return compileDaily(compilation, path, given, given.daily);
  return given.every === undefined ? undefined : compileEvery(compilation, path, given, given.every);
}

function compileEvery(compilation: Compilation, path: Path, given: ExpireAtInput, everyMs: number): ExpireAt {
  const every = formatDuration(everyMs);
  for (const option of ['zone', 'fallbackZone'] as const) {
    const message = 'is of daily; every counts in UTC';
    if (given[option] !== undefined) compilation.issues.add([...path, option], message, 'key');
  }
  const offsetMs = given.offset ?? 0;
  if (offsetMs >= everyMs) compilation.issues.add([...path, 'offset'], `is below every, which is ${every}`);
  // More would leave nothing of the instants: a response could outlive the next one.
  if (given.jitter >= everyMs) compilation.issues.add([...path, 'jitter'], `is below every, which is ${every}`);
  return { kind: 'every', everyMs, offsetMs, jitterMs: given.jitter };
}

function compileDaily(compilation: Compilation, path: Path, given: ExpireAtInput, atMinutes: number): ExpireAt {
  if (given.offset !== undefined) compilation.issues.add([...path, 'offset'], 'is of every; daily has its time', 'key');
  const zone = given.zone ?? 'UTC';
  const isTemplate = /[{}]/.test(zone);
  if (isTemplate && !/^\{[^{}]+\}$/.test(zone)) {
    compilation.issues.add(
      [...path, 'zone'],
      'is one parameter or group alone, such as {timezone}, or an IANA time zone',
    );
  }
  if (!isTemplate) checkZone(compilation, [...path, 'zone'], zone);
  if (given.fallbackZone !== undefined && !isTemplate) {
    const message = 'is for a zone that a parameter or group names, such as {timezone}';
    compilation.issues.add([...path, 'fallbackZone'], message, 'key');
  }
  const { fallbackZone } = given;
  if (fallbackZone !== undefined) checkZone(compilation, [...path, 'fallbackZone'], fallbackZone);
  return { kind: 'daily', atMinutes, zone, fallbackZone, jitterMs: given.jitter };
}

function checkZone(compilation: Compilation, path: Path, zone: string): void {
  const problem = zoneProblem(zone);
  if (problem !== undefined) compilation.issues.add(path, problem);
}
