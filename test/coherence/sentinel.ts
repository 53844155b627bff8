import type { Backend, BackendOptions } from './backend.ts';
import type { Fault } from './faults.ts';
import { keyPrefix } from './keys.ts';
import { startRedisNode, waitUntil, type RedisNode } from './redis-node.ts';
import { wireAll } from './wire-all.ts';

/** A master, two replicas, three sentinels. */
export async function startSentinel({ folder, leaseMs, stack }: BackendOptions): Promise<Backend> {
  const replication = ['repl-diskless-sync-delay 0', 'repl-ping-replica-period 1', 'repl-timeout 5'];
  const start = async (name: string, more: readonly string[]): Promise<RedisNode> =>
    stack.use(await startRedisNode({ folder: `${folder}/${name}`, settings: [...replication, ...more] }));
  const first = await start('redis-1', []);
  const follow = [`replicaof 127.0.0.1 ${first.port}`];
  const nodes = [first, await start('redis-2', follow), await start('redis-3', follow)];
  // A sentinel asks a master for its replicas when it meets it, and then every ten seconds.
  const isFollowed = async (): Promise<boolean> =>
    (await first.command('info', 'replication')).match(/state=online/g)?.length === 2;
  await waitUntil(isFollowed, 'a master with two replicas');
  const watch = [
    `sentinel monitor main 127.0.0.1 ${first.port} 2`,
    'sentinel down-after-milliseconds main 500',
    'sentinel failover-timeout main 2000',
    'sentinel parallel-syncs main 2',
  ];
  const sentinels = await Promise.all(
    [1, 2, 3].map(async (number) =>
      stack.use(await startRedisNode({ folder: `${folder}/sentinel-${number}`, settings: watch, sentinel: true })),
    ),
  );
  const masterPort = async (): Promise<number> => {
    const [asked] = sentinels;
    if (asked === undefined) throw new Error('no sentinel');
    const [, port] = (await asked.command('sentinel', 'get-master-addr-by-name', 'main')).split('\n');
    return Number(port);
  };
  const settled = async (): Promise<boolean> => {
    const port = await masterPort();
    const info = await nodes.find((node) => node.port === port)?.command('info', 'replication');
    return info?.match(/state=online/g)?.length === 2 && (await allKnow(sentinels));
  };
  await waitUntil(settled, 'a master with two replicas');
  const failover = (kind: string, act: (master: RedisNode) => Promise<() => Promise<void>>): Fault => ({
    kind,
    async inflict({ wait, signal }) {
      const before = await masterPort();
      const master = nodes.find((node) => node.port === before);
      if (master === undefined) throw new Error('an unknown master');
      const undo = await act(master);
      await waitUntil(async () => (await masterPort()) !== before, 'another master', signal);
      await wait(0, leaseMs * 2);
      await undo();
      // Else the next one would find no replica to promote.
      await waitUntil(settled, 'a master with two replicas', signal);
      return `master ${before}, then ${await masterPort()}`;
    },
  });
  return {
    faults: [
      failover('master-freeze', async (master) => {
        master.freeze();
        return async () => master.thaw();
      }),
      failover('master-kill', async (master) => {
        await master.kill();
        return () => master.start();
      }),
    ],
    async connectSidecar() {
      const wired = await wireAll([...nodes, ...sentinels], stack);
      const addresses = sentinels.map(({ port }) => `"127.0.0.1:${wired.portOf(port)}"`).join(', ');
      return {
        wires: wired.wires,
        redis: `sentinels: [${addresses}], name: main, minReplicas: 1, keyPrefix: ${keyPrefix}`,
      };
    },
  };
}

/** Only sentinels that know of one another can agree on a fail-over. */
async function allKnow(sentinels: readonly RedisNode[]): Promise<boolean> {
  const answers = await Promise.all(sentinels.map((sentinel) => sentinel.command('sentinel', 'ckquorum', 'main')));
  return answers.every((answer) => answer.startsWith('OK 3'));
}
