import type { Backend, BackendOptions } from './backend.ts';
import type { Fault, Hold } from './faults.ts';
import { keyPrefix, keys } from './keys.ts';
import { startRedisNode } from './redis-node.ts';
import { startWire } from './wire.ts';

/** One Redis. */
export async function startStandalone({ folder, leaseMs, stack }: BackendOptions): Promise<Backend> {
  const node = stack.use(await startRedisNode({ folder: `${folder}/redis`, settings: [] }));
  return {
    faults: [
      fault('redis-freeze', async ({ wait }) => {
        node.freeze();
        await wait(leaseMs / 4, leaseMs * 2);
        node.thaw();
      }),
      fault('redis-kill-empty', async ({ wait }) => {
        await node.kill();
        await wait(0, leaseMs * 1.5);
        node.empty();
        await node.start();
      }),
      fault('redis-old-dump', async ({ wait }) => {
        await node.saveAside();
        await wait(leaseMs / 2, leaseMs * 1.5);
        await node.kill();
        node.restoreAside();
        await wait(0, leaseMs / 2);
        await node.start();
        node.empty();
      }),
      fault('control-deleted', async () => void (await node.command('del', keys.control))),
      fault('log-deleted', async () => void (await node.command('del', keys.log))),
      fault('flushall', async () => void (await node.command('flushall'))),
    ],
    async connectSidecar() {
      const wire = stack.use(await startWire(node.port));
      return { wires: [wire], redis: `url: "redis://127.0.0.1:${wire.port}", keyPrefix: ${keyPrefix}` };
    },
  };
}

function fault(kind: string, act: (hold: Hold) => Promise<void>): Fault {
  return {
    kind,
    async inflict(hold) {
      await act(hold);
      return 'redis';
    },
  };
}
