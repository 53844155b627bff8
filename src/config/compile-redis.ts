import { dirname, resolve } from 'node:path';
import { longestStrictLeaseMs, type RedisConfig, type RedisTls, type RedisTopology } from '../core/config.ts';
import type { Compilation } from './compilation.ts';
import { type FoundRedis, type LocatedRedis, locateRedis } from './redis-location.ts';
import { isGiven, unlessRefused } from './refused.ts';

export type RedisInput = NonNullable<Compilation['input']['store']['redis']>;

const minute = 60_000;

/** `undefined` where the file has no such section, where nothing says where Redis is, or where there are issues. */
export function compileRedis(compilation: Compilation): RedisConfig | undefined {
  const section = unlessRefused(() => compilation.input.store.redis);
  if (section === undefined) return undefined;
  checkBounds(compilation, section);
  const located = locateRedis(compilation, section);
  const tls = unlessRefused(() => compileTls(compilation, section, located));
  checkTopology(compilation, section, located);
  const { found } = located;
  return found && unlessRefused(() => redisOf(section, found, tls));
}

function redisOf(section: RedisInput, found: FoundRedis, tls: RedisTls | undefined): RedisConfig {
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
  unlessRefused(() => {
    if (section.coherence !== 'strict' || (section.lease ?? 0) <= longestStrictLeaseMs) return;
    issues.add([...at, 'lease'], 'is at most 60s with coherence: strict, since a purge may have to wait for so long');
  });
  unlessRefused(() => {
    if (section.breaker.maxPause >= section.breaker.pause) return;
    issues.add([...at, 'breaker', 'maxPause'], 'is below pause, which is the first of the pauses');
  });
  unlessRefused(() => {
    if (section.maxPendingBytes >= section.maxObjectBytes) return;
    issues.add([...at, 'maxPendingBytes'], 'is below maxObjectBytes: the largest values would never be written');
  });
}

/** Of what the file gives, whichever of it says where Redis is. */
function checkTopology({ issues }: Compilation, section: RedisInput, { at }: LocatedRedis): void {
  const place = ['store', 'redis'];
  unlessRefused(() => {
    if (!at.includes('cluster') || (section.database ?? 0) === 0) return;
    issues.add([...place, 'database'], 'a Redis Cluster has database 0 alone');
  });
  if (at.includes('sentinels')) {
    if (!isGiven(() => section.name)) {
      issues.add([...place, 'sentinels'], 'needs `name` beside it: the name by which the Sentinels know the master');
    }
    if (isGiven(() => section.sentinelUsername) && !isGiven(() => section.sentinelPassword)) {
      issues.add([...place, 'sentinelUsername'], 'needs a sentinelPassword');
    }
    return;
  }
  if (at.length === 0) return;
  for (const option of ['name', 'sentinelUsername', 'sentinelPassword'] as const) {
    if (!isGiven(() => section[option])) continue;
    issues.add([...place, option], 'is for sentinels, of which there are none', 'key');
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

function compileTls(compilation: Compilation, section: RedisInput, located: LocatedRedis): RedisTls | undefined {
  const { issues } = compilation;
  const { tls } = section;
  const at = ['store', 'redis', 'tls'];
  const files = compileTlsFiles(compilation, tls);
  unlessRefused(() => {
    if (tls.enabled !== false || located.byUrl !== true) return;
    issues.add([...at, 'enabled'], 'is false, but the URL is rediss://');
  });
  const isOn = tls.enabled ?? located.byUrl ?? false;
  if (isOn === 'unknown') return undefined;
  if (isOn) return { ...files, serverName: tls.serverName };
  for (const option of ['caFile', 'certFile', 'keyFile', 'serverName'] as const) {
    if (!isGiven(() => tls[option])) continue;
    issues.add([...at, option], 'does nothing without `enabled: true` or a rediss:// URL', 'key');
  }
  return undefined;
}

function compileTlsFiles(compilation: Compilation, tls: RedisInput['tls']): Omit<RedisTls, 'serverName'> {
  const { issues, checks } = compilation;
  const at = ['store', 'redis', 'tls'];
  const fileOf = (option: 'caFile' | 'certFile' | 'keyFile'): string | undefined => {
    const path = unlessRefused(() => tls[option]);
    return path === undefined ? undefined : resolve(dirname(compilation.file), path);
  };
  const [caFile, certFile, keyFile] = [fileOf('caFile'), fileOf('certFile'), fileOf('keyFile')];
  if (isGiven(() => tls.certFile) !== isGiven(() => tls.keyFile)) {
    const [has, lacks] = isGiven(() => tls.keyFile) ? ['keyFile', 'certFile'] : ['certFile', 'keyFile'];
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
