import { Cluster, Command, type Redis } from 'ioredis';
import { RedisFailure, type ReplicaWait } from './link.ts';

/** Of a cluster, the address of the master that was last known to serve the key's slot. */
export function nodeOf(client: Redis | Cluster, key: string): string | undefined {
  return client instanceof Cluster ? client.slots[new Command('get', [key]).getSlot()]?.[0] : undefined;
}

/** See `ControlLink.connectionOf`. */
export function connectionOf(client: Redis | Cluster, key: string): object | undefined {
  const server = serverOf(client, key);
  return server?.status === 'ready' ? server.stream : undefined;
}

/** See `ControlLink.wait`. WAIT has no key by which a cluster's client could tell where it belongs. */
export async function waitForReplicas(
  client: Redis | Cluster,
  key: string,
  { connection, replicas, timeoutMs }: ReplicaWait,
): Promise<number> {
  const server = serverOf(client, key);
  if (server === undefined || connectionOf(client, key) !== connection) {
    throw new RedisFailure('closed', 'The connection on which was written is gone');
  }
  // 0 would be for ever.
  return server.wait(replicas, Math.max(1, Math.floor(timeoutMs)));
}

function serverOf(client: Redis | Cluster, key: string): Redis | undefined {
  if (!(client instanceof Cluster)) return client;
  const address = nodeOf(client, key);
  return client.nodes('all').find(({ options: { host, port } }) => `${host}:${port}` === address);
}
