import { Redis } from 'ioredis';
import type { RedisConfig } from '../../core/config.ts';
import { Keeper } from './client-keeper.ts';
import { type ConnectionOptions, connectionOptions, type LinkSettings, masterOptions } from './client-options.ts';
import type { RedisBell } from './link.ts';

export interface BellOptions {
  readonly settings: LinkSettings;
  readonly channel: string;
  readonly onError: (message: string) => void;
}

/** A subscriber that the other side has forgotten hears nothing and owes nothing: only asking tells. */
const heartbeatMs = 1000;

/** Hears the channel on a connection of its own, so that a subscriber's restrictions concern nothing else. */
export function ringBell(config: RedisConfig, options: BellOptions): RedisBell & Pick<Keeper, 'close'> {
  const { settings, channel, onError } = options;
  const listeners: ((message: string) => void)[] = [];
  let turn = Math.floor(Math.random() * 16);
  const keeper = new Keeper(
    () => {
      const client = new Redis(bellOptions(config, settings, turn++));
      client.on('message', (_channel: string, message: string) => {
        for (const listener of listeners) listener(message);
      });
      client.on('ready', () => {
        // Not subscribed is as bad as not connected.
        client.subscribe(channel).catch(() => client.disconnect(true));
      });
      return client;
    },
    (message) => onError(`bell: ${message}`),
  );
  const heartbeat = setInterval(() => {
    const { client } = keeper;
    if (keeper.isReady) client.ping().catch(() => client.disconnect(true));
  }, heartbeatMs).unref();
  return {
    onRing: (callback) => {
      listeners.push(callback);
    },
    close: () => {
      clearInterval(heartbeat);
      return keeper.close();
    },
  };
}

/** A cluster repeats what is published on each of its nodes; where one is lost, the next is heard. */
function bellOptions(config: RedisConfig, settings: LinkSettings, turn: number): ConnectionOptions {
  const { topology } = config;
  if (topology.kind !== 'cluster') return masterOptions(config, settings);
  const node = topology.nodes[turn % topology.nodes.length];
  if (node === undefined) throw new TypeError('a cluster has nodes');
  return { ...connectionOptions(config, settings), retryStrategy: () => null, host: node.host, port: node.port };
}
