/**
 * What an answer from the shared tier takes beside one from memory and one from upstream: `node bench/redis-hit.ts`.
 * One sidecar fetches, a second one is asked: first it finds the response in Redis, then in its own memory. One connection, one
 * question at a time, upstream 100 ms away.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { machineLine, ms, quantile } from './redis/figures.ts';
import { startRedis } from '../test/support/redis.ts';
import { startOrigin, startSidecars, type Sidecar } from './redis/sidecars.ts';

const upstreamMs = 100;
const sizes = [1024, 10 * 1024, 100 * 1024];

/** Asks for each place once; every answer must come from where it is meant to. */
async function round(sidecar: Sidecar, targets: readonly string[], expected: RegExp): Promise<readonly number[]> {
  const took: number[] = [];
  for (const target of targets) {
    const { cacheStatus, tookMs } = await sidecar.get(target);
    if (!expected.test(cacheStatus)) throw new Error(`${target}: ${cacheStatus}`);
    took.push(tookMs);
  }
  return took;
}

function rowOf(bytes: number, from: string, took: readonly number[]) {
  return {
    'body KB': bytes / 1024,
    from,
    requests: took.length,
    'p50 ms': ms(quantile(took, 0.5)),
    'p90 ms': ms(quantile(took, 0.9)),
    'p99 ms': ms(quantile(took, 0.99)),
    'max ms': ms(quantile(took, 1)),
  };
}

async function main(requests: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const origin = stack.use(await startOrigin(upstreamMs));
  const [filler, reader] = await startSidecars(2, { redisUrl: redis.url, originUrl: origin.url }, stack);
  if (filler === undefined || reader === undefined) throw new Error('no fleet');
  process.stdout.write(`${machineLine(await redis.info('server', 'redis_version'))}\n`);
  const rows = [];
  for (const bytes of sizes) {
    const targetOf = (place: number): string => `/forecast?bytes=${bytes}&location=city-${place}`;
    const targets = Array.from({ length: requests }, (_, place) => targetOf(place));
    const before = Number(await redis.cli('dbsize'));
    await Promise.all(targets.map((target) => filler.get(target)));
    // Writes go to Redis behind the answers.
    while (Number(await redis.cli('dbsize')) < before + requests) await delay(20);
    const fewer = Array.from({ length: Math.min(100, requests) }, (_, place) => targetOf(place + requests));
    rows.push(rowOf(bytes, 'Redis', await round(reader, targets, /; hit; .*detail=redis/)));
    rows.push(rowOf(bytes, 'memory', await round(reader, targets, /; hit; .*detail=memory/)));
    rows.push(rowOf(bytes, `upstream, ${upstreamMs} ms away`, await round(reader, fewer, /fwd=uri-miss/)));
  }
  console.table(rows);
}

const { values } = parseArgs({ options: { requests: { type: 'string', default: '1000' } } });
await main(Number(values.requests));
