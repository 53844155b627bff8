import { Cluster, Redis } from 'ioredis';
import type { RedisConfig } from '../../core/config.ts';
import { ringBell } from './client-bell.ts';
import { guardLibrary } from './client-guard.ts';
import { Keeper } from './client-keeper.ts';
import {
  clusterOptions,
  controlSettings,
  dataSettings,
  type LinkSettings,
  masterOptions,
  tlsOptions,
} from './client-options.ts';
import { keepNodes } from './client-nodes.ts';
import { Reads } from './client-reads.ts';
import { connectionOf, nodeOf, waitForReplicas } from './client-replicas.ts';
import { redisKeys } from './keys.ts';
import { type ControlLink, RedisFailure, type RedisLinks, type RedisScript } from './link.ts';
import { redisFailure } from './redis-errors.ts';
import { settleStringMethods } from './string-methods.ts';

export interface ConnectOptions {
  /** Hears why there is no connection, once per trouble. The message holds no credential. */
  readonly onError: (message: string) => void;
  /** Of the connections, in Redis' client list; default `forecache`. */
  readonly name?: string;
}

/**
 * Connects, and goes on trying for as long as it takes; nothing that Redis does ends the process. Throws only where a
 * certificate file cannot be read.
 */
export function connectRedis(config: RedisConfig, { onError, name = 'forecache' }: ConnectOptions): RedisLinks {
  guardLibrary();
  settleStringMethods();
  const keep = (settings: LinkSettings, label: string): Keeper =>
    new Keeper(
      (onUsable) => makeClient(config, settings, onUsable),
      (message) => onError(`${label}: ${message}`),
    );
  // Once: a file that is replaced or gone later must not be in the way of a connection.
  const tls = tlsOptions(config.tls);
  const control = { ...controlSettings(name, config.leaseMs), tls };
  const data = { ...dataSettings(name, config.timeoutMs), tls };
  const keepers = { data: keep(data, 'data'), control: keep(control, 'control') };
  const bell = ringBell(config, { settings: control, channel: redisKeys(config.keyPrefix).bell, onError });
  return {
    data: linkTo(keepers.data, data),
    control: linkTo(keepers.control, control),
    bell,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([keepers.data.close(), keepers.control.close(), bell.close()]);
    },
  };
}

function makeClient(config: RedisConfig, settings: LinkSettings, onUsable: () => void): Redis | Cluster {
  const { topology } = config;
  if (topology.kind !== 'cluster') return new Redis(masterOptions(config, settings));
  const nodes = topology.nodes.map(({ host, port }) => ({ host, port }));
  return keepNodes(new Cluster(nodes, clusterOptions(config, settings)), onUsable);
}

/** Of the time that a command has: what is sent behind a wait has the rest. */
const waitPart = 0.6;

function linkTo(keeper: Keeper, { commandTimeoutMs }: Pick<LinkSettings, 'commandTimeoutMs'>): ControlLink {
  const explain = (error: unknown): RedisFailure => explanationOf(keeper, error);
  const mapped = <T>(reply: Promise<T>): Promise<T> =>
    reply.catch((error: unknown) => {
      throw explain(error);
    });
  const reads = new Reads({ timeoutMs: commandTimeoutMs, explain });
  return {
    get isReady() {
      return keeper.isReady;
    },
    nodeOf: (key) => nodeOf(keeper.client, key),
    get: (key) => reads.get(keeper.client, key),
    tellOf: (key, hearer) => reads.tell(keeper.client, key, hearer),
    unlink: async (key) => {
      await mapped(keeper.client.unlink(key));
    },
    run: (script, keys, args) => mapped(runScript(keeper.client, script, [...keys, ...args])),
    onReady: (callback) => keeper.onReady(callback),
    connectionOf: (key) => connectionOf(keeper.client, key),
    wait: (key, { timeoutMs, ...wait }) => {
      const most = { ...wait, timeoutMs: Math.min(timeoutMs, waitPart * commandTimeoutMs) };
      return mapped(waitForReplicas(keeper.client, key, most));
    },
  };
}

function explanationOf(keeper: Keeper, error: unknown): RedisFailure {
  const failure = redisFailure(error);
  const { barring } = keeper;
  if (failure.kind !== 'closed' || barring === undefined) return failure;
  return new RedisFailure(barring.kind, barring.message, { isUnsent: failure.isUnsent });
}

/** Sent whole the first time on a connection and by its digest from then on; where Redis has forgotten it, whole again. */
function runScript(
  client: Redis | Cluster,
  script: RedisScript,
  args: readonly (string | number | Buffer)[],
): Promise<unknown> {
  const command = `forecache_${script.name}`;
  if (!(command in client)) client.defineCommand(command, { lua: script.lua, numberOfKeys: script.keys });
  const run: unknown = Reflect.get(client, script.reply === 'bytes' ? `${command}Buffer` : command);
  if (typeof run !== 'function') throw new TypeError(`${script.name} is no script`);
  return Reflect.apply(run, client, args);
}
