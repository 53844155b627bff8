import { readFileSync } from 'node:fs';
import type { ClusterOptions, RedisOptions } from 'ioredis';
import type { RedisConfig, RedisTls } from '../../core/config.ts';
import { saysReplica } from './redis-errors.ts';

/** The library's constructors do not take an `undefined` mapping of replies, which its own type for options allows. */
export type ConnectionOptions = Omit<RedisOptions, 'replyMapping'>;
export type NodesOptions = Omit<ClusterOptions, 'redisOptions'> & { readonly redisOptions: ConnectionOptions };

/** What differs between the connections of a process. */
export interface LinkSettings {
  readonly connectionName: string;
  /** A command is rejected after this long, and what it was sent on lives on. */
  readonly commandTimeoutMs: number;
  /** A connection that owes replies and says nothing for this long is given up. */
  readonly silenceMs: number;
  /** What {@link tlsOptions} read; absent or `undefined` for connections in the clear. */
  readonly tls?: ConnectionOptions['tls'];
}

/** Reads of some kilobytes: slower than this is as good as failed, unless the budget on the request path is longer. */
export function dataSettings(name: string, timeoutMs: number): LinkSettings {
  const commandTimeoutMs = Math.max(200, timeoutMs);
  return { connectionName: name, commandTimeoutMs, silenceMs: 3 * commandTimeoutMs };
}

/** Renewals must have failed early enough for another try within the lease; a long lease is no reason to wait long. */
export function controlSettings(name: string, leaseMs: number): LinkSettings {
  const commandTimeoutMs = Math.min(2000, Math.max(100, Math.round(0.4 * leaseMs)));
  return {
    connectionName: name,
    commandTimeoutMs,
    silenceMs: Math.min(1500, Math.max(600, Math.round(1.5 * commandTimeoutMs))),
  };
}

/** Milliseconds before the nth attempt in a row to connect: never long, so that service is back soon after Redis is. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(50 * attempt, 400) + Math.random() * 100;
}

/**
 * For one connection. Nothing waits in a queue for better times and nothing is sent again, since a write that arrives late
 * overwrites newer data. RESP2, because a server without a password refuses RESP3's greeting with one, and the library
 * then reads RESP2 as RESP3.
 */
export function connectionOptions(config: RedisConfig, settings: LinkSettings) {
  return {
    protocol: 2,
    connectionName: settings.connectionName,
    disableClientInfo: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableAutoPipelining: false,
    commandTimeout: settings.commandTimeoutMs,
    socketTimeout: settings.silenceMs,
    connectTimeout: 500,
    disconnectTimeout: 100,
    keepAlive: 10_000,
    maxLoadingRetryTime: 300,
    retryStrategy: reconnectDelayMs,
    ...(config.username === undefined ? {} : { username: config.username }),
    ...(config.password === undefined ? {} : { password: config.password }),
    ...(settings.tls === undefined ? {} : { tls: settings.tls }),
  } satisfies ConnectionOptions;
}

/** For a stand-alone server, and for the master that Sentinels name. */
export function masterOptions(config: RedisConfig, settings: LinkSettings): ConnectionOptions {
  const base = {
    ...connectionOptions(config, settings),
    db: config.database,
    // A demoted master still answers on the connection that it has.
    reconnectOnError: saysReplica,
  };
  const { topology } = config;
  switch (topology.kind) {
    case 'standalone':
      return { ...base, host: topology.host, port: topology.port };
    case 'sentinel':
      return {
        ...base,
        reconnectOnError: orAbandoned(),
        sentinels: topology.sentinels.map(({ host, port }) => ({ host, port })),
        name: topology.name,
        role: 'master',
        failoverDetector: true,
        updateSentinels: true,
        sentinelCommandTimeout: 500,
        sentinelRetryStrategy: reconnectDelayMs,
        sentinelReconnectStrategy: () => 2000,
        ...(topology.sentinelUsername === undefined ? {} : { sentinelUsername: topology.sentinelUsername }),
        ...(topology.sentinelPassword === undefined ? {} : { sentinelPassword: topology.sentinelPassword }),
        ...(base.tls === undefined ? {} : { sentinelTLS: base.tls, enableTLSForSentinelMode: true }),
      };
    case 'cluster':
      throw new TypeError('a cluster has no master');
  }
}

export function clusterOptions(config: RedisConfig, settings: LinkSettings): NodesOptions {
  return {
    redisOptions: connectionOptions(config, settings),
    enableOfflineQueue: false,
    scaleReads: 'master',
    maxRedirections: 3,
    slotsRefreshInterval: 5000,
    slotsRefreshTimeout: 500,
    clusterRetryStrategy: reconnectDelayMs,
    // A command that may have been carried out is not sent again.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    // Names stay names, since certificates are for names; a new connection resolves them anew.
    dnsLookup: (host, answer) => answer(null, host),
  };
}

/**
 * A master whose replicas have left it may be the one that was voted out: its Sentinels know, once a second at most, since
 * for a master that has just lost its replicas the answer is the same one.
 */
function orAbandoned(): (error: Error) => boolean {
  let askedAt = -Infinity;
  return (error) => {
    if (saysReplica(error)) return true;
    const now = performance.now();
    if (!error.message.startsWith('NOREPLICAS') || now - askedAt < 1000) return false;
    askedAt = now;
    return true;
  };
}

/** Reads the files of the certificates, and throws where that cannot be done. */
export function tlsOptions(tls: RedisTls | undefined) {
  if (tls === undefined) return undefined;
  return {
    ...(tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) }),
    ...(tls.certFile === undefined ? {} : { cert: readFileSync(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: readFileSync(tls.keyFile) }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
  };
}
