import { expect, it, onTestFinished } from 'vitest';

import { buildFirst } from '../support/build-first.ts';
import { leased, startFleet, type Sidecar } from '../support/fleet.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startRedis } from '../support/redis.ts';

buildFirst();

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
  // Its lease may be that of before for a moment. Its memory lets go of it soon; Redis has it still.
  await expect.poll(() => explained(first)).toMatchObject({ stored: { valid: false, invalidBecause: 'epoch' } });
});

const byMode = (['bypass', 'error', 'serve-if-upstream-fails'] as const)
  .map(
    (mode) => `
  - { name: ${mode}, match: "/${mode}", upstream: api, ttl: 1h, staleIfError: 1h, onLeaseLost: ${mode} }`,
  )
  .join('');

/** Seconds pass between what is foreseen and what is asked for. */
function untimed(sent: unknown): unknown {
  const { status, cacheStatus } = Object(sent);
  return { status, cacheStatus: String(cacheStatus).replace(/ttl=\d+/, 'ttl=…') };
}

it('explains what is given without a lease, and what of a failure of upstream', async () => {
  const redis = await startRedis();
  onTestFinished(async () => redis[Symbol.asyncDispose]());
  const origin = await startOrigin(answer(200, {}, 'a forecast'));
  onTestFinished(async () => origin[Symbol.asyncDispose]());
  const [sidecar] = await startFleet({
    count: 1,
    redis: `{ url: "${redis.url}" }`,
    origin: origin.url,
    routes: byMode,
  });
  if (sidecar === undefined) throw new Error('no fleet');
  const paths = ['/bypass', '/error', '/serve-if-upstream-fails'];
  for (const path of paths) await sidecar.get(path);
  await redis.kill();
  const explain = async (path: string, more: object = {}): Promise<Record<string, unknown>> =>
    (await sidecar.call('/api/explain', { url: path, ...more })).body;
  await expect.poll(() => explain('/bypass')).toMatchObject({ coherence: { leased: false } });
  origin.script(answer(503, {}, 'down'));
  const told = [];
  for (const path of paths) {
    const { stored, notes } = await explain(path);
    const { answer: foreseen } = await explain(path, { response: { status: 503 } });
    const reply = await sidecar.get(path);
    expect(untimed(reply)).toEqual(untimed(Object(foreseen).sent));
    const failures = [...Object(notes)].filter(({ topic }) => topic === 'failure').map(({ text }) => text);
    told.push([path, untimed(reply), Object(stored).valid, failures]);
  }
  const noLease = 'no lease on the purge log, so nothing is served from store';
  const stale = 'what is stored, stale: within stale-if-error (RFC 5861 §4)';
  expect(told).toEqual([
    [
      '/bypass',
      { status: 503, cacheStatus: 'forecache; fwd=bypass; detail=lease' },
      false,
      [`if upstream cannot be reached: 502: ${noLease}`, `if upstream answers 5xx or 429: passed on: ${noLease}`],
    ],
    ['/error', { status: 504, cacheStatus: 'forecache; detail=lease' }, false, []],
    [
      '/serve-if-upstream-fails',
      { status: 200, cacheStatus: 'forecache; fwd=bypass; fwd-status=503; ttl=…; detail=lease' },
      false,
      [`if upstream cannot be reached: ${stale}`, `if upstream answers 5xx or 429: ${stale}`],
    ],
  ]);
});
