import type { CachePolicy, StoreIf } from '../core/route.ts';
import type { Compilation } from './compilation.ts';
import { compileExpireAt } from './compile-expire.ts';
import { checkOfHonour, honourPolicy } from './compile-honour.ts';
import { isGiven, readable, unlessRefused } from './refused.ts';
import type { RouteInput } from './schema-routes.ts';
import type { UpstreamInput } from './schema-upstreams.ts';
import { type Path, nodeAt } from './source.ts';
import { formatDuration, formatSize } from './units.ts';

const week = 7 * 86_400_000;

/** A route of the file, and its upstream: `undefined` where there is none of that name. */
export interface GivenRoute {
  readonly input: RouteInput;
  readonly upstream: UpstreamInput | undefined;
}

/** The caching rules of a route at a path of the file; `undefined` where something that they need was refused. */
export function compilePolicy(compilation: Compilation, path: Path, given: GivenRoute): CachePolicy | undefined {
  const { input } = given;
  unlessRefused(() => {
    if (isGiven(() => input.ttl) || input.upstreamCacheControl === 'honour' || !input.cache) return;
    const message = 'is required, unless upstreamCacheControl is honour or cache is off';
    compilation.issues.add([...path, 'ttl'], message);
  });
  unlessRefused(() => checkSize(compilation, path, input));
  unlessRefused(() => checkOfHonour(compilation, path, input));
  unlessRefused(() => checkSoftTimeout(compilation, [...path, 'softTimeout'], given));
  const expireAt = unlessRefused(() => compileExpireAt(compilation, [...path, 'expireAt'], input));
  const storeIf = unlessRefused(() => compileStoreIf(compilation, [...path, 'storeIf'], input));
  return unlessRefused(() => {
    const honours = input.upstreamCacheControl === 'honour';
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
      expireAt,
      softTimeoutMs: input.softTimeout,
      storeIf,
      maxStoredBytes: input.maxStoredBytes,
    };
  });
}

function defaultRetainMs(input: RouteInput): number {
  // Upstream may give a longer lifetime than `ttl`, and what is stale can still be validated (RFC 9111 §4.3).
  if (input.ttl === undefined || input.upstreamCacheControl === 'honour') return Math.max(week, input.ttl ?? 0);
  const wanted = input.ttl + Math.max(input.staleWhileRevalidate, input.staleIfError);
  return Math.min(wanted, Math.max(week, input.ttl));
}

/** What is served after a soft timeout is what may be served after a failure: without that, or later, it changes nothing. */
function checkSoftTimeout({ issues }: Compilation, path: Path, { input, upstream }: GivenRoute): void {
  if (!isGiven(() => input.softTimeout)) return;
  unlessRefused(() => {
    if (input.upstreamCacheControl !== 'honour') return;
    const message =
      'works by rule, and on honour routes upstream is in charge of what is served stale; use ignore or cap';
    issues.add(path, message, 'key');
  });
  unlessRefused(() => {
    if (input.upstreamCacheControl === 'honour' || input.staleIfError !== 0) return;
    issues.add(path, 'needs staleIfError: what may be given after a failure is given', 'key');
  });
  unlessRefused(() => {
    if (input.upstreamCacheControl === 'honour' || upstream === undefined) return;
    const totalTimeoutMs = upstream.totalTimeout ?? upstream.timeout;
    if ((input.softTimeout ?? 0) < totalTimeoutMs) return;
    issues.add(path, `is below the totalTimeout of ${input.upstream}, which is ${formatDuration(totalTimeoutMs)}`);
  });
}

function checkSize(compilation: Compilation, path: Path, input: RouteInput): void {
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
  const { issues } = compilation;
  const given = input.storeIf;
  if (!given) return undefined;
  for (const name of ['exists', 'absent'] as const) {
    for (const [index, query] of readable(unlessRefused(() => given[name]) ?? [])) {
      const problem = compilation.checks.checkQuery?.(query);
      if (problem !== undefined) issues.add([...path, name, index], problem);
    }
  }
  unlessRefused(() => {
    if (given.json) return;
    const useless = !isGiven(() => given.exists) && !isGiven(() => given.absent);
    const message = useless
      ? 'false checks nothing; leave storeIf out'
      : 'cannot be false: exists and absent need JSON';
    issues.add([...path, 'json'], message);
  });
  return { json: true, exists: given.exists ?? [], absent: given.absent ?? [] };
}
