import type { UpstreamConfig } from '../core/config.ts';
import type { CachePolicy, StoreIf } from '../core/route.ts';
import type { Compilation } from './compilation.ts';
import { compileExpireAt } from './compile-expire.ts';
import { checkOfHonour, honourPolicy } from './compile-honour.ts';
import type { RouteInput } from './schema-routes.ts';
import { type Path, nodeAt } from './source.ts';
import { formatDuration, formatSize } from './units.ts';

const week = 7 * 86_400_000;

/** A route of the file, and its upstream: `undefined` where there is none of that name, or one with issues of its own. */
export interface GivenRoute {
  readonly input: RouteInput;
  readonly upstream: UpstreamConfig | undefined;
}

/** The caching rules of a route at a path of the file. */
export function compilePolicy(compilation: Compilation, path: Path, given: GivenRoute): CachePolicy {
  const { input } = given;
  const honours = input.upstreamCacheControl === 'honour';
  if (input.ttl === undefined && !honours && input.cache) {
    const message = 'is required, unless upstreamCacheControl is honour or cache is off';
    compilation.issues.add([...path, 'ttl'], message);
  }
  checkSize(compilation, path, input);
  checkOfHonour(compilation, path, input);
  checkSoftTimeout(compilation, [...path, 'softTimeout'], given);
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
    ...honourPolicy(input),
    expireAt: compileExpireAt(compilation, [...path, 'expireAt'], input),
    softTimeoutMs: input.softTimeout,
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

/** What is served after a soft timeout is what may be served after a failure: without that, or later, it changes nothing. */
function checkSoftTimeout(compilation: Compilation, path: Path, { input, upstream }: GivenRoute): void {
  if (input.softTimeout === undefined) return;
  if (input.upstreamCacheControl === 'honour') {
    const message =
      'works by rule, and on honour routes upstream is in charge of what is served stale; use ignore or cap';
    compilation.issues.add(path, message, 'key');
  } else if (input.staleIfError === 0) {
    compilation.issues.add(path, 'needs staleIfError: what may be given after a failure is given', 'key');
  } else if (upstream !== undefined && input.softTimeout >= upstream.totalTimeoutMs) {
    const message = `is below the totalTimeout of ${upstream.name}, which is ${formatDuration(upstream.totalTimeoutMs)}`;
    compilation.issues.add(path, message);
  }
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

/** GraphQL tells of a failure in a 200: such an answer is none to keep. Some servers send an empty list beside good data. */
const graphqlErrors = '$.errors[*]';

function compileStoreIf(compilation: Compilation, path: Path, input: RouteInput): StoreIf | undefined {
  const written = writtenStoreIf(compilation, path, input);
  if (input.content?.as !== 'graphql') return written;
  return { json: true, exists: written?.exists ?? [], absent: [...(written?.absent ?? []), graphqlErrors] };
}

function writtenStoreIf(compilation: Compilation, path: Path, input: RouteInput): StoreIf | undefined {
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
