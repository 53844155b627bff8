import type { ExpireAt } from '../core/route.ts';
import type { Compilation } from './compilation.ts';
import { isGiven, unlessRefused } from './refused.ts';
import type { RouteInput } from './schema-routes.ts';
import type { Path } from './source.ts';
import { formatDuration } from './units.ts';
import { zoneProblem } from './words.ts';

type ExpireAtInput = NonNullable<RouteInput['expireAt']>;

/** The instants of a route at which upstream's data changes; `undefined` where it names none, or not one way. */
export function compileExpireAt(compilation: Compilation, path: Path, input: RouteInput): ExpireAt | undefined {
  const given = input.expireAt;
  if (given === undefined) return undefined;
  unlessRefused(() => {
    if (input.upstreamCacheControl !== 'honour') return;
    const message = 'bounds lifetimes by rule, and on honour routes upstream is in charge of them; use ignore or cap';
    compilation.issues.add(path, message, 'key');
  });
  const [isEvery, isDaily] = [isGiven(() => given.every), isGiven(() => given.daily)];
  if (isEvery === isDaily) {
    const message = isEvery ? 'has both every and daily; keep one of the two' : 'needs one of every and daily';
    compilation.issues.add(path, message);
  }
  if (isEvery) checkEvery(compilation, path, given);
  if (isEvery && !isDaily) refuseOfDaily(compilation, path, given);
  else checkZones(compilation, path, given);
  if (isDaily && !isEvery && isGiven(() => given.offset)) {
    compilation.issues.add([...path, 'offset'], 'is of every; daily has its time', 'key');
  }
  return isEvery === isDaily ? undefined : expireAtOf(given);
}

function expireAtOf(given: ExpireAtInput): ExpireAt | undefined {
  const { every, daily, jitter } = given;
  if (every !== undefined) return { kind: 'every', everyMs: every, offsetMs: given.offset ?? 0, jitterMs: jitter };
  if (daily === undefined) return undefined;
  const { zone = 'UTC', fallbackZone } = given;
  return { kind: 'daily', atMinutes: daily, zone, fallbackZone, jitterMs: jitter };
}

function checkEvery(compilation: Compilation, path: Path, given: ExpireAtInput): void {
  // As much jitter as `every` would leave nothing of the instants: a response could outlive the next one.
  for (const option of ['offset', 'jitter'] as const) {
    unlessRefused(() => {
      const everyMs = given.every ?? Infinity;
      if ((given[option] ?? 0) < everyMs) return;
      compilation.issues.add([...path, option], `is below every, which is ${formatDuration(everyMs)}`);
    });
  }
}

function refuseOfDaily(compilation: Compilation, path: Path, given: ExpireAtInput): void {
  for (const option of ['zone', 'fallbackZone'] as const) {
    const message = 'is of daily; every counts in UTC';
    if (isGiven(() => given[option])) compilation.issues.add([...path, option], message, 'key');
  }
}

function checkZones(compilation: Compilation, path: Path, given: ExpireAtInput): void {
  unlessRefused(() => {
    const zone = given.zone ?? 'UTC';
    const isTemplate = /[{}]/.test(zone);
    if (isTemplate && !/^\{[^{}]+\}$/.test(zone)) {
      compilation.issues.add(
        [...path, 'zone'],
        'is one parameter or group alone, such as {timezone}, or an IANA time zone',
      );
    }
    if (!isTemplate) checkZone(compilation, [...path, 'zone'], zone);
    if (isGiven(() => given.fallbackZone) && !isTemplate) {
      const message = 'is for a zone that a parameter or group names, such as {timezone}';
      compilation.issues.add([...path, 'fallbackZone'], message, 'key');
    }
  });
  unlessRefused(() => {
    const { fallbackZone } = given;
    if (fallbackZone !== undefined) checkZone(compilation, [...path, 'fallbackZone'], fallbackZone);
  });
}

function checkZone(compilation: Compilation, path: Path, zone: string): void {
  const problem = zoneProblem(zone);
  if (problem !== undefined) compilation.issues.add(path, problem);
}
