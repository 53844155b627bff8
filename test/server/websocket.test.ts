import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';

import { head } from '../support/hostile.ts';
import { limitHits, outcomes, samples, upstreamCalls } from '../support/metrics.ts';
import { startTestProxy, type TestProxy } from '../support/proxy.ts';
import { converse } from '../support/raw.ts';

/** A WebSocket upstream that sends back what it gets. */
async function startEcho(): Promise<{ readonly url: string; readonly server: WebSocketServer }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return { url: `http://127.0.0.1:${address.port}`, server };
}

function start(upstream: string, server = 'grace: 200ms'): Promise<TestProxy> {
  return startTestProxy({
    yaml: `
server: { listen: 127.0.0.1:0, ${server} }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams:
  api: { origin: "${upstream}", timeout: 200ms, connectTimeout: 2s }
routes:
  - { name: cached, match: /c/*, upstream: api, ttl: 10m }
  - { name: relayed, match: /r/*, upstream: api, cache: off }
`,
  });
}

async function connect(proxy: TestProxy, path: string): Promise<WebSocket> {
  const socket = new WebSocket(`${proxy.origin.replace('http', 'ws')}${path}`);
  onTestFinished(() => socket.terminate());
  await once(socket, 'open');
  return socket;
}

async function echoed(socket: WebSocket, message: string | Buffer): Promise<Buffer> {
  socket.send(message);
  const [data]: Buffer[] = await once(socket, 'message');
  return data ?? Buffer.alloc(0);
}

const inFlight = async (proxy: TestProxy): Promise<number | undefined> =>
  (await samples(proxy.admin)).get('forecache_requests_in_flight');

describe('A WebSocket through the data listener', () => {
  it.each(['/r/x', '/c/x'])(
    'carries messages both ways and its close, and is recorded once, as relayed (%s)',
    async (path) => {
      const echo = await startEcho();
      await using proxy = await start(echo.url);
      const socket = await connect(proxy, path);
      expect(await inFlight(proxy)).toBe(1);
      expect(await upstreamCalls(proxy.admin)).toEqual({ '1xx': 1 });
      expect((await echoed(socket, 'hello')).toString()).toBe('hello');
      const big = Buffer.alloc(2_000_000, 7);
      expect(Buffer.compare(await echoed(socket, big), big)).toBe(0);
      socket.close(4001, 'done');
      expect((await once(socket, 'close'))[0]).toBe(4001);
      await expect.poll(() => outcomes(proxy.admin)).toEqual({ relayed: 1 });
      expect(await upstreamCalls(proxy.admin)).toEqual({ '1xx': 1 });
      expect([await inFlight(proxy), await limitHits(proxy.admin)]).toEqual([0, {}]);
    },
  );

  it('that is quiet stays for longer than any timeout of requests, answers and idle connections', async () => {
    const echo = await startEcho();
    await using proxy = await start(
      echo.url,
      'grace: 200ms, timeouts: { headers: 100ms, request: 100ms, keepAlive: 100ms, send: 100ms }',
    );
    const socket = await connect(proxy, '/r/x');
    // A connection that is opened now and says nothing is closed when those times have passed.
    await converse(proxy.origin, '');
    await converse(proxy.origin, '');
    await converse(proxy.origin, '');
    expect((await echoed(socket, 'still there')).toString()).toBe('still there');
  });

  it('that upstream refuses gives its answer, and one without an upstream a 502', async () => {
    const echo = await startEcho();
    const refusing = new WebSocketServer({ host: '127.0.0.1', port: 0, verifyClient: () => false });
    await once(refusing, 'listening');
    onTestFinished(() => {
      refusing.close();
    });
    const address = refusing.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    for (const [upstream, status] of [
      [`http://127.0.0.1:${port}`, 401],
      ['http://127.0.0.1:1', 502],
    ] as const) {
      await using proxy = await start(upstream);
      const socket = new WebSocket(`${proxy.origin.replace('http', 'ws')}/r/x`);
      socket.on('error', () => {});
      const [, response] = await once(socket, 'unexpected-response');
      expect(response.statusCode).toBe(status);
      socket.terminate();
      await expect.poll(() => outcomes(proxy.admin)).toEqual(status === 502 ? { error: 1 } : { relayed: 1 });
    }
    expect(echo.server.clients.size).toBe(0);
  });

  it('asked for where no route is gets a 404 and nothing else', async () => {
    const echo = await startEcho();
    await using proxy = await start(echo.url);
    const { replies, end } = await converse(
      proxy.origin,
      head(
        'GET /nowhere HTTP/1.1',
        'Host: api.test',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ),
    );
    expect(replies.map((reply) => [reply.status, reply.field('content-type')])).toEqual([
      [404, 'application/problem+json'],
    ]);
    expect(end).toBe('fin');
    expect(await outcomes(proxy.admin)).toEqual({ rejected: 1 });
  });

  it('ends on one side when the other is gone', async () => {
    const echo = await startEcho();
    await using proxy = await start(echo.url);
    const left = await connect(proxy, '/r/left');
    left.terminate();
    await expect.poll(() => echo.server.clients.size).toBe(0);
    const cut = await connect(proxy, '/r/cut');
    const closed = once(cut, 'close');
    for (const socket of echo.server.clients) socket.terminate();
    // 1006: the connection ended without a Close frame (RFC 6455 §7.1.5).
    expect((await closed)[0]).toBe(1006);
    await expect.poll(() => outcomes(proxy.admin)).toEqual({ relayed: 2 });
  });

  it('does not hold up a drain for longer than the grace', async () => {
    const echo = await startEcho();
    const proxy = await start(echo.url);
    const socket = await connect(proxy, '/r/x');
    const closed = once(socket, 'close');
    const startedMs = performance.now();
    await proxy.app.stop();
    expect(performance.now() - startedMs).toBeLessThan(3_000);
    expect((await closed)[0]).toBe(1006);
  });

  it('ends a drain before the grace when it ends by itself', async () => {
    const echo = await startEcho();
    const proxy = await start(echo.url, 'grace: 1h');
    const socket = await connect(proxy, '/r/x');
    const stopping = proxy.app.stop();
    expect((await echoed(socket, 'while draining')).toString()).toBe('while draining');
    socket.close();
    await stopping;
    await expect.poll(() => echo.server.clients.size).toBe(0);
  });
});
