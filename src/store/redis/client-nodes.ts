import type { Cluster, Redis } from 'ioredis';

/** Between two refreshes of the slots for a node's sake: each one asks a node on a new connection. */
const refreshPauseMs = 250;

/** Nodes that become ready within this long are told of once. */
const togetherMs = 10;

/**
 * Connects to every node of a cluster as soon as the cluster is known, and not at a node's first command, and asks where the
 * slots are as soon as a node is lost: the library itself would find out within five seconds, and connect to a node that is
 * back at the next command for it. `onUsable` hears whenever nodes have become ready.
 */
export function keepNodes(cluster: Cluster, onUsable: () => void): Cluster {
  let refresh: NodeJS.Timeout | undefined;
  let telling: NodeJS.Timeout | undefined;
  const tell = (): void => {
    telling ??= setTimeout(() => {
      telling = undefined;
      if (cluster.status === 'ready') onUsable();
    }, togetherMs).unref();
  };
  // Before, the library asks one node whether the cluster is whole, and takes one that is not connected yet for a failure.
  const connect = (node: Redis): void => {
    if (cluster.status === 'ready' && node.status === 'wait') node.connect().catch(ignore);
  };
  cluster.on('+node', (node: Redis) => {
    node.on('ready', tell);
    connect(node);
  });
  cluster.on('ready', () => {
    for (const node of cluster.nodes('all')) connect(node);
    tell();
  });
  cluster.on('-node', () => {
    refresh ??= setTimeout(
      () => {
        refresh = undefined;
        if (cluster.status === 'ready') cluster.refreshSlotsCache();
      },
      refreshPauseMs * (1 + Math.random()),
    ).unref();
  });
  return cluster;
}

function ignore(): void {
  // A node that cannot be connected to ends, which is acted upon above.
}
