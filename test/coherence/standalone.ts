import { startRedis } from '../support/redis.ts';
import type { Backend, BackendOptions } from './backend.ts';
import { restartFromAside, saveAside } from './dumps.ts';
import type { Fault, Hold } from './faults.ts';
import { keyPrefix, keys } from './keys.ts';
import { startWire } from './wire.ts';

/** One Redis. */
export async function startStandalone({ leaseMs, stack }: BackendOptions): Promise<Backend> {
  const redis = stack.use(await startRedis());
  return {
    faults: [
      fault('redis-freeze', async ({ wait }) => {
        redis.freeze();
        await wait(leaseMs / 4, leaseMs * 2);
        redis.thaw();
      }),
      fault('redis-kill-empty', async ({ wait }) => {
        await redis.kill();
        await wait(0, leaseMs * 1.5);
        await redis.restart({ empty: true });
      }),
      fault('redis-old-dump', async ({ wait }) => {
        await saveAside(redis);
        await wait(leaseMs / 2, leaseMs * 1.5);
        await restartFromAside(redis, () => wait(0, leaseMs / 2));
      }),
      fault('control-deleted', async () => void (await redis.cli('del', keys.control))),
      fault('log-deleted', async () => void (await redis.cli('del', keys.log))),
      fault('flushall', async () => void (await redis.cli('flushall'))),
    ],
    async connectSidecar() {
      const wire = stack.use(await startWire(redis.port));
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
