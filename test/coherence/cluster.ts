import type { RedisProcess } from '../support/redis.ts';
import { startCluster as startNodes } from '../support/redis-topologies.ts';
import type { Backend, BackendOptions } from './backend.ts';
import type { Fault } from './faults.ts';
import { keyPrefix, keys } from './keys.ts';
import { waitUntil } from './wait-until.ts';
import { wireAll } from './wire-all.ts';

/** Three masters with a replica each. */
export async function startCluster({ leaseMs, stack }: BackendOptions): Promise<Backend> {
  const cluster = stack.use(await startNodes({ masters: 3, replicas: 1, nodeTimeoutMs: 1_000 }));
  const { nodes } = cluster;
  const isWhole = async (): Promise<boolean> => {
    const states = await Promise.all(nodes.map((node) => node.cli('cluster', 'info')));
    const owner = await cluster.ownerOf(keys.control);
    return (
      states.every((state) => state.includes('cluster_state:ok')) &&
      (await owner.cli('info', 'replication')).includes('state=online')
    );
  };
  const failover = (kind: string, act: (owner: RedisProcess) => Promise<() => Promise<void>>): Fault => ({
    kind,
    async inflict({ wait, signal }) {
      const before = await cluster.ownerOf(keys.control);
      const undo = await act(before);
      const living = nodes.filter((node) => node !== before);
      await waitUntil(() => sayMoved(living, before), 'another owner of the control slot', signal);
      await wait(0, leaseMs * 2);
      await undo();
      await waitUntil(isWhole, 'a whole cluster', signal);
      return `owner ${before.port}, then ${(await cluster.ownerOf(keys.control)).port}`;
    },
  });
  return {
    faults: [
      failover('owner-kill', async (owner) => {
        await owner.kill();
        return () => owner.restart();
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

/** Whether those that live agree that its replica has taken over, and serve again. */
async function sayMoved(living: readonly RedisProcess[], before: RedisProcess): Promise<boolean> {
  const states = await Promise.all(living.map((node) => node.cli('cluster', 'info')));
  const slots = await Promise.all(living.map((node) => node.cli('cluster', 'nodes')));
  // Its line ends in the slots that it has, whether it is thought down (`master,fail`) or out of reach (`disconnected`).
  const hasSlots = new RegExp(`:${before.port}@.*connected \\d`);
  return states.every((state) => state.includes('cluster_state:ok')) && slots.every((text) => !hasSlots.test(text));
}
