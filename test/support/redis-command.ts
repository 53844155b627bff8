import { readFileSync } from 'node:fs';
import { Redis, ReplyError } from 'ioredis';

import type { RedisTlsFiles } from './redis.ts';

export interface RedisAddress {
  readonly port: number;
  readonly password: string | undefined;
  readonly tls: RedisTlsFiles | undefined;
}

const patienceMs = 5000;

/**
 * One command on a connection of its own, and what redis-cli would print of its reply, trimmed: errors are texts as well, and
 * lists have a line for each member. To start a process for each command takes more of the machine than what is tested. Rejects
 * where nothing answers within five seconds.
 */
export async function runRedisCommand(address: RedisAddress, [name = '', ...args]: readonly string[]): Promise<string> {
  const client = new Redis(optionsOf(address));
  // Of connecting, which is told of by `connect` as well.
  client.on('error', () => {});
  try {
    await client.connect();
    return textOf(await client.call(name, ...args)).trim();
  } catch (error) {
    // What Redis said, and not that it cannot be asked.
    if (error instanceof Error && error instanceof ReplyError) return error.message.trim();
    throw error;
  } finally {
    client.disconnect();
  }
}

function optionsOf({ port, password, tls }: RedisAddress) {
  return {
    port,
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? { host: '127.0.0.1' } : { host: 'localhost', tls: filesOf(tls) }),
    connectTimeout: patienceMs,
    commandTimeout: patienceMs,
    lazyConnect: true,
    // Nothing is sent but the command.
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2 as const,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  };
}

function filesOf({ caFile, certFile, keyFile, clients }: RedisTlsFiles) {
  const own = clients === true ? { cert: readFileSync(certFile), key: readFileSync(keyFile) } : {};
  return { ca: readFileSync(caFile), ...own };
}

/** The library makes objects of some replies. */
function textOf(reply: unknown): string {
  if (typeof reply === 'string') return reply;
  if (typeof reply === 'number' || typeof reply === 'bigint') return String(reply);
  if (Array.isArray(reply)) return reply.map(textOf).join('\n');
  return typeof reply === 'object' && reply !== null ? Object.entries(reply).flat().map(textOf).join('\n') : '';
}
