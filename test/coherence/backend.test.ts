import { describe, expect, it, onTestFinished } from 'vitest';

import type { RedisTopology } from '../../src/core/config.ts';
import { connectRedis } from '../../src/store/redis/client.ts';
import type { RedisLink, RedisScript } from '../../src/store/redis/link.ts';
import { redisConfig } from '../support/redis-config.ts';
import type { Backend, Mode } from './backend.ts';
import { keyPrefix, keys } from './keys.ts';
import { seededRandom } from './random.ts';
import { startBackend } from './start-backend.ts';

async function backendOf(mode: Mode) {
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => {
    await stack.disposeAsync();
  });
  return startBackend({ mode, leaseMs: 200, stack });
}

const hold = { random: seededRandom(1), wait: async () => {} };

function moved(mode: Mode): RegExp {
  return mode === 'standalone' ? /^redis$/ : /^(?:master|owner) (\d+), then (?!\1)\d+$/;
}

/** A client as a sidecar has one, for what the backend tells a sidecar. */
function connect(mode: Mode, redis: string | undefined, stack: AsyncDisposableStack): RedisLink {
  const nodes = Array.from(redis?.matchAll(/127\.0\.0\.1:(\d+)/g) ?? [], ([, port]) => ({
    host: '127.0.0.1',
    port: Number(port),
  }));
  const [first = { host: '', port: 0 }] = nodes;
  const sentinel = { name: 'mymaster', sentinelUsername: undefined, sentinelPassword: undefined };
  const topology: RedisTopology =
    mode === 'sentinel'
      ? { kind: mode, sentinels: nodes, ...sentinel }
      : mode === 'cluster'
        ? { kind: mode, nodes }
        : { kind: 'standalone', ...first };
  const config = redisConfig({ port: first.port, password: undefined }, { topology, keyPrefix, leaseMs: 1_000 });
  return stack.use(connectRedis(config, { onError: () => {} })).control;
}

const write: RedisScript = { name: 'write', keys: 1, lua: "return redis.call('SET', KEYS[1], 'x')", reply: 'text' };

/** The wires are the only way to it: whoever is led past them meets no fault. */
async function expectWired(mode: Mode, backend: Backend): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { wires, redis } = await backend.connectSidecar();
  const link = connect(mode, redis, stack);
  const written = async (): Promise<boolean> =>
    link.run(write, [keys.control], []).then(
      () => true,
      () => false,
    );
  await expect.poll(written).toBe(true);
  for (const wire of wires) wire.pause(['up', 'down']);
  expect(await written()).toBe(false);
  for (const wire of wires) wire.heal();
  await expect.poll(written).toBe(true);
}

describe('the Redis of a run', () => {
  it.each(['standalone', 'cluster'] as const)(
    'is whole again after a fault, and reached by wires alone (%s)',
    async (mode) => {
      const backend = await backendOf(mode);
      const [fault] = backend.faults;
      const what = await fault?.inflict({ ...hold, signal: new AbortController().signal });
      expect(what).toMatch(moved(mode));
      await expectWired(mode, backend);
    },
  );

  it('has another master after a fault, is reached by wires alone, and mends no further where the run ends (sentinel)', async () => {
    const backend = await backendOf('sentinel');
    const [fault] = backend.faults;
    const ended = new AbortController();
    const wait = async (): Promise<void> => ended.abort();
    expect(await fault?.inflict({ ...hold, wait, signal: ended.signal })).toMatch(moved('sentinel'));
    await expectWired('sentinel', backend);
  });
});
