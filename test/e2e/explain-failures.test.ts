import { expect, it, onTestFinished } from 'vitest';

import type { Explanation } from '../../src/cache/operations.ts';
import { answer, silent, startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';
import { StillClock } from '../support/still-clock.ts';

const MINUTE = 60_000;
/** That of `yamlFor`. */
const TIMEOUT = 5_000;

const routes = `
  - { name: ruled, match: /r/*, upstream: api, ttl: 1m, staleIfError: 1h }
  - { name: strict, match: /s/*, upstream: api, ttl: 1m }
`;

/** A proxy with a stale response of `url`, of which one request has waited in vain for upstream. */
async function afterTimeout(url: string) {
  const clock = new StillClock();
  const origin = await startOrigin(answer(200, {}, 'content'));
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes), clock });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  await proxy.get(url);
  clock.advance(2 * MINUTE);
  origin.script(silent);
  const waiting = proxy.get(url);
  await origin.arrived(2);
  clock.advance(TIMEOUT);
  const explain = async (asked: object = {}): Promise<Explanation> => {
    const { body } = await proxy.call('POST', '/api/explain', { url, ...asked });
    return Object(body);
  };
  return { clock, origin, proxy, explain, waited: await waiting };
}

it('explain foresees that behind a timeout what is stale is given at once', async () => {
  const { origin, proxy, explain, waited } = await afterTimeout('/r/a');
  expect(waited.cacheStatus).toBe('forecache; fwd=stale; ttl=-65; detail=stale-error');
  const foreseen = await explain();
  expect(origin.requests).toHaveLength(2);
  const reply = await proxy.get('/r/a');
  expect(reply.cacheStatus).toBe('forecache; hit; ttl=-65; detail=stale-error');
  expect({ status: reply.status, cacheStatus: reply.cacheStatus }).toEqual(foreseen.sent);
  expect(foreseen.decision).toMatchObject({ would: 'stale-error', fwd: null });
  expect(foreseen.decision.reason).toMatch(/timeout.*RFC 5861 §4.*behind the answer/);
  expect(foreseen.notes.map(({ topic }) => topic)).not.toContain('failure');
});

it('explain foresees that upstream is asked as before when that time is over, and what it learns it forgets', async () => {
  const { clock, explain } = await afterTimeout('/r/a');
  await explain({ response: { status: 200 } });
  expect((await explain()).decision.would).toBe('stale-error');
  clock.advance(30_000);
  expect(await explain()).toMatchObject({ decision: { would: 'miss', fwd: 'stale' }, sent: { status: null } });
});

it('explain tells what becomes of an answer that comes behind the stale one', async () => {
  const { explain } = await afterTimeout('/r/a');
  const { answer: supposed } = await explain({ response: { status: 200 } });
  expect(supposed).toMatchObject({
    stored: true,
    sent: { status: 200, cacheStatus: 'forecache; hit; ttl=-65; detail=stale-error' },
  });
});

it('explain has upstream asked behind a timeout where nothing may be given instead', async () => {
  const { waited, explain } = await afterTimeout('/s/a');
  expect(waited.status).toBe(504);
  expect(await explain()).toMatchObject({ decision: { would: 'miss', fwd: 'uri-miss' }, sent: { status: null } });
});
