import type { RedisProcess } from '../support/redis.ts';
import { startSentinels } from '../support/redis-topologies.ts';
import type { Backend, BackendOptions } from './backend.ts';
import type { Fault } from './faults.ts';
import { keyPrefix } from './keys.ts';
import { waitUntil } from './wait-until.ts';
import { wireAll } from './wire-all.ts';

/** A master, two replicas, three sentinels. */
export async function startSentinel({ leaseMs, stack }: BackendOptions): Promise<Backend> {
  const watched = stack.use(await startSentinels({ replicas: 2, downAfterMs: 500, failoverTimeoutMs: 2_000 }));
  const { servers, sentinels, name } = watched;
  const hasReplicas = async (): Promise<boolean> =>
    /state=online[^]*state=online/.test(await (await watched.master()).cli('info', 'replication'));
  const failover = (kind: string, act: (master: RedisProcess) => Promise<() => Promise<void>>): Fault => ({
    kind,
    async inflict({ wait, signal }) {
      const before = await watched.master();
      const undo = await act(before);
      await waitUntil(async () => (await watched.master()) !== before, 'another master', signal);
      await wait(0, leaseMs * 2);
      await undo();
      // Else the next one would find no replica to promote.
      await waitUntil(hasReplicas, 'a master with two replicas', signal);
      return `master ${before.port}, then ${(await watched.master()).port}`;
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
        return () => master.restart();
      }),
    ],
    async connectSidecar() {
      const wired = await wireAll([...servers, ...sentinels], stack);
      const addresses = sentinels.map(({ port }) => `"127.0.0.1:${wired.portOf(port)}"`).join(', ');
      return {
        wires: wired.wires,
        redis: `sentinels: [${addresses}], name: ${name}, minReplicas: 1, keyPrefix: ${keyPrefix}`,
      };
    },
  };
}
