import type { CachePolicy } from '../core/route.ts';
import type { Compilation } from './compilation.ts';
import { isGiven } from './refused.ts';
import type { RouteInput } from './schema-routes.ts';
import type { Path } from './source.ts';

/** Options that say how far an `honour` route goes, each with what the other routes have in its place. */
const ofHonour = [
  ['forwardHeaders', 'where Vary keys the fields; list them under headers'],
  ['heuristicFraction', 'since ttl decides elsewhere'],
  ['heuristicMax', 'since ttl decides elsewhere'],
  ['storeErrors', 'since statusTtl names the stored ones elsewhere'],
  ['storeFields', 'since fields of one caller are not stored elsewhere'],
] as const;

/** Refuses what means nothing unless upstream is in charge, and what cannot be where it is. */
export function checkOfHonour(compilation: Compilation, path: Path, input: RouteInput): void {
  if (input.upstreamCacheControl === 'honour') {
    checkClientHeeded(compilation, [...path, 'clientCacheControl'], input);
    return;
  }
  for (const [option, elsewhere] of ofHonour) {
    if (!isGiven(() => input[option])) continue;
    const message = `only works with upstreamCacheControl: honour, ${elsewhere}`;
    compilation.issues.add([...path, option], message, 'key');
  }
}

function checkClientHeeded(compilation: Compilation, path: Path, input: RouteInput): void {
  if (input.clientCacheControl !== 'ignore') return;
  const message =
    'cannot be ignore with upstreamCacheControl: honour, where the directives of a request always count (RFC 9111 §5.2.1); leave it out';
  compilation.issues.add(path, message, 'key');
}

type HonourPolicy = Pick<CachePolicy, 'heuristicFraction' | 'heuristicMaxMs' | 'storeErrors' | 'storeFields'>;

/** RFC 9111 §4.2.2 names a tenth as the typical fraction. */
const typicalFraction = 0.1;
const day = 86_400_000;

/** How far the route goes in what it stores by RFC 9111 alone. */
export function honourPolicy(input: RouteInput): HonourPolicy {
  const honours = input.upstreamCacheControl === 'honour';
  return {
    heuristicFraction: honours ? (input.heuristicFraction ?? typicalFraction) : 0,
    heuristicMaxMs: honours ? (input.heuristicMax ?? day) : 0,
    storeErrors: input.storeErrors ?? 'resource',
    storeFields: input.storeFields ?? 'safe',
  };
}
