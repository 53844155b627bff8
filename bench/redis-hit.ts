/**
 * What an answer from the shared tier takes beside one from memory and one from upstream: `node bench/redis-hit.ts`.
 * One sidecar fetches, a second one is asked: first it finds the response in Redis, then in its own memory. One connection, one
 * question at a time, upstream 100 ms away.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { machineLine, ms, quantile } from './redis/figures.ts';
import { startRedis, type RedisProcess } from '../test/support/redis.ts';
import { startOrigin, startSidecars, type Sidecar } from './redis/sidecars.ts';

const upstreamMs = 100;
const sizes = [1024, 10 * 1024, 100 * 1024];

/** Asked for one after the other. `took`: of the answers from where they were meant to come; `others`: how many came from elsewhere. */
interface Round {
  readonly took: readonly number[];
  readonly others: number;
}

async function round(sidecar: Sidecar, targets: readonly string[], expected: RegExp): Promise<Round> {
  const took: number[] = [];
  for (const target of targets) {
    const { cacheStatus, tookMs } = await sidecar.get(target);
    if (expected.test(cacheStatus)) took.push(tookMs);
  }
  return { took, others: targets.length - took.length };
}

/** Ten at a time, and then until Redis has what it gets: writes go there behind the answers. */
async function fill(sidecar: Sidecar, targets: readonly string[], redis: RedisProcess): Promise<void> {
  for (let from = 0; from < targets.length; from += 10) {
    await Promise.all(targets.slice(from, from + 10).map((target) => sidecar.get(target)));
  }
  for (let before = ''; ; await delay(300)) {
    const now = await redis.cli('dbsize');
    if (now === before) return;
    before = now;
  }
}

function rowOf(bytes: number, from: string, { took, others }: Round) {
  return {
    'body KB': bytes / 1024,
    from,
    requests: took.length,
    'p50 ms': ms(quantile(took, 0.5)),
    'p90 ms': ms(quantile(took, 0.9)),
    'p99 ms': ms(quantile(took, 0.99)),
    'max ms': ms(quantile(took, 1)),
    'from elsewhere': others,
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
    await fill(filler, targets, redis);
    const fewer = Array.from({ length: Math.min(100, requests) }, (_, place) => targetOf(place + requests));
    rows.push(rowOf(bytes, 'Redis', await round(reader, targets, /; hit; .*detail=redis/)));
    rows.push(rowOf(bytes, 'memory', await round(reader, targets, /; hit; .*detail=memory/)));
    rows.push(rowOf(bytes, `upstream, ${upstreamMs} ms away`, await round(reader, fewer, /fwd=uri-miss/)));
  }
  console.table(rows);
}

const { values } = parseArgs({ options: { requests: { type: 'string', default: '1000' } } });
await main(Number(values.requests));
