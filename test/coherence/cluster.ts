import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import type { Backend, BackendOptions } from './backend.ts';
import type { Fault } from './faults.ts';
import { keyPrefix, keys } from './keys.ts';
import { startRedisNode, freePort, waitUntil, type RedisNode } from './redis-node.ts';
import { wireAll } from './wire-all.ts';

/** Three masters with a replica each. */
export async function startCluster({ folder, leaseMs, stack }: BackendOptions): Promise<Backend> {
  const nodes = await Promise.all(
    Array.from({ length: 6 }, async (_, index) => {
      const settings = [
        'cluster-enabled yes',
        // By default it is the port and 10,000, which may be no port at all.
        `cluster-port ${await freePort()}`,
        'cluster-node-timeout 1000',
        'cluster-replica-validity-factor 0',
        'repl-diskless-sync-delay 0',
      ];
      return stack.use(await startRedisNode({ folder: `${folder}/node-${index}`, settings }));
    }),
  );
  const [first] = nodes;
  if (first === undefined) throw new Error('no node');
  await formCluster(nodes);
  const slot = Number(await first.command('cluster', 'keyslot', keys.control));
  const ownerPort = async (): Promise<number> => {
    const answers = await Promise.allSettled(nodes.map((node) => node.command('cluster', 'nodes')));
    const owners = answers.flatMap((answer) => (answer.status === 'fulfilled' ? ownersOf(answer.value, slot) : []));
    const [owner] = owners.filter(({ failed }) => !failed).toSorted((a, b) => b.epoch - a.epoch);
    return owner?.port ?? 0;
  };
  const settled = async (): Promise<boolean> => {
    const infos = await Promise.all(nodes.map((node) => node.command('cluster', 'info')));
    const port = await ownerPort();
    const info = await nodes.find((node) => node.port === port)?.command('info', 'replication');
    return infos.every((text) => text.includes('cluster_state:ok')) && /state=online/.test(info ?? '');
  };
  await waitUntil(settled, 'a whole cluster');
  const failover = (kind: string, act: (owner: RedisNode) => Promise<() => Promise<void>>): Fault => ({
    kind,
    async inflict({ wait, signal }) {
      const before = await ownerPort();
      const owner = nodes.find((node) => node.port === before);
      if (owner === undefined) throw new Error('nobody owns the control slot');
      const undo = await act(owner);
      const isMoved = async (): Promise<boolean> => ![before, 0].includes(await ownerPort());
      await waitUntil(isMoved, 'another owner of the control slot', signal);
      await wait(0, leaseMs * 2);
      await undo();
      await waitUntil(settled, 'a whole cluster', signal);
      return `owner ${before}, then ${await ownerPort()}`;
    },
  });
  return {
    faults: [
      failover('owner-kill', async (owner) => {
        await owner.kill();
        return () => owner.start();
      }),
      failover('owner-freeze', async (owner) => {
        owner.freeze();
        return async () => owner.thaw();
      }),
    ],
    async connectSidecar() {
      const wired = await wireAll(nodes, stack);
      const addresses = nodes.map(({ port }) => `"127.0.0.1:${wired.portOf(port)}"`).join(', ');
      return { wires: wired.wires, redis: `cluster: [${addresses}], keyPrefix: ${keyPrefix}` };
    },
  };
}

/** Three masters with a replica each, by the cluster's own tool. It asks every node for its bus port by itself. */
async function formCluster(nodes: readonly RedisNode[]): Promise<void> {
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  const words = ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes'];
  await promisify(execFile)('redis-cli', words, { timeout: 30_000 });
}

interface Owner {
  readonly port: number;
  readonly epoch: number;
  readonly failed: boolean;
}

/** Who owns the slot, in the words of CLUSTER NODES. */
function ownersOf(text: string, slot: number): readonly Owner[] {
  return text.split('\n').flatMap((line) => {
    const [, address = '', flags = '', , , , epoch, , ...ranges] = line.split(' ');
    const owns = ranges.some((range) => {
      const [from, to = from] = range.split('-').map(Number);
      return from !== undefined && to !== undefined && from <= slot && slot <= to;
    });
    const port = Number(/:(\d+)@/.exec(address)?.[1] ?? 0);
    return owns ? [{ port, epoch: Number(epoch), failed: flags.includes('fail') }] : [];
  });
}
