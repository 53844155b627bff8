import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';

import { head } from '../support/hostile.ts';
import { upstreamCalls } from '../support/metrics.ts';
import { answer, gated, type Origin, type OriginScript, silent, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';
import { openRaw } from '../support/raw.ts';

async function start(script: OriginScript): Promise<{ readonly origin: Origin; readonly proxy: TestProxy }> {
  const origin = await startOrigin(script);
  onTestFinished(() => origin.close());
  const routes = '  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }';
  const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes).replace('timeout: 5s', 'timeout: 20s') });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  return { origin, proxy };
}

describe('A call that nobody shares', () => {
  it.each<readonly [string, ...(readonly string[])]>([
    ['a HEAD', 'HEAD /h/a HTTP/1.1'],
    ['a range', 'GET /h/a HTTP/1.1', 'Range: bytes=0-1'],
    ['a condition', 'GET /h/a HTTP/1.1', 'If-None-Match: "a"'],
    ['a GET with no-cache', 'GET /h/a HTTP/1.1', 'Cache-Control: no-cache'],
  ])('ends with its client: %s', async (_what, ...lines) => {
    const { origin, proxy } = await start(silent);
    using connection = await openRaw(proxy.origin);
    await connection.send(head(...lines, 'Host: a.test'));
    await origin.arrived(1);
    connection.socket.destroy();
    await expect.poll(() => origin.openConnections, { timeout: 3_000 }).toBe(0);
    expect(await upstreamCalls(proxy.admin)).toEqual({ aborted: 1 });
  });

  it('ends with its client on the fast lane too', async () => {
    const asked = new Set<string>();
    const { origin, proxy } = await start((request, peer) => {
      const isFirst = !asked.has(request.target);
      asked.add(request.target);
      if (isFirst)
        return peer.respond(200, { 'Cache-Control': request.target === '/h/n' ? 'no-store' : 'max-age=60' }, 'x');
      return undefined;
    });
    using connection = await openRaw(proxy.origin);
    // What is for nobody else is asked for side by side from then on.
    for (const target of ['/h/a', '/h/a', '/h/a', '/h/a', '/h/n']) {
      await connection.send(head(`GET ${target} HTTP/1.1`, 'Host: a.test'));
      expect((await connection.reply()).status).toBe(200);
    }
    await connection.send(head('GET /h/n HTTP/1.1', 'Host: a.test'));
    await origin.arrived(3);
    connection.socket.destroy();
    await expect.poll(() => upstreamCalls(proxy.admin), { timeout: 3_000 }).toEqual({ '2xx': 2, aborted: 1 });
  });

  it('is none that others may have: that goes on without its client', async () => {
    const gate = Promise.withResolvers<void>();
    const { origin, proxy } = await start(gated(gate.promise, answer(200, { 'Cache-Control': 'max-age=60' }, 'x')));
    using connection = await openRaw(proxy.origin);
    await connection.send(head('GET /h/a HTTP/1.1', 'Host: a.test'));
    await origin.arrived(1);
    connection.socket.destroy();
    await sleep(100);
    gate.resolve();
    await expect.poll(async () => (await proxy.get('/h/a')).cacheStatus).toContain('; hit;');
    expect(await upstreamCalls(proxy.admin)).toEqual({ '2xx': 1 });
  });
});
