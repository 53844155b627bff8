import { describe, expect, it, onTestFinished } from 'vitest';

import { get, head, startStage, type Stage } from '../support/hostile.ts';
import { limitHits, outcomes, samples } from '../support/metrics.ts';
import { huge } from '../support/origin.ts';
import type { RawConnection } from '../support/raw.ts';

const MiB = 1024 * 1024;

// More than the kernel's buffers of both ends take on loopback.
const total = 24 * MiB;

/** What a slow client takes of it, so that the whole takes a second and a half. */
const bytesPerMs = total / 1500;

const routes = `
  - { name: stored, match: /c/*, upstream: api, ttl: 10m, maxStoredBytes: 32MiB }
  - { name: streamed, match: /s/*, upstream: api, ttl: 10m, maxStoredBytes: 1KiB }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;

function startSlow(send: string): Promise<Stage> {
  return startStage({
    server: `timeouts: { send: ${send} }`,
    script: huge(total, 'content-length'),
    routes,
    // So much takes a busy machine its time.
    upstream: 'timeout: 60s',
  });
}

/** Has what is stored of it fetched, for a client that is sent nothing and so cannot be slow. */
async function store(stage: Stage, target: string): Promise<void> {
  expect((await stage.get(target, { method: 'HEAD' })).status).toBe(200);
  await expect.poll(() => stage.stored()).toHaveLength(1);
}

/** Asks and takes nothing of the answer. */
async function deaf(stage: Stage, target: string): Promise<RawConnection> {
  const connection = await stage.open();
  onTestFinished(() => connection[Symbol.dispose]());
  connection.socket.pause();
  await connection.send(get(target));
  return connection;
}

async function sendHits(stage: Stage): Promise<number> {
  return (await limitHits(stage.admin))['server.timeouts.send'] ?? 0;
}

describe.each([
  ['a stored response', '/c/big'],
  ['a stream', '/s/big'],
  ['a relayed answer', '/r/big'],
])('The send timeout of %s', (_kind, target) => {
  it('cuts off a client that takes nothing of it, and ends upstream’s call', async () => {
    await using stage = await startSlow('150ms');
    if (target.startsWith('/c/')) await store(stage, target);
    const connection = await deaf(stage, target);
    await expect.poll(() => sendHits(stage)).toBe(1);
    await expect.poll(() => outcomes(stage.admin)).toMatchObject({ aborted: 1 });
    // One of them may be kept, idle: that of a response which was stored whole.
    await expect.poll(() => stage.origin.openConnections).toBe(target.startsWith('/c/') ? 1 : 0);
    connection.socket.resume();
    await connection.ended();
    expect(connection.received.length).toBeLessThan(total);
    await stage.sound();
  });

  it('leaves a client alone that takes a little all the time, though the whole takes far longer', async () => {
    await using stage = await startSlow('800ms');
    if (target.startsWith('/c/')) await store(stage, target);
    using connection = await stage.open();
    const { socket } = connection;
    const startedMs = performance.now();
    let firstMs: number | undefined;
    let taken = 0;
    socket.removeAllListeners('data');
    const whole = new Promise<void>((resolve) => {
      // As much as is due by now, also behind a pause of this process: a steady client is late for nothing.
      socket.on('data', (data: Buffer) => {
        taken += data.length;
        firstMs ??= performance.now();
        const waitMs = firstMs + taken / bytesPerMs - performance.now();
        if (waitMs <= 0) return;
        socket.pause();
        setTimeout(() => socket.resume(), waitMs);
      });
      socket.once('end', resolve);
    });
    await connection.send(get(target));
    await whole;
    expect(taken).toBeGreaterThan(total);
    expect(performance.now() - startedMs).toBeGreaterThan(1000);
    expect(await sendHits(stage)).toBe(0);
  });
});

const plain = (method: string, target: string, ...lines: readonly string[]): string =>
  head(`${method} ${target} HTTP/1.1`, 'Host: api.test', ...lines);

describe('The send timeout of what stands behind other responses of its connection', () => {
  it.each([
    ['a stored response', plain('GET', '/c/big')],
    ['many small ones', plain('GET', '/c/small').repeat(5000)],
    ['many heads alone', plain('HEAD', '/c/small').repeat(5000)],
    ['many confirmations', plain('GET', '/c/small', 'If-None-Match: "a"').repeat(5000)],
  ])('cuts off a client that takes nothing: %s', async (_kind, behind) => {
    const large = Buffer.alloc(total);
    await using stage = await startStage({
      server: 'timeouts: { send: 150ms, keepAlive: 1h }',
      // So large that the kernel's buffers do not take all of those heads.
      script: (request, peer) =>
        peer.respond(
          200,
          { ETag: '"a"', 'X-Padding': 'x'.repeat(3000) },
          request.target === '/c/big' ? large : 'small',
        ),
      routes,
    });
    await stage.get('/c/small');
    await stage.get('/c/big');
    using connection = await stage.open();
    connection.socket.pause();
    // Not to be waited for: where answers are not taken, requests are not read.
    connection.socket.write(plain('GET', '/r/first') + behind);
    await expect.poll(() => sendHits(stage), { timeout: 5000 }).toBe(1);
    const inFlight = async () => (await samples(stage.admin)).get('forecache_requests_in_flight');
    await expect.poll(inFlight).toBe(0);
    expect((await samples(stage.admin)).get('forecache_connections')).toBe(0);
  });
});
