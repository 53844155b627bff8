/**
 * What happens when Redis is full, under each eviction policy: `node bench/redis-maxmemory.ts`. 100 MB of responses are written
 * into 30 MB, while a few hundred favourites are read and, where they are gone, stored again, and while purges go on.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { FleetEvent } from '../src/cache/fleet-ports.ts';
import { allRules } from '../src/store/coherence/rules.ts';
import { createSharedPurgeLog } from '../src/store/coherence/shared-purge-log.ts';
import { connectRedis } from '../src/store/redis/client.ts';
import { RedisGate } from '../src/store/redis/gate.ts';
import { redisKeys } from '../src/store/redis/keys.ts';
import { createRedisStore } from '../src/store/redis/redis-store.ts';
import { systemClock } from '../src/system-clock.ts';
import { redisConfig } from '../test/support/redis-config.ts';
import { startRedis } from '../test/support/redis.ts';
import { forecastJson } from './forecast.ts';
import { machineLine, ms, quantile } from './redis/figures.ts';
import { createRandom } from '../src/demo/seeded.ts';
import { storedItemForBench } from './store-support.ts';

const policies = [
  'noeviction',
  'volatile-lfu',
  'volatile-lru',
  'volatile-ttl',
  'volatile-random',
  'allkeys-lfu',
  'allkeys-lru',
  'allkeys-random',
];
const writes = 10_000;
const favourites = 300;
const readsPerWrite = 2;
const writesPerPurge = 250;

const body = Buffer.from(forecastJson(10 * 1024, 1));

async function measure(policy: string) {
  await using redis = await startRedis({ config: ['maxmemory 30mb', `maxmemory-policy ${policy}`] });
  // As it comes from upstream, so that ten thousand are a hundred megabytes.
  const config = redisConfig(redis, { compressAboveBytes: undefined });
  const keys = redisKeys(config.keyPrefix);
  const events: FleetEvent[] = [];
  const observer = { fleet: (event: FleetEvent) => void events.push(event), limit: () => undefined };
  await using links = connectRedis(config, { onError: (message) => process.stderr.write(`${message}\n`) });
  const { control: link, bell } = links;
  const common = { keys, config, clock: systemClock, observer };
  const log = createSharedPurgeLog({
    ...common,
    link,
    bell,
    instanceId: randomUUID(),
    rules: allRules,
  });
  await using _ = log;
  await log.start(5000);
  // The first purge of an epoch waits for a lease; those that count here are of the epochs that a full Redis makes.
  await delay(config.leaseMs + 100);
  const leased = (): boolean => log.position() !== undefined;
  using gate = new RedisGate({ link: links.data, config, clock: systemClock, leased, observer });
  const store = createRedisStore({
    ...common,
    gate,
    purgeLog: log,
    judge: log,
    fingerprintOf: () => 'bench',
    skewMs: () => log.skewMs(),
  });
  const random = createRandom(7);
  const put = async (key: string): Promise<void> => {
    const position = log.position();
    if (position === undefined) return;
    await store.put(storedItemForBench({ key, body, position, tags: ['location:berlin'] }));
  };
  const purges: number[] = [];
  let refusedPurges = 0;
  let hits = 0;
  for (let write = 0; write < writes; write += 1) {
    await put(`bench|/once?n=${write}`);
    for (let read = 0; read < readsPerWrite; read += 1) {
      const favourite = `bench|/favourite?n=${random.below(favourites)}`;
      if ((await store.get(favourite)) === undefined) await put(favourite);
      else hits += 1;
    }
    if (write % writesPerPurge === writesPerPurge - 1) {
      const startMs = performance.now();
      const receipt = await log.append({ scopes: [`t:nobody:${write}`], soft: false });
      purges.push(performance.now() - startMs);
      if (!receipt.ok || !receipt.value.complete) refusedPurges += 1;
      // A new epoch: what was stored before is of no use, and the lease comes back with the next look.
      while (!leased()) await delay(10);
    }
  }
  const puts = events.flatMap((event) => (event.kind === 'redis' && event.operation === 'put' ? [event.result] : []));
  const refused = puts.filter((result) => result !== 'ok').length;
  const epochs = events.filter((event) => event.kind === 'epoch').length - 1;
  return {
    policy,
    'writes refused': `${((100 * refused) / puts.length).toFixed(1)} %`,
    'evicted keys': Number(await redis.info('stats', 'evicted_keys')),
    'favourites found': `${((100 * hits) / (writes * readsPerWrite)).toFixed(1)} %`,
    'control keys lost': epochs,
    'purge p50, max ms': `${ms(quantile(purges, 0.5))}, ${ms(quantile(purges, 1))}`,
    'purges refused': refusedPurges,
  };
}

const rows = [];
for (const policy of policies) rows.push(await measure(policy));
await using redis = await startRedis();
process.stdout.write(`${machineLine(await redis.info('server', 'redis_version'))}\n`);
console.table(rows);
