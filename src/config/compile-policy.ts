import type { CachePolicy, StoreIf } from '../core/route.ts';
import type { Compilation } from './compilation.ts';
import type { RouteInput } from './schema-routes.ts';
import { type Path, nodeAt } from './source.ts';
import { formatSize } from './units.ts';

const week = 7 * 86_400_000;

/** The caching rules of a route at a path of the file. */
export function compilePolicy(compilation: Compilation, path: Path, input: RouteInput): CachePolicy {
  const honours = input.upstreamCacheControl === 'honour';
  if (input.ttl === undefined && !honours && input.cache) {
    const message = 'is required, unless upstreamCacheControl is honour or cache is off';
    compilation.issues.add([...path, 'ttl'], message);
  }
  checkSize(compilation, path, input);
  return {
    upstreamCacheControl: input.upstreamCacheControl,
    clientCacheControl: input.clientCacheControl ?? (honours ? 'honour' : 'ignore'),
    // A relayed route keeps nothing, but its policy has the form of all.
    ttlMs: input.ttl ?? (honours ? undefined : 0),
    staleWhileRevalidateMs: input.staleWhileRevalidate,
    staleIfErrorMs: input.staleIfError,
    retainMs: input.retain ?? defaultRetainMs(input),
    // One lifetime more, so that it can be validated when it is asked for again; what was written down caps all.
    keepForValidationMs: input.retain === undefined && !honours ? Math.min(input.ttl ?? 0, week) : 0,
    statusTtlMs: new Map(Object.entries(input.statusTtl).map(([status, ttlMs]) => [Number(status), ttlMs])),
    heuristicFraction: 0,
    heuristicMaxMs: 0,
    storeErrors: 'resource',
    storeFields: 'safe',
    expireAt: undefined,
    softTimeoutMs: undefined,
    storeIf: compileStoreIf(compilation, [...path, 'storeIf'], input),
    maxStoredBytes: input.maxStoredBytes,
  };
}

function defaultRetainMs(input: RouteInput): number {
  // Upstream may give a longer lifetime than `ttl`, and what is stale can still be validated (RFC 9111 §4.3).
  if (input.ttl === undefined || input.upstreamCacheControl === 'honour') return Math.max(week, input.ttl ?? 0);
  const wanted = input.ttl + Math.max(input.staleWhileRevalidate, input.staleIfError);
  return Math.min(wanted, Math.max(week, input.ttl));
}

function checkSize(compilation: Compilation, path: Path, input: RouteInput): void {
  if (!compilation.issues.isClean(['store'])) return;
  const room = compilation.input.store.memory.maxBytes;
  const message = `is larger than the whole memory tier (store.memory.maxBytes is ${formatSize(room)})`;
  const place = [...path, 'maxStoredBytes'];
  // The default gives way to a small memory tier; what was written down does not.
  const written = nodeAt(compilation.root, place) !== undefined;
  if (written && input.maxStoredBytes > room) compilation.issues.add(place, message);
}

function compileStoreIf(compilation: Compilation, path: Path, input: RouteInput): StoreIf | undefined {
  const given = input.storeIf;
  if (!given) return undefined;
  const lists = { exists: given.exists ?? [], absent: given.absent ?? [] };
  for (const name of ['exists', 'absent'] as const) {
    for (const [index, query] of lists[name].entries()) {
      const problem = compilation.checks.checkQuery?.(query);
      if (problem !== undefined) compilation.issues.add([...path, name, index], problem);
    }
  }
  if (!given.json) {
    const useless = lists.exists.length + lists.absent.length === 0;
    const message = useless
      ? 'false checks nothing; leave storeIf out'
      : 'cannot be false: exists and absent need JSON';
    compilation.issues.add([...path, 'json'], message);
  }
  return { json: true, ...lists };
}
