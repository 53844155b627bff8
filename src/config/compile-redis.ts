import { dirname, resolve } from 'node:path';
import type { RedisConfig, RedisTls, RedisTopology } from '../core/config.ts';
import type { Compilation } from './compilation.ts';
import { findRedis, type FoundRedis } from './redis-location.ts';

export type RedisInput = NonNullable<Compilation['input']['store']['redis']>;

const minute = 60_000;

/** `undefined` where the file has no such section, where nothing says where Redis is, or where there are issues. */
export function compileRedis(compilation: Compilation): RedisConfig | undefined {
  const { issues, input } = compilation;
  const section = input.store.redis;
  if (section === undefined || !issues.isClean(['store'])) return undefined;
  checkBounds(compilation, section);
  const found = findRedis(compilation, section);
  const tls = compileTls(compilation, section, found?.tls);
  if (!found) return undefined;
  checkTopology(compilation, section, found);
  return {
    topology: topologyOf(section, found),
    username: found.username,
    password: found.password,
    database: found.database,
    tls,
    keyPrefix: section.keyPrefix,
    timeoutMs: section.timeout,
    maxObjectBytes: section.maxObjectBytes,
    maxPendingBytes: section.maxPendingBytes,
    compressAboveBytes: section.compressAbove === 'off' ? undefined : section.compressAbove,
    breaker: {
      failures: section.breaker.failures,
      pauseMs: section.breaker.pause,
      maxPauseMs: section.breaker.maxPause,
    },
    coherence: section.coherence,
    leaseMs: section.lease ?? (section.coherence === 'strict' ? 2000 : 5 * minute),
    purgeWaitMs: section.purgeWait,
    minReplicas: section.minReplicas,
    purgeRetentionMs: section.purgeRetention,
    maxPurges: section.maxPurges,
    maxScopes: section.maxScopes,
    fillLockMs: section.fillLock,
    jobLeaseMs: section.jobLease,
    countersEveryMs: section.countersEvery,
  };
}

/** What no log line, metric, answer or page may show. */
export function redisSecrets(config: RedisConfig | undefined): readonly string[] {
  if (!config) return [];
  const { topology } = config;
  const passwords = [config.password, topology.kind === 'sentinel' ? topology.sentinelPassword : undefined];
  const given = passwords.filter((password) => password !== undefined);
  // As it stands in a URL too.
  return [...new Set(given.flatMap((password) => [password, encodeURIComponent(password)]))];
}

function checkBounds({ issues }: Compilation, section: RedisInput): void {
  const at = ['store', 'redis'];
  if (section.coherence === 'strict' && (section.lease ?? 0) > minute) {
    issues.add([...at, 'lease'], 'is at most 60s with coherence: strict, since a purge may have to wait for so long');
  }
  if (section.breaker.maxPause < section.breaker.pause) {
    issues.add([...at, 'breaker', 'maxPause'], 'is below pause, which is the first of the pauses');
  }
  if (section.maxPendingBytes < section.maxObjectBytes) {
    issues.add([...at, 'maxPendingBytes'], 'is below maxObjectBytes: the largest values would never be written');
  }
}

function checkTopology({ issues }: Compilation, section: RedisInput, found: FoundRedis): void {
  const at = ['store', 'redis'];
  if (found.at === 'cluster' && found.database !== 0) {
    issues.add([...at, 'database'], 'a Redis Cluster has database 0 alone');
  }
  if (found.at === 'sentinels') {
    if (section.name === undefined) {
      issues.add([...at, 'sentinels'], 'needs `name` beside it: the name by which the Sentinels know the master');
    }
    if (section.sentinelUsername !== undefined && section.sentinelPassword === '') {
      issues.add([...at, 'sentinelUsername'], 'needs a sentinelPassword');
    }
    return;
  }
  for (const option of ['name', 'sentinelUsername', 'sentinelPassword'] as const) {
    if ((section[option] ?? '') !== '') issues.add([...at, option], 'is for sentinels, of which there are none', 'key');
  }
}

function topologyOf(section: RedisInput, found: FoundRedis): RedisTopology {
  switch (found.at) {
    case 'server':
      return { kind: 'standalone', host: found.host, port: found.port };
    case 'cluster':
      return { kind: 'cluster', nodes: found.nodes };
    case 'sentinels':
      return {
        kind: 'sentinel',
        sentinels: found.nodes,
        name: section.name ?? '',
        sentinelUsername: section.sentinelUsername,
        sentinelPassword: section.sentinelPassword === '' ? undefined : section.sentinelPassword,
      };
  }
}

/** `byUrl`: whether a URL asks for TLS; `undefined` where there is no URL. */
function compileTls(compilation: Compilation, section: RedisInput, byUrl: boolean | undefined): RedisTls | undefined {
  const { issues } = compilation;
  const { enabled, serverName } = section.tls;
  const at = ['store', 'redis', 'tls'];
  if (enabled === false && byUrl === true) issues.add([...at, 'enabled'], 'is false, but the URL is rediss://');
  const files = compileTlsFiles(compilation, section);
  if (enabled ?? byUrl ?? false) return { ...files, serverName };
  const named = Object.entries({ ...files, serverName }).find(([, value]) => value !== undefined);
  if (named) issues.add([...at, named[0]], 'does nothing without `enabled: true` or a rediss:// URL', 'key');
  return undefined;
}

function compileTlsFiles(compilation: Compilation, section: RedisInput): Omit<RedisTls, 'serverName'> {
  const { issues, checks } = compilation;
  const at = ['store', 'redis', 'tls'];
  const fileOf = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(dirname(compilation.file), path);
  const [caFile, certFile, keyFile] = [section.tls.caFile, section.tls.certFile, section.tls.keyFile].map(fileOf);
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const [has, lacks] = certFile === undefined ? ['keyFile', 'certFile'] : ['certFile', 'keyFile'];
    issues.add([...at, has], `needs ${lacks} beside it`);
  }
  const problem = caFile === undefined ? undefined : checks.checkCaFile?.(caFile);
  if (problem !== undefined) issues.add([...at, 'caFile'], problem);
  if (certFile !== undefined && keyFile !== undefined) {
    const wrong = checks.checkCertFiles?.(certFile, keyFile);
    if (wrong) issues.add([...at, wrong.of], wrong.message);
  }
  return { caFile, certFile, keyFile };
}
