import { describe, expect, it, onTestFinished } from 'vitest';

import { clientBeside } from '../support/client-beside.ts';
import { ParsedRequests, read, warm } from '../support/fast-lane.ts';
import { head, startStage, type Stage } from '../support/hostile.ts';
import { samples } from '../support/metrics.ts';
import type { RawConnection } from '../support/raw.ts';

const plain = (target: string): string => head(`GET ${target} HTTP/1.1`, 'Host: api.test');

/** More than the kernel's buffers of both ends take on loopback. */
const BYTES = 8 * 1024 * 1024;
const large = Buffer.alloc(BYTES, 'x');

interface Scene {
  readonly stage: Stage;
  /** A connection whose next request takes the fast lane, where there is one. */
  readonly open: () => Promise<RawConnection>;
  readonly inFlight: () => Promise<number | undefined>;
}

async function scene(fastLane: boolean, grace = '1h'): Promise<Scene> {
  const stage = await startStage({
    script: (request, peer) =>
      peer.respond(200, { 'Cache-Control': 'max-age=60' }, request.target === '/c/large' ? large : 'small'),
    server: `fastLane: ${fastLane}, grace: ${grace}`,
  });
  onTestFinished(() => stage[Symbol.asyncDispose]());
  const parsed = new ParsedRequests(stage.url);
  onTestFinished(() => parsed[Symbol.dispose]());
  return {
    stage,
    open: async () => {
      const connection = await stage.open();
      onTestFinished(() => connection[Symbol.dispose]());
      if (fastLane) await warm(connection, parsed, plain('/c/small'));
      else await connection.send(plain('/c/small')).then(() => connection.reply());
      return connection;
    },
    inFlight: async () => (await samples(stage.admin)).get('forecache_requests_in_flight'),
  };
}

/** Asks for it, reads nothing, and gives the connection once the answer was written. */
async function slow({ stage, open, inFlight }: Scene, target: string): Promise<RawConnection> {
  const connection = await open();
  connection.socket.pause();
  await connection.send(plain(target));
  await expect.poll(inFlight).toBe(1);
  // A miss is written when it is stored.
  await expect.poll(() => stage.stored()).toHaveLength(2);
  await read();
  return connection;
}

describe.each([true, false])('A drain (fast lane: %s)', (fastLane) => {
  it.each(['hit', 'miss'])(
    'lets an answer leave that was written whole for a client that reads slowly, and closes what is idle at once: a %s',
    async (kind) => {
      const played = await scene(fastLane);
      const { stage, open } = played;
      if (kind === 'hit') await stage.get('/c/large');
      const idle = await open();
      const connection = await slow(played, '/c/large');
      const stopped = stage[Symbol.asyncDispose]();
      await idle.ended();
      connection.socket.resume();
      const { status, body } = await connection.reply();
      expect([status, body.equals(large)]).toEqual([200, true]);
      expect(await connection.ended()).toBe('fin');
      await stopped;
    },
  );

  it('lets answers leave that stand behind one another', async () => {
    const played = await scene(fastLane);
    const { stage, open } = played;
    await stage.get('/c/large');
    const idle = await open();
    const connection = await slow(played, '/c/large');
    await connection.send(plain('/c/small') + plain('/c/large'));
    await expect.poll(played.inFlight).toBe(3);
    const stopped = stage[Symbol.asyncDispose]();
    await idle.ended();
    connection.socket.resume();
    const bodies = [await connection.reply(), await connection.reply(), await connection.reply()];
    expect(bodies.map(({ body }) => body.length)).toEqual([BYTES, 5, BYTES]);
    await connection.ended();
    await stopped;
  });

  it('answers what had come on an idle connection and was not read yet, as the last of it', async () => {
    const { stage, open } = await scene(fastLane);
    const connection = await open();
    // Behind the delay of a drain, which is none here, and before anything is read: both are due in one step.
    setTimeout(() => connection.socket.write(plain('/c/small')), 1);
    const stopped = stage[Symbol.asyncDispose]();
    const fromMs = performance.now();
    while (performance.now() - fromMs < 5);
    const reply = await connection.reply();
    expect([reply.status, reply.text, reply.field('connection')]).toEqual([200, 'small', 'close']);
    await connection.ended();
    await stopped;
  });

  it('answers what had come on a connection that was not let in yet', async () => {
    const { stage, open } = await scene(fastLane);
    const connection = await open();
    const ask = await clientBeside(stage.url, plain('/c/small'));
    const stopped = stage[Symbol.asyncDispose]();
    // Its answer ends while the other one is let in.
    connection.socket.write(plain('/c/small'));
    const { got } = ask();
    expect((await connection.reply()).field('connection')).toBe('close');
    expect(await got).toMatch(/^HTTP\/1\.1 200 [^]*connection: close[^]*\r\n\r\nsmall$/i);
    await stopped;
  });

  it('ends with its grace where a client takes nothing', async () => {
    const played = await scene(fastLane, '100ms');
    await played.stage.get('/c/large');
    const connection = await slow(played, '/c/large');
    await played.stage[Symbol.asyncDispose]();
    connection.socket.resume();
    await connection.ended();
    expect(connection.received.length).toBeLessThan(BYTES);
  });
});
