/**
 * What a stored response takes in Redis, beside plainer forms: `node bench/redis-memory.ts`. By MEMORY USAGE, which counts the
 * key and the bookkeeping; a forecast of hourly values with seven fields and three tags. The processor time is this process'.
 */
import { compressed } from '../src/store/redis/compress.ts';
import { connectRedis } from '../src/store/redis/client.ts';
import { decodeItem, encodeItem } from '../src/store/redis/codec.ts';
import { redisKeys } from '../src/store/redis/keys.ts';
import type { RedisLink, RedisScript } from '../src/store/redis/link.ts';
import type { StoredResponse } from '../src/core/stored-response.ts';
import { redisConfig } from '../test/support/redis-config.ts';
import { startRedis } from '../test/support/redis.ts';
import { forecastJson } from './forecast.ts';
import { machineLine } from './redis/figures.ts';
import { storedItemForBench } from './store-support.ts';

const sizes = [1024, 10 * 1024, 100 * 1024];
const fields = [
  ['content-type', 'application/json; charset=utf-8'],
  ['date', 'Wed, 25 Nov 2026 12:00:00 GMT'],
  ['etag', '"5d41402abc4b2a76b9719d911017c592"'],
  ['cache-control', 'public, max-age=900'],
  ['vary', 'accept-encoding'],
  ['x-request-id', '0b9fd9f2-4e4b-4f6e-9f53-1f8a7a1f1f55'],
  ['x-ratelimit-remaining', '9731'],
] as const;
/** Of each size and form so many are stored and averaged: allocators round up. */
const samples = 8;

const setAndMeasure: RedisScript = {
  name: 'setAndMeasure',
  keys: 1,
  lua: `redis.call('SET', KEYS[1], ARGV[1], 'PX', 3600000)
return redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0)`,
  reply: 'text',
};

/** What keys of a tag in a set take, for one of a thousand. */
const addTagsAndMeasure: RedisScript = {
  name: 'addTagsAndMeasure',
  keys: 2,
  lua: `for i = 1, 1000 do
  for tag = 1, 2 do redis.call('SADD', KEYS[tag], ARGV[1] .. i) end
end
local total = 0
for tag = 1, 2 do total = total + redis.call('MEMORY', 'USAGE', KEYS[tag], 'SAMPLES', 0) end
return total`,
  reply: 'text',
};

interface Form {
  readonly name: string;
  readonly encode: (item: StoredResponse) => Buffer | Promise<Buffer>;
  /** From the bytes of a reply to the bytes of an answer. */
  readonly decode: (value: Buffer, item: StoredResponse) => void | Promise<unknown>;
  readonly key: (item: StoredResponse) => string;
}

const keys = redisKeys('forecache');
const entryKey = (item: StoredResponse): string => keys.entry('fingerprint', item.key);
const readableKey = (item: StoredResponse): string => `cache:${item.key}`;

function compressing(name: string, fromBytes: number): Form {
  return {
    name,
    encode: async (item) => {
      const small = item.body.byteLength < fromBytes ? undefined : await compressed(item.body);
      const stored =
        small === undefined ? { bytes: item.body, isCompressed: false } : { bytes: small, isCompressed: true };
      return encodeItem(item, stored, 0);
    },
    decode: decoded,
    key: entryKey,
  };
}

const forms: readonly Form[] = [
  {
    name: 'JSON of the parsed value, as a string (no status, fields or tags)',
    encode: (item) => Buffer.from(JSON.stringify(JSON.parse(item.body.toString()))),
    decode: (value) => void Buffer.from(JSON.stringify(JSON.parse(value.toString()))),
    key: readableKey,
  },
  {
    name: 'JSON of status, fields, tags and body',
    encode: (item) =>
      Buffer.from(
        JSON.stringify({ status: item.status, fields: item.fields, tags: item.tags, body: item.body.toString() }),
      ),
    decode: (value) => void Buffer.from(String(Object(JSON.parse(value.toString())).body)),
    key: readableKey,
  },
  {
    name: 'Forecache, compression off',
    encode: (item) => encodeItem(item, { bytes: item.body, isCompressed: false }, 0),
    decode: decoded,
    key: entryKey,
  },
  compressing('Forecache as configured (compressed from 2 KB on)', 2048),
  compressing('Forecache, compressAbove 512', 512),
];

async function decoded(value: Buffer, item: StoredResponse): Promise<void> {
  const result = await decodeItem(value, { key: item.key, skewMs: 0, maxBodyBytes: 2 ** 24 });
  if (result.kind !== 'item') throw new Error(result.reason);
}

function responseOf(bytes: number, sample: number): StoredResponse {
  const item = storedItemForBench({
    key: `weather-forecast|/v1/forecast?location=city-${sample}&days=7&units=metric`,
    fields,
    tags: [`location:city-${sample}`, 'route:weather-forecast', 'upstream:weather'],
    body: Buffer.from(forecastJson(bytes, sample)),
    position: { epoch: '0123456789abcdef', seq: 123_456 },
  });
  if (item.kind !== 'response') throw new Error('not a response');
  return item;
}

/** Microseconds of one call, the fastest of five rounds. */
async function timed(work: () => unknown): Promise<number> {
  const rounds: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const times = 200;
    const startMs = performance.now();
    for (let time = 0; time < times; time += 1) await work();
    rounds.push(((performance.now() - startMs) * 1000) / times);
  }
  return Math.min(...rounds);
}

async function measure(link: RedisLink, form: Form, bytes: number) {
  let total = 0;
  for (let sample = 0; sample < samples; sample += 1) {
    const item = responseOf(bytes, sample);
    total += Number(await link.run(setAndMeasure, [form.key(item)], [await form.encode(item)]));
    await link.unlink(form.key(item));
  }
  const item = responseOf(bytes, 0);
  const value = await form.encode(item);
  return {
    bytes: Math.round(total / samples),
    encodeUs: await timed(() => form.encode(item)),
    decodeUs: await timed(() => form.decode(value, item)),
  };
}

await using redis = await startRedis();
await using links = connectRedis(redisConfig(redis), { onError: (message) => process.stderr.write(`${message}\n`) });
const { data } = links;
await new Promise<void>((resolve) => data.onReady(resolve));
process.stdout.write(`${machineLine(await redis.info('server', 'redis_version'))}\n`);
const rows = [];
for (const form of forms) {
  const row: Record<string, string | number> = { form: form.name };
  for (const bytes of sizes) {
    const { bytes: taken, encodeUs, decodeUs } = await measure(data, form, bytes);
    const size = `${bytes / 1024} KB`;
    row[`${size}: bytes`] = taken;
    row[`${size}: µs to write, to read`] = `${encodeUs.toFixed(0)}, ${decodeUs.toFixed(0)}`;
  }
  rows.push(row);
}
console.table(rows);
const sets = Number(
  await data.run(
    addTagsAndMeasure,
    ['tag:location', 'tag:route'],
    ['cache:weather-forecast|/v1/forecast?location=city-'],
  ),
);
process.stdout.write(
  `two sets of keys, one for each tag, would add ${(sets / 1000).toFixed(0)} bytes to each response; Forecache has none\n`,
);
