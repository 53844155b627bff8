import { describe, expect, it, onTestFinished } from 'vitest';

import { ParsedRequests, warm } from '../support/fast-lane.ts';
import { head, startStage, type Stage } from '../support/hostile.ts';
import { samples } from '../support/metrics.ts';
import { chunk, lastChunk, type OriginScript } from '../support/origin.ts';
import type { RawConnection } from '../support/raw.ts';

const plain = (target: string): string => head(`GET ${target} HTTP/1.1`, 'Host: api.test');

const streamHead = 'HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n';

/** A proxy whose idle connections would outlive the test; `release` lets upstream go on with its answers. */
async function scene(script: (gate: Promise<void>) => OriginScript) {
  const gate = Promise.withResolvers<void>();
  const scripted = script(gate.promise);
  const stage = await startStage({
    script: (request, peer) =>
      request.target.endsWith('/idle') ? peer.respond(200, {}, 'x') : scripted(request, peer),
    server: 'grace: 1h, timeouts: { keepAlive: 1h }',
  });
  onTestFinished(() => stage[Symbol.asyncDispose]());
  return { stage, release: () => gate.resolve() };
}

async function open(stage: Stage): Promise<RawConnection> {
  const connection = await stage.open();
  onTestFinished(() => connection[Symbol.dispose]());
  return connection;
}

/** Begins to end the proxy; resolves when the drain has begun, with what resolves when the proxy has ended. */
async function drain(stage: Stage): Promise<{ readonly stopped: PromiseLike<void> }> {
  const idle = await open(stage);
  await idle.send(plain('/r/idle'));
  await idle.reply();
  const stopped = stage[Symbol.asyncDispose]();
  await idle.ended();
  return { stopped };
}

describe('A drain', () => {
  it.each([
    ['/r/x', false],
    ['/h/x', false],
    ['/r/x', true],
    ['/h/x', true],
  ])(
    'closes the connection of an answer that was being streamed as soon as that has ended (%s, behind one of the fast lane: %s)',
    async (target, isWarm) => {
      const { stage, release } = await scene((gate) => async (_request, peer) => {
        await peer.write(`${streamHead}${chunk('one').toString()}`);
        await gate;
        await peer.write(`${chunk('two').toString()}${lastChunk}`);
      });
      const connection = await open(stage);
      using parsed = new ParsedRequests(stage.url);
      if (isWarm) await warm(connection, parsed, plain('/c/idle'));
      await connection.send(plain(target));
      await expect.poll(() => connection.received.toString()).toContain('one');
      const { stopped } = await drain(stage);
      release();
      const reply = await connection.reply();
      // Its head had left before.
      expect([reply.field('connection'), reply.text]).toEqual(['keep-alive', 'onetwo']);
      expect(await connection.ended()).toBe('fin');
      await stopped;
    },
  );

  it.each(['/r/x', '/h/x', '/c/x'])(
    'tells the client of an answer whose head comes later that its connection ends (%s)',
    async (target) => {
      const { stage, release } = await scene((gate) => async (_request, peer) => {
        await gate;
        await peer.respond(200, {}, 'late');
      });
      const connection = await open(stage);
      await connection.send(plain(target));
      await stage.origin.arrived(1);
      const { stopped } = await drain(stage);
      release();
      const reply = await connection.reply();
      expect([reply.field('connection'), reply.text]).toEqual(['close', 'late']);
      expect(await connection.ended()).toBe('fin');
      await stopped;
    },
  );

  it('leaves the connection of an answer alone that has another behind it, until that has ended', async () => {
    const gates = [0, 1].map(() => Promise.withResolvers<void>());
    const { stage } = await scene(() => async ({ target }, peer) => {
      await peer.write(`${streamHead}${chunk(`${target} `).toString()}`);
      await gates[target === '/r/1' ? 0 : 1]?.promise;
      await peer.write(`${chunk('end').toString()}${lastChunk}`);
    });
    const connection = await open(stage);
    await connection.send(plain('/r/1') + plain('/r/2'));
    await stage.origin.arrived(2);
    await expect.poll(() => connection.received.toString()).toContain('/r/1');
    const inFlight = async (): Promise<number | undefined> =>
      (await samples(stage.admin)).get('forecache_requests_in_flight');
    await expect.poll(inFlight).toBe(2);
    const { stopped } = await drain(stage);
    gates[0]?.resolve();
    expect((await connection.reply()).text).toBe('/r/1 end');
    gates[1]?.resolve();
    expect((await connection.reply()).text).toBe('/r/2 end');
    expect(await connection.ended()).toBe('fin');
    await stopped;
  });

  it('reads a request on its way to its end, which was sent behind an answer that was being streamed', async () => {
    const { stage, release } = await scene((gate) => async ({ target }, peer) => {
      if (target === '/r/late') {
        await peer.respond(200, {}, 'late');
        return;
      }
      await peer.write(`${streamHead}${chunk('one').toString()}`);
      await gate;
      await peer.write(lastChunk);
    });
    const connection = await open(stage);
    const late = plain('/r/late');
    await connection.send(plain('/r/x'));
    await expect.poll(() => connection.received.toString()).toContain('one');
    await connection.send(late.slice(0, 20));
    const { stopped } = await drain(stage);
    release();
    expect((await connection.reply()).text).toBe('one');
    await connection.send(late.slice(20));
    const reply = await connection.reply();
    expect([reply.field('connection'), reply.text]).toEqual(['close', 'late']);
    expect(await connection.ended()).toBe('fin');
    await stopped;
  });
});
