import type { RedisConfig } from '../../core/config.ts';
import { RedisFailure, type RedisLink, type RedisScript } from './link.ts';

/** Something about the Redis server that costs hits or a guarantee. Nothing secret is in it. */
export interface RedisFinding {
  readonly concern: 'version' | 'eviction-policy' | 'replication-id' | 'split-brain' | 'unchecked';
  /** A sentence for the operator, with what to do. */
  readonly message: string;
}

/** What INFO says of the server; `undefined` or empty where it does not. */
export interface RedisSettings {
  /** `7.0.15`; Valkey names the Redis version that it is compatible with. */
  readonly version: string | undefined;
  /** 0: no limit, so that nothing is ever evicted. */
  readonly maxMemoryBytes: number;
  readonly evictionPolicy: string | undefined;
  /** Of this replication history; another one after a fail-over or a restart. */
  readonly replicationId: string | undefined;
  readonly replicas: number;
  readonly clustered: boolean;
}

export interface RedisWatch {
  readonly link: Pick<RedisLink, 'isReady' | 'onReady' | 'run'>;
  /** A key of the node that holds the purge log. */
  readonly key: string;
  readonly config: Pick<RedisConfig, 'minReplicas'>;
  readonly onFinding: (finding: RedisFinding) => void;
}

/**
 * Looks at the server's settings each time that the connection has become usable (a fail-over may lead to a server that is set
 * up otherwise) and tells each finding once. Holds nothing up, and never throws: whatever the settings are, no answer is wrong
 * for their sake, save where the message says so.
 */
export function watchRedisSettings(watch: RedisWatch): void {
  const told = new Set<string>();
  const check = async (): Promise<void> => {
    for (const finding of await findings(watch)) {
      if (told.has(finding.message)) continue;
      told.add(finding.message);
      watch.onFinding(finding);
    }
  };
  watch.link.onReady(() => void check());
  if (watch.link.isReady) void check();
}

async function findings({ link, key, config }: RedisWatch): Promise<readonly RedisFinding[]> {
  try {
    return judgeSettings(parseInfo(await link.run(infoScript, [key], [])), config);
  } catch (error) {
    // What a reconnection mends is looked at again after it.
    if (error instanceof RedisFailure && passing.has(error.kind)) return [];
    const why = error instanceof Error ? error.message : String(error);
    return [
      { concern: 'unchecked', message: `the settings of Redis could not be read, its user may lack INFO: ${why}` },
    ];
  }
}

const passing: ReadonlySet<string> = new Set(['closed', 'timeout', 'loading', 'clusterdown']);

/**
 * INFO by way of a script, since that is how the purge log asks as well: where it is forbidden, no lease can be had. Without the
 * first line that Redis 7 reads flags from, so that an older server can be told from a broken one. One section at a time:
 * several at once are refused before Redis 7.
 */
const infoScript: RedisScript = {
  name: 'forecacheSettings',
  keys: 1,
  lua: `local text = ''
for _, section in ipairs({'server', 'memory', 'replication', 'cluster'}) do
  text = text .. redis.call('INFO', section) .. '\\r\\n'
end
return text`,
  reply: 'text',
};

/** Reads the reply of INFO. Throws where it is none. */
export function parseInfo(reply: unknown): RedisSettings {
  if (typeof reply !== 'string') throw new TypeError('INFO is not text');
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(reply)?.[1];
  return {
    version: field('redis_version'),
    maxMemoryBytes: Number(field('maxmemory') ?? 0),
    evictionPolicy: field('maxmemory_policy'),
    replicationId: field('master_replid'),
    replicas: Number(field('connected_slaves') ?? 0),
    clustered: field('cluster_enabled') === '1',
  };
}

/** What an operator should know of these settings. Pure; none for a server as it should be. */
export function judgeSettings(settings: RedisSettings, config: RedisWatch['config']): readonly RedisFinding[] {
  const found: RedisFinding[] = [];
  const add = (concern: RedisFinding['concern'], message: string | undefined): void => {
    if (message !== undefined) found.push({ concern, message });
  };
  add('version', versionConcern(settings.version));
  add('eviction-policy', evictionConcern(settings));
  add('replication-id', replicationConcern(settings.replicationId));
  add('split-brain', splitConcern(settings, config.minReplicas));
  return found;
}

/** Script flags, which let purges through when memory is full, came with it. */
const leastVersion = 7;

function versionConcern(version: string | undefined): string | undefined {
  if (version === undefined) return 'Redis does not say its version; 7.0 or later is needed';
  if (Number.parseInt(version, 10) >= leastVersion) return undefined;
  return `Redis is ${version}, but 7.0 or later is needed: no purge can be made, and nothing is served from store`;
}

function evictionConcern({ maxMemoryBytes, evictionPolicy }: RedisSettings): string | undefined {
  if (maxMemoryBytes === 0 || evictionPolicy === undefined) return undefined;
  const advice = 'set maxmemory-policy volatile-lfu';
  if (evictionPolicy === 'noeviction') {
    return `maxmemory-policy is noeviction: when Redis is full, new responses are not stored until old ones expire; ${advice}`;
  }
  if (!evictionPolicy.startsWith('allkeys-')) return undefined;
  return (
    `maxmemory-policy is ${evictionPolicy}: when Redis is full it may evict the purge log and the counters of the fleet, ` +
    `and without the log all that is stored is fetched anew; ${advice}`
  );
}

function replicationConcern(id: string | undefined): string | undefined {
  if (id !== undefined && id !== '') return undefined;
  return (
    'INFO replication has no master_replid: a fail-over to a server that lacks the last purges cannot be noticed, ' +
    'so what they covered may be served again; this server is not supported'
  );
}

function splitConcern({ replicas, clustered }: RedisSettings, minReplicas: number): string | undefined {
  // The masters of a cluster stop by themselves when they have lost the majority. With more than half of all servers on the
  // side of a master there is none on another side that has enough.
  if (clustered || 2 * (1 + minReplicas) > 1 + replicas) return undefined;
  return (
    `Redis has replicas (${replicas}), but store.redis.minReplicas is ${minReplicas}: after a fail-over in a divided network a ` +
    'proxy on one side may serve what was purged on the other; ' +
    `set minReplicas to ${Math.floor((replicas + 1) / 2)}, so that a master needs more than half of all servers`
  );
}
