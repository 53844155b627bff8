/**
 * Processor time of Redis for following the purge log, for counters and for purging, by INFO commandstats: `node bench/redis-purge-cost.ts`.
 * First by the number of sidecars; then a purge of a tag by the number of responses that carry it, beside a set of keys for each tag.
 */
import { connectRedis } from '../src/store/redis/client.ts';
import { createCounterLedger } from '../src/store/redis/counter-ledger.ts';
import { redisKeys } from '../src/store/redis/keys.ts';
import type { RedisLink, RedisScript } from '../src/store/redis/link.ts';
import { acksScript, purgeScript, syncScript } from '../src/store/coherence/scripts.ts';
import { systemClock } from '../src/system-clock.ts';
import { redisConfig } from '../test/support/redis-config.ts';
import { startRedis, type RedisProcess } from '../test/support/redis.ts';
import { commandCost } from './redis/costs.ts';
import { machineLine } from './redis/figures.ts';

const config = { leaseMs: 2000, batch: 1000, slackMs: 2000, retentionMs: 86_400_000, most: 100_000 };
/** Looks of a sidecar at the log in a second, when nothing happens: five in each lease. */
const looksPerSecond = 5000 / config.leaseMs;
const flushesPerSecond = 1;
const keys = redisKeys('forecache');
const logKeys = [keys.control, keys.log];
const scopes = JSON.stringify(['t:location:berlin', 't:location:paris']);

/** Each data key is a response of a few bytes: only their number counts here. */
const fillScript: RedisScript = {
  name: 'fillTagged',
  keys: 1,
  reply: 'text',
  lua: `for i = ARGV[1], ARGV[2] do
  redis.call('SET', 'cache:' .. i, 'x', 'PX', 3600000)
  redis.call('SADD', KEYS[1], 'cache:' .. i)
end`,
};

const deleteTagged: RedisScript = {
  name: 'deleteTagged',
  keys: 1,
  reply: 'text',
  lua: `local all = redis.call('SMEMBERS', KEYS[1])
for i = 1, #all, 5000 do redis.call('UNLINK', unpack(all, i, math.min(i + 4999, #all))) end
redis.call('UNLINK', KEYS[1])`,
};

function sync(link: RedisLink, id: string, seen: { readonly epoch: string; readonly seq: number }): Promise<unknown> {
  return link.run(syncScript, logKeys, [id, 0, 1, seen.epoch, seen.seq, config.leaseMs, config.batch]);
}

async function purge(link: RedisLink): Promise<{ readonly epoch: string; readonly seq: number }> {
  const { slackMs, retentionMs, most } = config;
  const args = ['purger', 0, 1, 'hard', scopes, slackMs, retentionMs, most, keys.bell];
  const reply = await link.run(purgeScript, logKeys, args);
  if (!Array.isArray(reply)) throw new Error('no reply');
  return { epoch: String(reply[0]), seq: Number(reply[1]) };
}

/** Microseconds of Redis for one call of what is done. */
async function costOf(redis: RedisProcess, work: () => Promise<unknown>): Promise<number> {
  await redis.cli('config', 'resetstat');
  await work();
  const { calls, totalUs } = await commandCost(redis, 'evalsha');
  return totalUs / calls;
}

/** Of what a busy sidecar has counted: a dozen outcomes, bytes and calls on each of two routes. */
async function flushCost(redis: RedisProcess, link: RedisLink): Promise<number> {
  const observer = { fleet: () => undefined };
  const ledger = createCounterLedger({ link, keys, clock: systemClock, instanceId: 'purger', observer });
  const counts = new Map(Array.from({ length: 24 }, (_, index) => [`route-${index % 2}:counter-${index}`, 17]));
  const flush = { counts, root: 0, sinceMs: undefined, heard: 0, rebuild: false };
  const first = await ledger.flush({ ...flush, number: 0, after: 0, generation: '' });
  if (first === undefined) throw new Error('no ledger');
  const { generation, root } = first;
  return costOf(redis, async () => {
    for (let time = 1; time <= 200; time += 1) {
      const state = await ledger.flush({ ...flush, number: time, after: time - 1, generation, root });
      if (state?.applied !== time) throw new Error('counted nothing');
    }
  });
}

async function withMembers(redis: RedisProcess, link: RedisLink, members: number) {
  await redis.cli('flushall');
  const ids = Array.from({ length: members }, (_, index) => `sidecar-${index}-0123456789abcdef`);
  let seen = await purge(link);
  const all = (times: number) => async (): Promise<void> => {
    for (let time = 0; time < times; time += 1) for (const id of ids) await sync(link, id, seen);
  };
  await all(1)();
  const idleUs = await costOf(redis, all(Math.ceil(1000 / members)));
  const purgeUs = await costOf(redis, async () => {
    // Leases have to be there, else they are not looked at.
    for (let time = 0; time < 100; time += 1) seen = await purge(link);
  });
  const before = { ...seen, seq: seen.seq - 1 };
  const newsUs = await costOf(redis, async () => {
    for (const id of ids) await sync(link, id, before);
  });
  const acksUs = await costOf(redis, async () => {
    for (let time = 0; time < 100; time += 1) await link.run(acksScript, logKeys, ['purger', 0, 1, ...ids]);
  });
  const flushUs = await flushCost(redis, link);
  const bytes = Number(await redis.cli('memory', 'usage', keys.control, 'samples', '0'));
  const idlePart = (members * (idleUs * looksPerSecond + flushUs * flushesPerSecond)) / 1e6;
  return {
    sidecars: members,
    'sync, nothing new µs': idleUs.toFixed(0),
    'sync, one purge µs': newsUs.toFixed(0),
    'purge µs': purgeUs.toFixed(0),
    'look at all acknowledgements µs': acksUs.toFixed(0),
    'counters µs': flushUs.toFixed(0),
    'of one core, no purge': `${(100 * idlePart).toFixed(2)} %`,
    'a purge with all that follows ms': ((purgeUs + members * newsUs + 2 * acksUs) / 1000).toFixed(1),
    'control bytes each': Math.round(bytes / members),
  };
}

async function withResponses(redis: RedisProcess, link: RedisLink, responses: number) {
  await redis.cli('flushall');
  for (let from = 1; from <= responses; from += 10_000) {
    await link.run(fillScript, ['tag:location:berlin'], [from, Math.min(from + 9999, responses)]);
  }
  for (let index = 0; index < 10; index += 1) await sync(link, `sidecar-${index}`, { epoch: '', seq: 0 });
  const ours = await costOf(redis, async () => {
    for (let time = 0; time < 20; time += 1) await purge(link);
  });
  await redis.cli('config', 'resetstat');
  // Longer than the link waits for a reply where there are many.
  await redis.cli('eval', deleteTagged.lua, '1', 'tag:location:berlin');
  const theirs = await commandCost(redis, 'eval');
  return {
    'responses with the tag': responses,
    'Forecache µs': ours.toFixed(0),
    'set of keys, deleted µs': theirs.totalUs,
  };
}

await using redis = await startRedis();
await using links = connectRedis(redisConfig(redis), { onError: (message) => process.stderr.write(`${message}\n`) });
const { control } = links;
await new Promise<void>((resolve) => control.onReady(resolve));
process.stdout.write(`${machineLine(await redis.info('server', 'redis_version'))}; lease ${config.leaseMs} ms\n`);
const byMembers = [];
for (const members of [5, 50, 500, 1000]) byMembers.push(await withMembers(redis, control, members));
console.table(byMembers);
const byResponses = [];
for (const responses of [1000, 10_000, 100_000]) byResponses.push(await withResponses(redis, control, responses));
console.table(byResponses);
