import { setTimeout as sleep } from 'node:timers/promises';

import {
  freePort,
  onFreePorts,
  startRedis,
  type RedisOptions,
  type RedisProcess,
  type RedisTlsFiles,
} from './redis.ts';

/** A master, its replicas, and three sentinels that watch them. */
export interface Sentinels extends AsyncDisposable {
  /** The first is the master at the start. */
  readonly servers: readonly RedisProcess[];
  readonly sentinels: readonly RedisProcess[];
  /** Of `store.redis.name`. */
  readonly name: string;
  /** The port of the master that the sentinels name now. */
  master(): Promise<RedisProcess>;
}

export interface SentinelOptions {
  /** Default 1. */
  readonly replicas?: number;
  /** A server is thought down after this long without an answer. Default 300. */
  readonly downAfterMs?: number;
  /** Default 1000. */
  readonly failoverTimeoutMs?: number;
  readonly password?: string;
  readonly sentinelPassword?: string;
  readonly tls?: RedisTlsFiles;
}

export async function startSentinels(options: SentinelOptions = {}): Promise<Sentinels> {
  const { replicas = 1, downAfterMs = 300, failoverTimeoutMs = 1000, password, sentinelPassword, tls } = options;
  const name = 'mymaster';
  await using stack = new AsyncDisposableStack();
  const secret = { ...(password === undefined ? {} : { password }), ...(tls ? { tls } : {}) };
  const auth = password === undefined ? [] : [`masterauth "${password}"`];
  // By default a master waits five seconds for further replicas before it sends the first one its data.
  const replicating = [...auth, 'repl-diskless-sync-delay 0'];
  const master = stack.use(await startRedis({ ...secret, config: replicating }));
  const followers = await Promise.all(
    Array.from({ length: replicas }, () =>
      startRedis({ ...secret, config: [...replicating, `replicaof 127.0.0.1 ${master.port}`] }),
    ),
  );
  const servers = [master, ...followers.map((server) => stack.use(server))];
  // A sentinel asks a master for its replicas when it meets it, and then every ten seconds.
  await until(
    'the replicas follow',
    async () => Number(await master.info('replication', 'connected_slaves')) === replicas,
  );
  const config = [
    `sentinel monitor ${name} 127.0.0.1 ${master.port} 2`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} ${failoverTimeoutMs}`,
    ...(password === undefined ? [] : [`sentinel auth-pass ${name} ${password}`]),
    ...(sentinelPassword === undefined ? [] : [`sentinel sentinel-pass ${sentinelPassword}`]),
  ];
  const started = await Promise.all(
    [1, 2, 3].map(() =>
      startRedis({
        sentinel: true,
        config,
        ...(sentinelPassword === undefined ? {} : { password: sentinelPassword }),
        ...(tls ? { tls } : {}),
      }),
    ),
  );
  const sentinels = started.map((sentinel) => stack.use(sentinel));
  for (const sentinel of sentinels) {
    await until('the sentinels agree', async () =>
      (await sentinel.cli('sentinel', 'ckquorum', name)).startsWith('OK 3'),
    );
    await until('the replicas are known', async () =>
      (await sentinel.cli('sentinel', 'master', name)).includes(`num-slaves\n${replicas}`),
    );
  }
  const all = stack.move();
  return {
    servers,
    sentinels,
    name,
    master: async () => {
      for (const sentinel of sentinels) {
        const answer = await sentinel.cli('sentinel', 'get-master-addr-by-name', name).catch(() => '');
        const port = Number(answer.split('\n')[1]);
        const server = servers.find((one) => one.port === port);
        if (server) return server;
      }
      throw new Error('no sentinel names a master');
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Masters that share the slots, and their replicas. */
export interface RedisCluster extends AsyncDisposable {
  readonly nodes: readonly RedisProcess[];
  /** The node that serves a key's slot now, as the living say. */
  ownerOf(key: string): Promise<RedisProcess>;
}

export interface ClusterSetup {
  /** Default 3. */
  readonly masters?: number;
  /** Of each master. Default 0. */
  readonly replicas?: 0 | 1;
  /** A node is thought down after this long without an answer. Default 500. */
  readonly nodeTimeoutMs?: number;
  readonly password?: string;
  readonly tls?: RedisTlsFiles;
}

export async function startCluster(setup: ClusterSetup = {}): Promise<RedisCluster> {
  const { masters = 3, replicas = 0, nodeTimeoutMs = 500, password, tls } = setup;
  await using stack = new AsyncDisposableStack();
  const options: RedisOptions = { ...(password === undefined ? {} : { password }), ...(tls ? { tls } : {}) };
  const started = await Promise.all(
    Array.from({ length: masters * (1 + replicas) }, () =>
      onFreePorts(async () =>
        startRedis({
          ...options,
          config: [
            'cluster-enabled yes',
            // By default the port plus 10,000, which may be none.
            `cluster-port ${await freePort()}`,
            `cluster-node-timeout ${nodeTimeoutMs}`,
            'cluster-replica-validity-factor 0',
            ...(password === undefined ? [] : [`masterauth "${password}"`]),
          ],
        }),
      ),
    ),
  );
  const nodes = started.map((node) => stack.use(node));
  await shareSlots(nodes, masters);
  for (const node of nodes) {
    await until('all nodes are known', async () =>
      (await node.cli('cluster', 'info')).includes(`cluster_known_nodes:${nodes.length}`),
    );
    await until('the cluster is whole', async () => (await node.cli('cluster', 'info')).includes('cluster_state:ok'));
  }
  if (replicas > 0) {
    await until('every master is followed', async () => {
      const states = await Promise.all(nodes.map((node) => node.info('replication', 'connected_slaves')));
      return states.filter((count) => count === '1').length === masters;
    });
  }
  const all = stack.move();
  return { nodes, ownerOf: (key) => ownerOf(nodes, key), [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** Slots to the first so many, who are followed by the others in their order. */
async function shareSlots(nodes: readonly RedisProcess[], masters: number): Promise<void> {
  const [first] = nodes;
  if (!first) throw new Error('a cluster has nodes');
  const bus = (await first.cli('config', 'get', 'cluster-port')).split('\n')[1] ?? '';
  const slots = Math.ceil(16_384 / masters);
  for (const [index, node] of nodes.entries()) {
    await node.cli('cluster', 'set-config-epoch', String(index + 1));
    await node.cli('cluster', 'meet', '127.0.0.1', String(first.port), bus);
    if (index >= masters) continue;
    const last = Math.min((index + 1) * slots, 16_384) - 1;
    await node.cli('cluster', 'addslotsrange', String(index * slots), String(last));
  }
  for (const [index, replica] of nodes.slice(masters).entries()) {
    const id = (await nodes[index]?.cli('cluster', 'myid')) ?? '';
    await until('a replica knows its master', async () => (await replica.cli('cluster', 'nodes')).includes(id));
    await until('a replica follows', async () => (await replica.cli('cluster', 'replicate', id)) === 'OK');
  }
}

async function ownerOf(nodes: readonly RedisProcess[], key: string): Promise<RedisProcess> {
  const slot = Number(await anyOf(nodes, (node) => node.cli('cluster', 'keyslot', key)));
  const port = await anyOf(nodes, async (node) => {
    // start, end, and then address, port and id of the master.
    const ranges: [number, number, [string, number, string], ...unknown[]][] = JSON.parse(
      await node.cli('--json', 'cluster', 'slots'),
    );
    const range = ranges.find(([from, to]) => from <= slot && slot <= to);
    if (!range) throw new Error(`nobody serves slot ${slot}`);
    return range[2][1];
  });
  const owner = nodes.find((node) => node.port === port);
  if (!owner) throw new Error(`nobody listens on ${port}`);
  return owner;
}

async function anyOf<T>(nodes: readonly RedisProcess[], ask: (node: RedisProcess) => Promise<T>): Promise<T> {
  const failures: unknown[] = [];
  for (const node of nodes) {
    try {
      return await ask(node);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, 'no node answers');
}

async function until(what: string, isSo: () => Promise<boolean>, patienceMs = 20_000): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > untilMs) throw new Error(`not so after ${patienceMs} ms: ${what}`);
    await sleep(20);
  }
}
