import { Cluster, type Redis } from 'ioredis';

/** Connections whose commands of this turn of the event loop are held together. */
const held = new WeakSet<object>();

/**
 * GET, in one write to the socket with all else that is sent on the connection in this turn of the event loop: a write for
 * each was the dearest part of a read (a system call of 5 to 10 microseconds). Commands keep their order. Of a cluster, whose client picks
 * the connection itself, each is sent at once.
 */
export function readTogether(client: Redis | Cluster, key: string): Promise<Buffer | null> {
  if (!(client instanceof Cluster)) holdTogether(client.stream);
  return client.getBuffer(key);
}

/** There is no stream before the first attempt to connect, and one that is closed takes no harm. */
function holdTogether(stream: Redis['stream'] | undefined): void {
  if (stream === undefined || held.has(stream)) return;
  held.add(stream);
  stream.cork();
  // After what this turn has read from its sockets: all the requests that came together.
  setImmediate(() => {
    held.delete(stream);
    stream.uncork();
  });
}
