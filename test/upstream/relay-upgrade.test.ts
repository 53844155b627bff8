import { once } from 'node:events';
import { createServer } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';

import type { UpstreamConfig } from '../../src/core/config.ts';
import { FakeClock } from '../support/clock.ts';
import { answer, silent, startOrigin, type OriginScript } from '../support/origin.ts';
import { rawClient, startRelayHost, type RelayHost, type RelayHostOptions } from '../support/relay-host.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

/** A WebSocket upstream that sends back what it gets. */
async function startEcho() {
  const server = createServer();
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'chat' });
  const heads: string[][] = [];
  sockets.on('connection', (socket, req) => {
    heads.push([req.url ?? '', ...req.rawHeaders]);
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  open.push({
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      await once(server, 'close');
    },
  });
  return { url: `http://127.0.0.1:${address.port}`, port: address.port, heads, sockets };
}

async function setUp(
  script: OriginScript,
  changes: Partial<UpstreamConfig> = {},
  options: Partial<RelayHostOptions> = {},
) {
  const origin = await startOrigin(script);
  open.push(origin);
  const host = await startRelayHost({ ...options, config: upstreamConfig(origin.url, changes) });
  open.push(host);
  return { origin, host };
}

const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
const upgrade = (more = '', protocol = 'websocket'): string =>
  `GET /live HTTP/1.1\r\nHost: proxy.example\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${key}${more}\r\n`;
const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';

/** The only WebSocket of the host ends when that has passed, and not before. */
async function endsAsReset(host: RelayHost, clock: FakeClock, afterMs: number): Promise<void> {
  clock.advance(afterMs - 1);
  expect(host.upgraded[0]?.closed).toBe(false);
  clock.advance(1);
  await host.ended(1);
  expect(host.results[0]).toMatchObject({ status: 101, failure: 'reset' });
}

describe('a WebSocket', () => {
  test('carries texts, binary frames and its close both ways', async () => {
    const echo = await startEcho();
    const credentials = { query: new Map([['token', 'S3CRET']]), headers: new Map([['x-key', 'H34DER']]) };
    const host = await startRelayHost({ config: upstreamConfig(echo.url, { credentials }) });
    open.push(host);
    const socket = new WebSocket(`ws://127.0.0.1:${host.port}/live?TOKEN=x&q=1`, ['chat'], {
      headers: { 'X-Forwarded-For': '1.2.3.4', X_Forwarded_For: '1.2.3.4', 'x-key': 'theirs', X_Key: 'theirs' },
    });
    await once(socket, 'open');
    const big = Buffer.alloc(300_000, 7);
    for (const message of ['hello', big]) {
      socket.send(message);
      const [data]: Buffer[] = await once(socket, 'message');
      expect(Buffer.compare(data ?? Buffer.alloc(0), Buffer.from(message))).toBe(0);
    }
    socket.close(4001, 'done');
    const [code]: number[] = await once(socket, 'close');
    expect([code, socket.protocol]).toEqual([4001, 'chat']);
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 101, problem: undefined, failure: undefined, aborted: false });
    expect(host.results[0]?.bytesSent).toBeGreaterThan(300_000);
    const head = echo.heads[0]?.join('\n') ?? '';
    expect(echo.heads[0]?.[0]).toBe('/live?q=1&token=S3CRET');
    expect(head).toContain(`127.0.0.1:${echo.port}`);
    expect(head).toContain('H34DER');
    expect(head).not.toMatch(/theirs|1\.2\.3\.4/);
  });

  test('ends upstream when the client vanishes, and at the client when upstream does', async () => {
    const echo = await startEcho();
    const host = await startRelayHost({ config: upstreamConfig(echo.url) });
    open.push(host);
    const first = new WebSocket(`ws://127.0.0.1:${host.port}/`);
    await once(first, 'open');
    first.terminate();
    await host.ended(1);
    await expect.poll(() => echo.sockets.clients.size).toBe(0);
    const second = new WebSocket(`ws://127.0.0.1:${host.port}/`);
    await once(second, 'open');
    await expect.poll(() => echo.sockets.clients.size).toBe(1);
    for (const socket of echo.sockets.clients) socket.terminate();
    const [code]: number[] = await once(second, 'close');
    expect(code).toBe(1006);
    await host.ended(2);
    expect(host.uncaught).toEqual([]);
  });

  test('that upstream resets while its client takes nothing, and that its client resets then, is over', async () => {
    const gate = Promise.withResolvers<void>();
    const { origin, host } = await setUp(async (_request, peer) => {
      await peer.write(`${switching}\r\n`);
      void peer.write(Buffer.alloc(32 * 1024 * 1024)).catch(() => undefined);
      await gate.promise;
      peer.reset();
    });
    using client = await rawClient(host.port, upgrade());
    await client.until('101');
    client.socket.pause();
    await expect.poll(() => host.upgraded[0]?.writableNeedDrain).toBe(true);
    gate.resolve();
    await expect.poll(() => origin.openConnections).toBe(0);
    // Upstream's end stands behind what nobody reads: writing meets it first.
    client.send('hello');
    await expect.poll(() => host.upgraded[0]?.bytesRead).toBe(upgrade().length + 5);
    client.socket.resetAndDestroy();
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 101, failure: 'reset' });
  });

  test('whose client is gone ends although its upstream takes nothing, after as long as a body may stall', async () => {
    const clock = new FakeClock();
    const gate = Promise.withResolvers<void>();
    const { host } = await setUp(
      async (_request, peer) => {
        await peer.write(`${switching}\r\n`);
        peer.socket.pause();
        await gate.promise;
        await peer.write('anybody there?').catch(() => undefined);
        await peer.closed();
      },
      { bodyTimeoutMs: 300 },
      { clock },
    );
    using client = await rawClient(host.port, upgrade());
    await client.until('101');
    client.send(Buffer.alloc(32 * 1024 * 1024));
    await expect.poll(() => host.upgraded[0]?.isPaused()).toBe(true);
    client.socket.resetAndDestroy();
    gate.resolve();
    await expect.poll(() => host.upgraded[0]?.closed).toBe(true);
    expect(host.results).toEqual([]);
    clock.advance(300);
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 101 });
  });

  test('that upstream resets ends although its client takes nothing, after as long as a body may stall', async () => {
    const clock = new FakeClock();
    const { host } = await setUp(
      async (_request, peer) => {
        await peer.write(`${switching}\r\n`);
        // Until something is left for the client, and not so much that nothing more is read for it.
        while (host.upgraded[0]?.writableLength === 0) {
          await peer.write(Buffer.alloc(4096));
          await turn();
        }
        peer.reset();
      },
      { bodyTimeoutMs: 300 },
      { clock },
    );
    using client = await rawClient(host.port, upgrade());
    client.socket.pause();
    await expect.poll(() => host.upgraded[0]?.writableEnded).toBe(true);
    expect(host.upgraded[0]?.writableLength).toBeGreaterThan(0);
    await endsAsReset(host, clock, 300);
  });

  test('that upstream resets unseen ends as long after writing met that, although its client takes nothing', async () => {
    const clock = new FakeClock();
    const gate = Promise.withResolvers<void>();
    const { origin, host } = await setUp(
      async (_request, peer) => {
        await peer.write(`${switching}\r\n`);
        void peer.write(Buffer.alloc(32 * 1024 * 1024)).catch(() => undefined);
        await gate.promise;
        peer.reset();
      },
      { bodyTimeoutMs: 300 },
      { clock },
    );
    using client = await rawClient(host.port, upgrade());
    await client.until('101');
    client.socket.pause();
    await expect.poll(() => host.upgraded[0]?.writableNeedDrain).toBe(true);
    gate.resolve();
    await expect.poll(() => origin.openConnections).toBe(0);
    const { pending } = clock;
    client.send('hello');
    await expect.poll(() => clock.pending).toBe(pending + 1);
    await endsAsReset(host, clock, 300);
  });

  test('whose client said goodbye ends at upstream, too, and nothing of it is timed any more', async () => {
    const clock = new FakeClock();
    const { origin, host } = await setUp(
      async (_request, peer) => {
        await peer.write(`${switching}\r\n`);
        await peer.closed();
      },
      {},
      { clock },
    );
    using client = await rawClient(host.port, upgrade());
    await client.until('101');
    // The one that all relays have in common may be set still.
    const before = clock.pending;
    client.socket.end();
    await host.ended(1);
    await expect.poll(() => origin.openConnections).toBe(0);
    expect(clock.pending).toBe(before);
  });

  test('that is quiet is left alone for longer than any body may stall', async () => {
    const clock = new FakeClock();
    const { host } = await setUp((_request, peer) => peer.write(`${switching}\r\n`), {}, { clock });
    using client = await rawClient(host.port, upgrade());
    await client.until('\r\n\r\n');
    clock.advance(3_600_000);
    expect(client.socket.closed).toBe(false);
  });

  test('has a 101 without secrets, foreign hop-by-hop fields and with our marks', async () => {
    const more =
      'X-Echo: S3CRET\r\nKeep-Alive: timeout=5\r\nCache-Status: edge; fwd=bypass\r\nX-Latin: \xe9\r\n\r\nfirst';
    const { host } = await setUp((_request, peer) => peer.write(switching + more), {
      credentials: { query: new Map([['token', 'S3CRET']]), headers: new Map() },
    });
    using client = await rawClient(host.port, upgrade());
    await client.until('first');
    const head = client.received.slice(0, client.received.indexOf('\r\n\r\n')).toLowerCase().split('\r\n');
    expect(head[0]).toBe('http/1.1 101 switching protocols');
    expect(head).toEqual(
      expect.arrayContaining([
        'x-echo: ***',
        'via: 1.1 forecache',
        'cache-status: edge; fwd=bypass',
        'cache-status: forecache; fwd=bypass',
      ]),
    );
    expect(head.join('\n')).not.toMatch(/keep-alive/);
  });
});

describe('an upgrade', () => {
  test.each([
    ['to something else', upgrade('', 'h2c')],
    ['with content', upgrade('Content-Length: 5\r\n')],
    ['by POST', upgrade().replace('GET', 'POST')],
  ])('%s is refused', async (_name, request) => {
    const { origin, host } = await setUp(silent);
    using client = await rawClient(host.port, request);
    expect(await client.ended).toBe('fin');
    expect(client.received).toMatch(/^HTTP\/1\.1 400 [\s\S]*upgrade-unsupported/);
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 400, problem: 'upgrade-unsupported', aborted: false });
    expect(origin.connections).toBe(0);
  });

  test('that upstream answers otherwise gets that answer, and the connection ends', async () => {
    const { host } = await setUp(
      answer(403, { Connection: 'X-Hop', 'X-Hop': '1', 'Content-Type': 'text/plain' }, 'no'),
    );
    using client = await rawClient(host.port, upgrade());
    expect(await client.ended).toBe('fin');
    expect(client.received).toMatch(/^HTTP\/1\.1 403 /);
    expect(client.received.endsWith('\r\n\r\nno')).toBe(true);
    expect(client.received.toLowerCase()).not.toContain('x-hop');
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 403, bytesSent: 2, aborted: false });
  });

  test('that upstream switches to something else is a 502', async () => {
    const { origin, host } = await setUp((_request, peer) =>
      peer.write(switching.replace('websocket', 'other') + '\r\n'),
    );
    using client = await rawClient(host.port, upgrade());
    await client.ended;
    expect(client.received).toMatch(/^HTTP\/1\.1 502 [\s\S]*upstream-malformed/);
    await expect.poll(() => origin.openConnections).toBe(0);
  });

  test('with nobody upstream is a 502, with silence a 504', async () => {
    const clock = new FakeClock();
    const { origin, host } = await setUp(silent, { headersTimeoutMs: 3000 }, { clock });
    using waiting = await rawClient(host.port, upgrade());
    await origin.arrived(1);
    const nudge = setInterval(() => clock.advance(1000), 20);
    await waiting.ended;
    clearInterval(nudge);
    expect(waiting.received).toMatch(/^HTTP\/1\.1 504 /);
    await origin.close();
    using refused = await rawClient(host.port, upgrade());
    await refused.ended;
    expect(refused.received).toMatch(/^HTTP\/1\.1 502 [\s\S]*upstream-unreachable/);
    open.shift();
  });

  test('that the client gives up ends upstream, too', async () => {
    const { origin, host } = await setUp(silent);
    using client = await rawClient(host.port, upgrade());
    await origin.arrived(1);
    client.socket.resetAndDestroy();
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 0, aborted: true });
    await expect.poll(() => origin.openConnections).toBe(0);
  });
});
