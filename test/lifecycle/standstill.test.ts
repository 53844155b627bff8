import { setTimeout as wait } from 'node:timers/promises';

import { describe, expect, it, onTestFinished } from 'vitest';

import { buildFirst } from '../support/build-first.ts';
import { head, get } from '../support/hostile.ts';
import { launchServe, type Served } from '../support/launch.ts';
import { answer, huge, startOrigin, type Origin, type OriginScript } from '../support/origin.ts';
import { openRaw, type RawConnection } from '../support/raw.ts';

buildFirst();

const MiB = 1024 * 1024;

// More than the kernel's buffers of both ends take on loopback.
const total = 24 * MiB;

/** All of them, and less than a standstill of {@link standStill}. */
const limitMs = 1500;

interface Bench {
  readonly origin: Origin;
  readonly program: Served;
  readonly open: () => Promise<RawConnection>;
  /** Lets upstream answer what it has kept waiting. */
  readonly answerAll: () => void;
}

async function bench(fastLane = true): Promise<Bench> {
  const { promise: gate, resolve: answerAll } = Promise.withResolvers<void>();
  const script: OriginScript = async (request, peer) => {
    if (request.target.endsWith('/big')) return huge(total, 'content-length')(request, peer);
    if (request.target.endsWith('/late')) await gate;
    return answer(200, {}, 'content')(request, peer);
  };
  const origin = await startOrigin(script);
  onTestFinished(() => origin[Symbol.asyncDispose]());
  const limit = `${limitMs}ms`;
  const program = await launchServe(`
server:
  listen: 127.0.0.1:0
  fastLane: ${fastLane}
  timeouts: { headers: ${limit}, request: ${limit}, keepAlive: ${limit}, send: ${limit} }
admin: { listen: "127.0.0.1:0" }
upstreams: { api: { origin: "${origin.url}", timeout: ${limit} } }
routes:
  - { name: stored, match: /c/*, upstream: api, ttl: 10m, maxStoredBytes: 32MiB }
  - { name: relayed, match: /r/*, upstream: api, cache: off }
`);
  const open = async (): Promise<RawConnection> => {
    const connection = await openRaw(program.proxy);
    onTestFinished(() => connection[Symbol.dispose]());
    return connection;
  };
  return { origin, program, open, answerAll };
}

/** The process stands still for longer than each of its limits, and `meanwhile` everything comes in time. */
async function standStill({ program }: Bench, meanwhile: () => Promise<void>): Promise<void> {
  program.signal('SIGSTOP');
  try {
    await meanwhile();
    await wait(2 * limitMs);
  } finally {
    program.signal('SIGCONT');
  }
}

/** A request behind which the connection is kept. */
function kept(target: string): string {
  return head(`GET ${target} HTTP/1.1`, 'Host: api.test');
}

/** Asks, and takes nothing of the answer until it is resumed. */
async function deaf(open: Bench['open'], target: string): Promise<RawConnection> {
  const connection = await open();
  connection.socket.pause();
  await connection.send(get(target));
  return connection;
}

describe('A process that stood still', () => {
  it.each([true, false])('ends nothing for being late that came in time meanwhile (fastLane: %s)', async (fastLane) => {
    const stage = await bench(fastLane);
    const { open, origin, answerAll } = stage;
    const idle = { relayed: await open(), stored: await open() };
    for (const target of ['/c/x', '/c/x', '/c/x']) {
      await idle.stored.send(kept(target));
      expect((await idle.stored.reply()).status).toBe(200);
    }
    await idle.relayed.send(kept('/r/x'));
    expect((await idle.relayed.reply()).status).toBe(200);
    const half = await open();
    await half.send('GET /r/x HTTP/1.1\r\nHo');
    const content = await open();
    await content.send(`${head('POST /r/x HTTP/1.1', 'Host: api.test', 'Content-Length: 4')}ab`);
    const late = [await open(), await open()];
    await late[0]?.send(get('/c/late'));
    await late[1]?.send(get('/r/late'));
    await expect.poll(() => origin.requests.filter(({ target }) => target.endsWith('/late'))).toHaveLength(2);
    await standStill(stage, async () => {
      answerAll();
      await idle.stored.send(kept('/c/x'));
      await idle.relayed.send(kept('/r/x'));
      await half.send('st: api.test\r\n\r\n');
      await content.send('cd');
    });
    const all = [idle.stored, idle.relayed, half, content, ...late];
    const replies = await Promise.all(all.map((connection) => connection.reply()));
    expect(replies.map(({ status, text }) => [status, text])).toEqual(all.map(() => [200, 'content']));
  });

  it.each([
    // Of the one write that this is some has left at first, so that its time is over for the first time without an end.
    ['/c/big', 1.2],
    ['/r/big', 0.7],
  ])('cuts no client off that took what there was for it meanwhile: %s', async (target, limits) => {
    const stage = await bench();
    if (target.startsWith('/c/')) {
      const first = await stage.open();
      await first.send(get(target));
      await first.reply();
    }
    const slow = await deaf(stage.open, target);
    await wait(limits * limitMs);
    await standStill(stage, async () => {
      slow.socket.resume();
    });
    expect((await slow.reply()).body).toHaveLength(total);
  });

  it('ends what had not come whole, and who had taken nothing', async () => {
    const stage = await bench();
    const half = await stage.open();
    await half.send('GET /r/x HTTP/1.1\r\nHo');
    const content = await stage.open();
    await content.send(`${head('POST /r/x HTTP/1.1', 'Host: api.test', 'Content-Length: 4')}a`);
    const quiet = await stage.open();
    await quiet.send(kept('/r/x'));
    expect((await quiet.reply()).status).toBe(200);
    const slow = await deaf(stage.open, '/r/big');
    await wait(1.2 * limitMs);
    const halves = [await stage.open(), await stage.open()];
    await halves[0]?.send('GET /r/x HTTP/1.1\r\nHo');
    await halves[1]?.send(`${head('POST /r/x HTTP/1.1', 'Host: api.test', 'Content-Length: 4')}a`);
    await standStill(stage, async () => {
      await halves[0]?.send('st: a');
      await halves[1]?.send('b');
    });
    for (const connection of [half, content, ...halves]) expect((await connection.reply()).status).toBe(408);
    await quiet.ended();
    slow.socket.resume();
    await slow.ended();
    expect(slow.received.length).toBeLessThan(total);
  });
});
