import { expect, it, onTestFinished } from 'vitest';

import { leased, startFleet, type Sidecar } from '../support/fleet.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startRedis } from '../support/redis.ts';

const url = '/forecast?location=berlin';

async function explained(sidecar: Sidecar): Promise<Record<string, unknown>> {
  const { status, body } = await sidecar.call('/api/explain', { url });
  expect(status).toBe(200);
  return body;
}

/** All that counts what was stored, read, written and refused; renewals of the lease and the counters go on by themselves. */
async function counted(sidecar: Sidecar): Promise<readonly string[]> {
  const text = await sidecar.metrics();
  const lines = text.split('\n').filter((line) => /^forecache_(redis|reads|store|limit|hits|misses)/.test(line));
  const ofRequests = lines.filter((line) => !line.includes('operation="counters"'));
  expect(ofRequests.length).toBeGreaterThan(10);
  return ofRequests;
}

async function twoOnOneRedis() {
  const redis = await startRedis();
  onTestFinished(async () => redis[Symbol.asyncDispose]());
  const origin = await startOrigin(answer(200, {}, 'a forecast'));
  onTestFinished(async () => origin[Symbol.asyncDispose]());
  const [first, second] = await startFleet({ count: 2, redis: `{ url: "${redis.url}" }`, origin: origin.url });
  if (first === undefined || second === undefined) throw new Error('no fleet');
  await first.get(url);
  await expect.poll(() => explained(second)).toMatchObject({ stored: { tier: 'redis', valid: true } });
  return { redis, first, second };
}

it('explains what another process stored and a purge covers, and counts nothing for it', async () => {
  const { first, second } = await twoOnOneRedis();
  const before = await counted(second);
  await explained(second);
  expect(await counted(second)).toEqual(before);
  expect(await first.call('/api/purge', { url })).toMatchObject({ status: 200 });
  const afterPurge = await counted(second);
  expect(await explained(second)).toMatchObject({
    stored: { tier: 'redis', status: 200, valid: false, invalidBecause: 'purged', position: { seq: 0 } },
    coherence: { leased: true, applied: 1 },
    decision: { would: 'miss', fwd: 'uri-miss' },
  });
  expect(await counted(second)).toEqual(afterPurge);
  // What it says is what happens.
  expect((await second.get(url)).cacheStatus).toContain('fwd=uri-miss');
});

it('explains what is of an epoch that has ended', async () => {
  const { redis, first, second } = await twoOnOneRedis();
  const { epoch } = Object((await explained(second))['coherence']);
  await redis.cli('del', 'forecache:{forecache}:ctl', 'forecache:{forecache}:log');
  await expect.poll(async () => Object((await explained(second))['coherence'])['epoch']).not.toBe(epoch);
  await leased(second);
  const before = await counted(second);
  expect(await explained(second)).toMatchObject({
    stored: { tier: 'redis', valid: false, invalidBecause: 'epoch', position: { epoch } },
    decision: { would: 'miss', fwd: 'uri-miss' },
  });
  expect(await counted(second)).toEqual(before);
  await leased(first);
  // Its memory lets go of it soon; Redis has it still.
  expect(await explained(first)).toMatchObject({ stored: { valid: false, invalidBecause: 'epoch' } });
});
