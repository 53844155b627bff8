import type { Cluster, Redis } from 'ioredis';

/** Between two refreshes of the slots for a node's sake: each one asks a node on a new connection. */
const refreshPauseMs = 250;

/**
 * Connects to every node of a cluster at once and not at its first command, and asks where the slots are as soon as a node is
 * lost: the library itself would find out within five seconds, and connect to a node that is back at the next command for it.
 */
export function keepNodes(cluster: Cluster): Cluster {
  let pending: NodeJS.Timeout | undefined;
  cluster.on('+node', (node: Redis) => {
    node.connect().catch(() => {
      // The node's `end` says so, and is acted upon below.
    });
  });
  cluster.on('-node', () => {
    pending ??= setTimeout(
      () => {
        pending = undefined;
        if (cluster.status === 'ready') cluster.refreshSlotsCache();
      },
      refreshPauseMs * (1 + Math.random()),
    ).unref();
  });
  return cluster;
}
