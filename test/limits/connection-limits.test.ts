import { setTimeout } from 'node:timers/promises';

import { describe, expect, it, onTestFinished } from 'vitest';

import { ParsedRequests, read } from '../support/fast-lane.ts';
import { get, head, startStage, type Stage } from '../support/hostile.ts';
import { limitHits, outcomes, samples, upstreamCalls } from '../support/metrics.ts';
import { answer, gated, silent } from '../support/origin.ts';
import type { RawConnection } from '../support/raw.ts';

function kept(target: string): string {
  return head(`GET ${target} HTTP/1.1`, 'Host: api.test');
}

/** A connection that has been served and stays open. */
async function served(stage: Stage): Promise<RawConnection> {
  const connection = await stage.open();
  onTestFinished(() => connection[Symbol.dispose]());
  await connection.send(kept('/c/x'));
  expect((await connection.reply()).status).toBe(200);
  return connection;
}

describe('How many', () => {
  it('exactly maxConnections are served, one more is told 429 and closed', async () => {
    await using stage = await startStage({ server: 'limits: { maxConnections: 3 }' });
    const open = [await served(stage), await served(stage), await served(stage)];
    expect(await limitHits(stage.admin)).toEqual({});

    const { replies, rest, end } = await stage.converse('');
    expect(replies.map((reply) => [reply.status, reply.field('retry-after'), reply.field('connection')])).toEqual([
      [429, '1', 'close'],
    ]);
    expect(JSON.parse(replies[0]?.text ?? '')).toMatchObject({ type: 'urn:forecache:problem:too-many-connections' });
    expect([rest.length, end]).toEqual([0, 'fin']);
    expect(await limitHits(stage.admin)).toEqual({ 'server.limits.maxConnections': 1 });
    // Nor does its end make room.
    await expect.poll(async () => (await samples(stage.admin)).get('forecache_connections')).toBe(3);
    expect((await stage.converse('')).replies.map((reply) => reply.status)).toEqual([429]);

    // Those that are open stay so, and one that goes makes room.
    await open[0]?.send(kept('/c/x'));
    expect((await open[0]?.reply())?.status).toBe(200);
    open[1]?.socket.end();
    await open[1]?.ended();
    await served(stage);
  });

  it('what is asked on a connection too many is not served behind its refusal', async () => {
    await using stage = await startStage({ server: 'limits: { maxConnections: 1 }' });
    const only = await served(stage);
    using refused = await stage.open();
    await refused.send(kept('/c/refused') + kept('/c/refused'));
    expect((await refused.reply()).status).toBe(429);
    await refused.ended();
    expect(refused.received.length).toBe(0);
    await only.send(kept('/c/y'));
    await only.reply();
    expect(stage.asked()).toEqual(['/c/x', '/c/y']);
    expect(await outcomes(stage.admin)).toEqual({ miss: 2, rejected: 1 });
  });

  it('a connection serves exactly maxRequestsPerConnection, the last one says so, nothing behind it is looked at', async () => {
    await using stage = await startStage({ server: 'limits: { maxRequestsPerConnection: 3 }' });
    const targets = ['/c/1', '/c/2', '/c/3', '/c/4', '/c/5'];
    const { replies, rest } = await stage.converse(targets.map(kept).join(''));
    expect(replies.map((reply) => [reply.status, reply.field('connection') === 'close'])).toEqual([
      [200, false],
      [200, false],
      [200, true],
    ]);
    expect(rest.length).toBe(0);
    expect(stage.asked()).toEqual(['/c/1', '/c/2', '/c/3']);
    expect(await limitHits(stage.admin)).toEqual({ 'server.limits.maxRequestsPerConnection': 1 });
    await stage.sound();
  });

  it.each([
    ['upstream gives no answer to', '', 502],
    ['is refused for its content', `Content-Length: ${1024 * 1024}`, 413],
  ])('the last request of a connection ends it where it is relayed, and %s', async (_what, field, status) => {
    await using stage = await startStage({
      server: 'limits: { maxRequestsPerConnection: 1, maxBodyBytes: 1KiB }, timeouts: { keepAlive: 1h }',
      script: (_request, peer) => peer.reset(),
    });
    const { replies } = await stage.converse(head('DELETE /r/x HTTP/1.1', 'Host: api.test', field || 'X-A: b'));
    expect(replies.map((reply) => [reply.status, reply.field('connection')])).toEqual([[status, 'close']]);
  });

  it('exactly maxPipelined requests of a connection run at once, one more waits for the first to end', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      server: 'limits: { maxPipelined: 3 }',
      script: gated(gate.promise, answer(200, {}, 'late')),
    });
    using connection = await stage.open();
    await connection.send(['/c/1', '/h/2', '/r/3'].map(kept).join(''));
    await stage.origin.arrived(3);
    expect(await limitHits(stage.admin)).toEqual({});

    await connection.send(kept('/r/4'));
    await expect.poll(() => limitHits(stage.admin)).toEqual({ 'server.limits.maxPipelined': 1 });
    // What another connection asks for comes upstream all the same, and shows that what was to come has come.
    const other = stage.get('/r/other');
    await stage.origin.arrived(4);
    expect(stage.asked().toSorted()).toEqual(['/c/1', '/h/2', '/r/3', '/r/other']);

    gate.resolve();
    expect((await other).text).toBe('late');
    for (let count = 0; count < 4; count += 1) expect((await connection.reply()).text).toBe('late');
    expect(stage.asked().at(-1)).toBe('/r/4');
    await stage.sound();
  });

  it('a relay that has passed exactly maxHops of our kind goes on, one more is a 508', async () => {
    await using stage = await startStage({ server: 'limits: { maxHops: 3 }' });
    const of = (...via: string[]) => stage.get('/r/x', { headers: { via } });
    expect((await of('1.1 forecache, 1.0 forecache (a)', '1.1 edge', 'HTTP/1.1 Forecache')).status).toBe(200);
    const refused = await of('1.1 forecache, 1.0 forecache (a)', '1.1 edge', 'HTTP/1.1 Forecache,2 forecache');
    expect([refused.status, JSON.parse(refused.text)]).toMatchObject([508, { type: /loop-detected$/ }]);
    expect(await limitHits(stage.admin)).toEqual({ 'server.limits.maxHops': 1 });
    // What is cached carries no Via of its client on, and others of the same request are not to be refused for it.
    const cached = await stage.get('/c/x', { headers: { via: Array(9).fill('1.1 forecache').join(', ') } });
    expect(cached.status).toBe(200);
    expect(stage.asked()).toEqual(['/r/x', '/c/x']);
    await stage.sound();
  });

  it('a relay that an upstream leads back comes by as often as maxHops says, and the 508 goes back the whole way', async () => {
    await using stage = await startStage({
      server: 'limits: { maxHops: 3 }',
      script: async (request, peer) => {
        const via = request.lines.flatMap(([name, value]) => (name.toLowerCase() === 'via' ? [value] : []));
        const { status, text } = await stage.get('/r/round', { headers: { via } });
        await peer.respond(status, {}, text);
      },
    });
    const reply = await stage.get('/r/round');
    expect([reply.status, JSON.parse(reply.text)]).toMatchObject([508, { type: /loop-detected$/ }]);
    expect(stage.asked()).toHaveLength(4);
  });

  it('of a connection with 64 that wait nothing more is read, and all of it later', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({ script: gated(gate.promise, answer(200, {}, 'late')) });
    using connection = await stage.open();
    const inFlight = async (): Promise<number> => {
      // The call of the scrape is none of the data listener.
      return (await samples(stage.admin)).get('forecache_requests_in_flight') ?? 0;
    };
    await connection.send(kept('/c/x').repeat(8 + 64));
    await expect.poll(inFlight).toBe(8 + 64);
    // What had been read by then is looked at, and what is sent from then on is not read.
    const sent = connection.send(kept('/c/x').repeat(5000));
    await setTimeout(200);
    const held = await inFlight();
    expect(held).toBeLessThan(8 + 64 + (64 * 1024) / kept('/c/x').length);

    gate.resolve();
    await sent;
    for (let count = 0; count < 8 + 64 + 5000; count += 1) expect((await connection.reply()).text).toBe('late');
    expect(await inFlight()).toBe(0);
    await stage.sound();
  });
});

describe('A connection with 64 requests behind its last one', () => {
  // HTTP/1.1 without Host: so short that much of it stands in one packet.
  const short = 'GET / HTTP/1.1\r\n\r\n';

  it.each([
    ['one that is refused for its form', '', 0, 2],
    ['one that offers another protocol', head('GET /c/2 HTTP/1.1', 'Host: api.test', 'Upgrade: h2c'), 0, 2],
    ['the last one that a connection has', kept('/c/2') + kept('/c/3'), 3, 3],
  ])('is not read on before it has been answered: behind %s', async (_what, last, most, answered) => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      script: gated(gate.promise, answer(200, {}, 'late')),
      server: `limits: { maxRequestsPerConnection: ${most} }`,
    });
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await connection.send(kept('/c/1') + last);
    await stage.origin.arrived(last === '' ? 1 : answered);
    const behind = 20_000;
    // More than the kernel's buffers take: a client that reads only when it has sent all gets its answers if it is read on at the end.
    const sent = connection.send(short.repeat(behind) + 'x'.repeat(8 * 1024 * 1024));
    await expect.poll(() => parsed.count).toBeGreaterThan(64);
    await read();
    // What had been read with the last of them was looked at: one packet, and what may have come in pieces before it.
    expect(parsed.count).toBeLessThan(answered + 64 + (2 * 64 * 1024) / short.length);
    gate.resolve();
    await sent;
    const statuses: number[] = [];
    for (let count = 0; count < answered; count += 1) statuses.push((await connection.reply()).status);
    expect(statuses).toEqual(last === '' ? [200, 400] : Array.from({ length: answered }, () => 200));
    expect(await connection.ended()).toBe('fin');
    expect(parsed.count).toBeLessThan(behind / 2);
    await stage.sound();
  });
});

describe('A connection of which nothing is read', () => {
  const big = 'x'.repeat(4_000_000);

  it.each([
    ['behind a request with content', `${head('POST /r/p HTTP/1.1', 'Host: api.test', 'Content-Length: 1')}x`],
    ['behind requests alone', ''],
  ])('stays so whatever node:http does: %s', async (_what, tail) => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({ script: gated(gate.promise, answer(200, {}, 'late')) });
    using connection = await stage.open();
    await connection.send(kept('/c/x').repeat(80) + tail);
    const inFlight = async (): Promise<number> => (await samples(stage.admin)).get('forecache_requests_in_flight') ?? 0;
    await expect.poll(inFlight).toBeGreaterThanOrEqual(80);
    const sent = connection.send(kept('/c/x').repeat(5000));
    await setTimeout(200);
    expect(await inFlight()).toBeLessThan(81 + (64 * 1024) / kept('/c/x').length);
    gate.resolve();
    await sent;
    for (let count = 0; count < 80; count += 1) expect((await connection.reply()).text).toBe('late');
    const more = 5000 + (tail === '' ? 0 : 1);
    for (let count = 0; count < more; count += 1) expect((await connection.reply()).text).toBe('late');
    await stage.sound();
  });

  it('goes on where its client takes its answers late, on the fast lane too', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      script: (request, peer) =>
        request.target.endsWith('/slow')
          ? gated(gate.promise, answer(200, {}, 'late'))(request, peer)
          : peer.respond(200, {}, request.target.endsWith('/big') ? big : 'small'),
    });
    await stage.get('/c/big');
    using connection = await stage.open();
    for (let count = 0; count < 5; count += 1) {
      await connection.send(kept('/c/a'));
      expect((await connection.reply()).text).toBe('small');
    }
    connection.socket.pause();
    await connection.send(kept('/c/slow') + kept('/c/big').repeat(7) + kept('/c/slow').repeat(64));
    await stage.origin.arrived(3);
    gate.resolve();
    await setTimeout(200);
    await connection.send(kept('/c/a').slice(0, 6));
    await setTimeout(100);
    await connection.send(kept('/c/a').slice(6) + kept('/c/a').repeat(200));
    connection.socket.resume();
    const texts: string[] = [];
    for (let count = 0; count < 1 + 7 + 64 + 201; count += 1) texts.push((await connection.reply()).text);
    expect(texts.map((text) => text.length)).toEqual([
      4,
      ...Array<number>(7).fill(big.length),
      ...Array<number>(64).fill(4),
      ...Array<number>(201).fill(5),
    ]);
    await stage.sound();
  });

  it('does not end for half a head of which the rest has come in time', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      server: 'timeouts: { headers: 200ms }',
      script: gated(gate.promise, answer(200, {}, 'late')),
    });
    using connection = await stage.open();
    await connection.send(kept('/c/x').repeat(8 + 64) + kept('/c/x').slice(0, 9));
    await setTimeout(50);
    await connection.send(kept('/c/x').slice(9));
    await setTimeout(600);
    gate.resolve();
    for (let count = 0; count < 8 + 64 + 1; count += 1) expect((await connection.reply()).text).toBe('late');
    expect(Object.keys(await limitHits(stage.admin))).toEqual(['server.limits.maxPipelined']);
    await stage.sound();
  });
});

describe('How long', () => {
  it('a connection that is idle for keepAlive is closed, one that asks before is served', async () => {
    await using stage = await startStage({ server: 'timeouts: { keepAlive: 250ms }' });
    const connection = await served(stage);
    await connection.send(kept('/c/x'));
    expect((await connection.reply()).status).toBe(200);
    const startedMs = performance.now();
    expect(await connection.ended()).toBe('fin');
    expect(performance.now() - startedMs).toBeGreaterThan(200);
    expect(connection.received.length).toBe(0);
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.keepAlive': 1 });
    await stage.sound();
  });

  it('the idle time says nothing about a response that upstream takes longer for', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    await using stage = await startStage({
      server: 'timeouts: { keepAlive: 100ms, send: 100ms }',
      script: async (request, peer) => {
        if (request.target.endsWith('/slow')) await gate;
        await peer.respond(200, {}, 'late');
      },
    });
    const idle = await served(stage);
    const connection = await served(stage);
    await connection.send(kept('/c/slow'));
    await connection.send(kept('/r/slow'));
    // The other one was idle all the while and is gone by now.
    await idle.ended();
    open();
    expect([(await connection.reply()).text, (await connection.reply()).text]).toEqual(['late', 'late']);
  });

  it.each([
    ['nothing at all', ''],
    ['half a head', 'GET /c/x HTTP/1.1\r\nHost: api.test\r\nX-Slow:'],
  ])('%s within the headers timeout is a 408', async (_what, begun) => {
    await using stage = await startStage({ server: 'timeouts: { headers: 100ms }' });
    const { replies, rest, end } = await stage.converse(begun);
    expect(replies.map((reply) => [reply.status, reply.field('content-type'), reply.field('connection')])).toEqual([
      [408, 'application/problem+json', 'close'],
    ]);
    expect([rest.length, end]).toEqual([0, 'fin']);
    expect(stage.asked()).toEqual([]);
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.headers': 1 });
    await stage.sound();
  });

  it('a head in pieces that is whole within the headers timeout is served', async () => {
    await using stage = await startStage({ server: 'timeouts: { headers: 2s }' });
    const whole = get('/c/x');
    const { replies } = await stage.converse(whole.split(/(?<=[^\r])/));
    expect(replies.map((reply) => reply.status)).toEqual([200]);
    expect(await limitHits(stage.admin)).toEqual({});
  });

  it('the headers timeout holds for further requests of a connection, from their first byte', async () => {
    await using stage = await startStage({ server: 'timeouts: { headers: 150ms, keepAlive: 5s }' });
    const connection = await served(stage);
    await connection.send('GET /c/y HTTP/1.1\r\n');
    expect((await connection.reply()).status).toBe(408);
    await connection.ended();
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.headers': 1 });
  });

  it('content that is not whole within the request timeout is a 408, and upstream’s call ends', async () => {
    await using stage = await startStage({ server: 'timeouts: { headers: 100ms, request: 150ms }', script: silent });
    using connection = await stage.open();
    await connection.send(`${head('POST /r/x HTTP/1.1', 'Host: api.test', 'Content-Length: 100')}only a part`);
    const reply = await connection.reply();
    expect([reply.status, reply.field('content-type'), reply.field('connection')]).toEqual([
      408,
      'application/problem+json',
      'close',
    ]);
    expect(reply.field('cache-status')).toBe('forecache; fwd=bypass; detail=request-timeout');
    expect(await connection.ended()).toBe('fin');
    expect(connection.received.length).toBe(0);
    await expect.poll(() => stage.origin.openConnections).toBe(0);
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.request': 1 });
    expect(await outcomes(stage.admin)).toEqual({ rejected: 1 });
    expect(await upstreamCalls(stage.admin)).toEqual({ aborted: 1 });
  });

  it('content that is whole within the request timeout is relayed, however long upstream thinks then', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    await using stage = await startStage({
      server: 'timeouts: { headers: 100ms, request: 100ms, keepAlive: 100ms }',
      script: async (request, peer) => {
        if (request.target === '/r/x') await gate;
        await peer.respond(200, {}, request.body);
      },
    });
    const idle = await served(stage);
    using connection = await stage.open();
    await connection.send(head('POST /r/x HTTP/1.1', 'Host: api.test', 'Content-Length: 4'));
    await connection.send('whole'.slice(0, 4));
    await idle.ended();
    open();
    expect((await connection.reply()).text).toBe('whol');
  });

  it('half-sent content on a cached route is not waited for: 400, and the connection closes', async () => {
    await using stage = await startStage({ server: 'timeouts: { headers: 5s, request: 5s }' });
    const half = `${head('GET /c/x HTTP/1.1', 'Host: api.test', 'Content-Length: 100')}half`;
    const { replies, end } = await stage.converse(half);
    expect(replies.map((reply) => [reply.status, reply.field('connection')])).toEqual([[400, 'close']]);
    expect(JSON.parse(replies[0]?.text ?? '')).toMatchObject({ type: 'urn:forecache:problem:content-not-allowed' });
    expect(end).toBe('fin');
    expect(stage.asked()).toEqual([]);
  });
});
