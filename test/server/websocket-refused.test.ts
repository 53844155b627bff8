import { describe, expect, it, onTestFinished } from 'vitest';

import { read } from '../support/fast-lane.ts';
import { head, startStage, type Stage } from '../support/hostile.ts';
import { limitHits, outcomes, samples } from '../support/metrics.ts';
import { huge, type OriginScript } from '../support/origin.ts';
import type { RawConnection } from '../support/raw.ts';

const plain = (target: string): string => head(`GET ${target} HTTP/1.1`, 'Host: api.test');
const handshake = (target: string): string =>
  head(
    `GET ${target} HTTP/1.1`,
    'Host: api.test',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  );

/** More than the kernel’s buffers of both ends take on loopback. */
const BYTES = 16 * 1024 * 1024;

/** `timeout`: of upstream, which is in this process and stands still with it where the machine is busy. */
async function start(script: OriginScript, { server = 'grace: 200ms', timeout = '10s' } = {}): Promise<Stage> {
  const stage = await startStage({ script, server, upstream: `timeout: ${timeout}` });
  onTestFinished(() => stage[Symbol.asyncDispose]());
  return stage;
}

async function open(stage: Stage): Promise<RawConnection> {
  const connection = await stage.open();
  onTestFinished(() => connection[Symbol.dispose]());
  return connection;
}

/** What the proxy counts as open. */
async function gauges({ admin }: Stage): Promise<readonly (number | undefined)[]> {
  const all = await samples(admin);
  return ['forecache_connections', 'forecache_requests_in_flight'].map((name) => all.get(name));
}

describe('A WebSocket handshake', () => {
  it.each(['content-length', 'chunked', 'close'] as const)(
    'that is answered with a large response gets all of it, and its connection ends (%s)',
    async (framing) => {
      const stage = await start(huge(BYTES, framing));
      const connection = await open(stage);
      await connection.send(handshake('/r/x'));
      expect(await connection.ended()).toBe('fin');
      const { status, body } = await connection.reply();
      expect([status, body.length]).toEqual([200, BYTES]);
      await expect.poll(() => gauges(stage)).toEqual([0, 0]);
      expect(await outcomes(stage.admin)).toEqual({ relayed: 1 });
    },
  );

  it.each([true, false])(
    'whose client goes within a large response leaves nothing open (it read: %s)',
    async (reads) => {
      let sent = 0;
      const stage = await start(huge(64 * 1024 * 1024, 'content-length', (bytes) => (sent = bytes)));
      const connection = await open(stage);
      if (!reads) connection.socket.pause();
      await connection.send(handshake('/r/x'));
      await expect.poll(() => sent).toBeGreaterThan(256 * 1024);
      connection.socket.destroy();
      await expect.poll(() => gauges(stage)).toEqual([0, 0]);
      expect(await outcomes(stage.admin)).toEqual({ aborted: 1 });
    },
  );

  it('that is answered with a response that stalls behind its first megabyte is cut off for upstream’s sake', async () => {
    const stage = await start(
      async (_request, peer) => {
        await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 * 1024 * 1024}\r\n\r\n`);
        await peer.write(Buffer.alloc(1024 * 1024));
        await peer.closed();
      },
      { timeout: '300ms' },
    );
    const connection = await open(stage);
    await connection.send(handshake('/r/x'));
    await connection.ended();
    expect(connection.received.length).toBeGreaterThan(1024 * 1024);
    await expect.poll(() => gauges(stage)).toEqual([0, 0]);
    expect(await outcomes(stage.admin)).toEqual({ error: 1 });
  });

  it.each([
    ['relayed', '/r/x'],
    ['of the cache', '/c/x'],
  ])(
    'whose client takes nothing of a large response is cut off after the send timeout, as any other: one %s',
    async (_kind, target) => {
      const stage = await start(huge(BYTES, 'content-length'), { server: 'grace: 200ms, timeouts: { send: 200ms }' });
      const connection = await open(stage);
      connection.socket.pause();
      await connection.send(handshake(target));
      await expect.poll(() => limitHits(stage.admin)).toEqual({ 'server.timeouts.send': 1 });
      await expect.poll(() => gauges(stage)).toEqual([0, 0]);
      expect(await outcomes(stage.admin)).toEqual({ aborted: 1 });
    },
  );

  it('that no route takes ends its connection, also of a client that does not', async () => {
    const stage = await start(huge(1, 'content-length'));
    const connection = await open(stage);
    connection.socket.pause();
    await connection.send(handshake('/nowhere'));
    await expect.poll(() => outcomes(stage.admin)).toEqual({ rejected: 1 });
    await expect.poll(() => gauges(stage)).toEqual([0, 0]);
    connection.socket.resume();
    expect((await connection.reply()).status).toBe(404);
  });

  it('that is taken up passes on what came with it and behind it, before the switch', async () => {
    const gate = Promise.withResolvers<void>();
    const stage = await start(async (request, peer) => {
      if (request.target !== '/r/x') return peer.respond(200, {}, request.target);
      await gate.promise;
      return peer.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
    const connection = await open(stage);
    await connection.send(handshake('/r/x') + plain('/with'));
    await stage.origin.arrived(1);
    await connection.send(plain('/behind'));
    await read();
    gate.resolve();
    // Upstream reads it as what it likes: here as requests.
    expect([(await connection.reply()).text, (await connection.reply()).text]).toEqual(['/with', '/behind']);
  });
});
