import type { ConfigNote, ListenerConfig, RedisConfig, ServerConfig, AdminConfig } from '../core/config.ts';
import type { Route } from '../core/route.ts';
import { noteCaching } from './caching-notes.ts';
import type { Compilation } from './compilation.ts';
import { pathOfListener } from './compile-server.ts';
import { noteCredentials, noteRedisPasswords } from './credential-notes.ts';
import { noteForward } from './forward-notes.ts';
import type { IssueList } from './issue.ts';
import { notePaths } from './path-notes.ts';
import { accountVariables, addressVariables } from './redis-location.ts';
import { longestPurgeRetentionMs } from './schema-redis.ts';
import { isWritten, type Path, nodeAt } from './source.ts';
import { formatDuration } from './units.ts';

/** The parts of a sound configuration that can be hardly meant. */
interface Sound {
  readonly server: ServerConfig;
  readonly admin: AdminConfig;
  /** `undefined`: memory only. */
  readonly redis: RedisConfig | undefined;
  /** By their place in the file. */
  readonly routes: ReadonlyMap<number, Route>;
}

/** What is allowed and works, but is hardly what was meant. */
export function findNotes(compilation: Compilation, sound: Sound): readonly ConfigNote[] {
  const notes = compilation.issues.another();
  notePorts(notes, [...sound.server.listeners, { ...sound.admin, name: 'admin' }]);
  noteRedis(notes, compilation, sound.redis);
  noteRedisPasswords(notes, compilation);
  if (sound.redis !== undefined) notePurgeRetention(notes, compilation, sound.redis, sound.routes);
  noteJitter(notes, compilation);
  noteLocations(notes, compilation);
  for (const name of Object.keys(compilation.input.upstreams)) noteCredentials(notes, compilation, name);
  for (const [index, route] of sound.routes) {
    noteForward(notes, ['routes', index], route);
    notePaths(notes, ['routes', index], route);
    noteUnused(notes, compilation, ['routes', index], route);
    const input = compilation.input.routes[index];
    if (input && route.cache === 'on') noteCaching(notes, compilation, { path: ['routes', index], input, route });
  }
  return notes.sorted();
}

function isEverywhere(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** On most systems the second of two such listeners cannot be opened; on some it takes the connections of its address. */
function notePorts(notes: IssueList, listeners: readonly ListenerConfig[]): void {
  for (const [index, listener] of listeners.entries()) {
    const other = listeners
      .slice(0, index)
      .find((one) => one.port === listener.port && (isEverywhere(one.host) || isEverywhere(listener.host)));
    if (listener.port === 0 || !other) continue;
    const place = pathOfListener(other.name).join('.');
    const message = `shares port ${listener.port} with ${place} (${other.host}), and one of them is on all addresses; most systems refuse the second`;
    notes.add(pathOfListener(listener.name), message);
  }
}

/** A section without an address is how a file leaves it to the environment; half an address is hardly meant. */
function noteRedis(notes: IssueList, { env, root, input }: Compilation, redis: RedisConfig | undefined): void {
  const setOf = (names: readonly string[]): string | undefined => names.find((one) => (env[one] ?? '') !== '');
  const section = input.store.redis;
  if (section !== undefined && nodeAt(root, ['store', 'redis'])?.kind === 'map') {
    if (redis !== undefined) return;
    // Kubernetes and Docker set the port by themselves where a service is called redis.
    const variable = setOf(accountVariables.filter((one) => !/^(tcp|udp):/.test(env[one] ?? '')));
    const option = (['username', 'password', 'database'] as const).find((one) => (section[one] ?? '') !== '');
    const said = option ?? variable;
    if (said === undefined) return;
    const message = `${said} is set, but nothing says where Redis is (url, sentinels, cluster, REDIS_URL, REDIS_HOST), so this proxy keeps to memory`;
    notes.add(['store', 'redis'], message);
    return;
  }
  const name = setOf(addressVariables);
  if (name === undefined) return;
  notes.add(
    ['store', 'redis'],
    `${name} is set, but without a section store.redis this proxy keeps to memory; others do not share it`,
  );
}

/**
 * What was stored before the oldest purge that is kept is not served, so a response lives for `purgeRetention` at most once
 * anything has been purged. Not told where the option cannot be set any higher, and of what upstream alone decides.
 */
function notePurgeRetention(
  notes: IssueList,
  { input }: Compilation,
  { purgeRetentionMs }: RedisConfig,
  routes: ReadonlyMap<number, Route>,
): void {
  const kept = [...routes].flatMap(([index, { cache, name, policy }]) => {
    const isByRule = input.routes[index]?.retain !== undefined || policy.upstreamCacheControl !== 'honour';
    return cache === 'on' ? [{ name, forMs: isByRule ? policy.retainMs : (policy.ttlMs ?? 0) }] : [];
  });
  const longest = kept.toSorted((a, b) => b.forMs - a.forMs)[0];
  if (longest === undefined || purgeRetentionMs >= Math.min(longest.forMs, longestPurgeRetentionMs)) return;
  const message = `purges are kept for ${formatDuration(purgeRetentionMs)}, but route ${longest.name} keeps responses for ${formatDuration(longest.forMs)}: what was stored before the oldest purge that is kept is not served`;
  notes.add(['store', 'redis', 'purgeRetention'], message);
}

/** Runs are moved within their interval; what moves one past the next leaves that out. */
function noteJitter(notes: IssueList, { input }: Compilation): void {
  for (const [index, { every, jitter }] of (input.warm.jobs ?? []).entries()) {
    if (jitter === undefined || jitter <= every) continue;
    const message = `is longer than every (${formatDuration(every)}), so that is not kept: two runs may be ${formatDuration(every + jitter)} apart`;
    notes.add(['warm', 'jobs', index, 'jitter'], message);
  }
}

function noteLocations(notes: IssueList, { input }: Compilation): void {
  const { locations, jobs = [] } = input.warm;
  const isUsed = jobs.some((job) => Object.values(job.with).some((value) => value.includes('{location}')));
  if (locations === undefined || isUsed) return;
  notes.add(['warm', 'locations'], 'does nothing: no job has {location} in its with', 'key');
}

/** Options that a relayed request never comes to. */
const ofCaching = [
  'ttl',
  'staleWhileRevalidate',
  'staleIfError',
  'retain',
  'upstreamCacheControl',
  'clientCacheControl',
  'statusTtl',
  'storeIf',
  'maxStoredBytes',
  'maxKeyBytes',
  'maxKeys',
  'expireAt',
  'softTimeout',
  'heuristicFraction',
  'heuristicMax',
  'storeErrors',
  'storeFields',
  'query',
  'pathParams',
  'unknownQuery',
  'headers',
  'forwardHeaders',
  'tags',
  'tagsFrom',
  'maxUpstreamTags',
  'content',
  'noVarySearch',
  'showKey',
];

function noteUnused(notes: IssueList, compilation: Compilation, path: Path, route: Route): void {
  if (route.cache === 'on') return;
  const masks = [...route.pathParams.values()].some((rule) => rule.secret);
  const written = ofCaching.filter((option) => {
    // What a secret group holds is masked in what is told of a relayed request too.
    if (option === 'pathParams' && masks) return false;
    return isWritten(compilation.root, [...path, option]);
  });
  if (written.length === 0) return;
  const message = `requests are relayed as they come, so these options do nothing: ${written.join(', ')}`;
  notes.add([...path, 'cache'], message);
}
