import { describe, expect, it, onTestFinished } from 'vitest';

import { outcomes, samples, upstreamCalls } from '../support/metrics.ts';
import { answer, gated, startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';

const MINUTE = 60_000;

const routes = `
  - { name: forecast, match: /forecast, upstream: api, ttl: 10m, staleIfError: 6h, softTimeout: 100ms }`;

describe('softTimeout', () => {
  it('answers with what is stored while upstream is slow, and stores what upstream says in the end', async () => {
    const origin = await startOrigin(answer(200, {}, 'old'));
    onTestFinished(() => origin.close());
    const clock = new ShiftedClock();
    const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes), clock });
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    await proxy.get('/forecast');
    clock.advance(15 * MINUTE);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    onTestFinished(() => open());
    origin.script(gated(gate, answer(200, {}, 'new')));

    const replies = await Promise.all([proxy.get('/forecast'), proxy.get('/forecast')]);
    for (const { status, text, cacheStatus } of replies) {
      expect([status, text]).toEqual([200, 'old']);
      expect(cacheStatus).toMatch(/^forecache; fwd=stale; ttl=-30[01]; detail=soft-timeout$/);
    }
    expect(origin.requests).toHaveLength(2);

    open();
    const stored = async (): Promise<number | undefined> =>
      (await samples(proxy.admin)).get('forecache_storage_total{route="forecast",result="stored"}');
    await expect.poll(stored).toBe(2);
    expect((await proxy.get('/forecast')).text).toBe('new');
    // A soft timeout is an answer that is stale, and the call that goes on is nobody's: no miss, no failure.
    expect(await outcomes(proxy.admin)).toEqual({ miss: 1, stale: 2, hit: 1 });
    expect(await upstreamCalls(proxy.admin)).toEqual({ '2xx': 2 });
    expect(origin.requests).toHaveLength(2);
  });
});
