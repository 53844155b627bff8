import { setTimeout } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { get, head, startStage } from '../support/hostile.ts';
import { outcomes, samples } from '../support/metrics.ts';
import { answer, gated, type OriginScript, silent, truncated } from '../support/origin.ts';

const host = 'Host: api.test';
const plain = (target: string): string => head(`GET ${target} HTTP/1.1`, host);
const post = (target: string, content: string): string =>
  head(`POST ${target} HTTP/1.1`, host, `Content-Length: ${content.length}`) + content;

/** Script: says what came, and how many came before it. */
function counting(): OriginScript {
  let before = 0;
  return (request, peer) =>
    peer.respond(200, { 'Cache-Control': 'max-age=60' }, `${request.method} ${request.body.toString()} ${before++}`);
}

describe('Pipelined requests', () => {
  it('that are all safe are asked upstream side by side, and answered in order', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({ script: gated(gate.promise, counting()) });
    using connection = await stage.open();
    await connection.send(plain('/c/1') + plain('/r/2') + plain('/h/3'));
    await stage.origin.arrived(3);
    expect(stage.origin.peakConcurrency).toBe(3);
    gate.resolve();
    const texts = [await connection.reply(), await connection.reply(), await connection.reply()].map(
      ({ text }) => text,
    );
    expect(texts.map((text) => text.split(' ')[0])).toEqual(['GET', 'GET', 'GET']);
  });

  it('wait for an unsafe one before them, which waits for those before it', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({ script: gated(gate.promise, counting()) });
    using connection = await stage.open();
    await connection.send(plain('/h/1') + plain('/h/2') + post('/h/1', 'new') + get('/h/1'));
    await stage.origin.arrived(2);
    // A request of another connection shows that what is to come upstream has come.
    const other = stage.get('/r/other');
    await stage.origin.arrived(3);
    expect(stage.asked().toSorted()).toEqual(['/h/1', '/h/2', '/r/other']);
    gate.resolve();
    await other;
    await connection.ended();
    // The last one is no hit: the POST between has made what was stored invalid.
    expect(stage.origin.requests.map(({ method, target }) => `${method} ${target}`).slice(3)).toEqual([
      'POST /h/1',
      'GET /h/1',
    ]);
    expect(stage.origin.requests[3]?.body.toString()).toBe('new');
  });

  it('behind one that closes the connection are not processed, though they came before it was answered', async () => {
    const gate = Promise.withResolvers<void>();
    // What upstream breaks off ends the client's connection.
    await using stage = await startStage({ script: gated(gate.promise, truncated('content-length', 'fin')) });
    using connection = await stage.open();
    await connection.send(plain('/r/1') + post('/r/2', 'x'));
    await stage.origin.arrived(1);
    gate.resolve();
    await connection.ended();
    await expect.poll(() => outcomes(stage.admin)).toEqual({ error: 1, aborted: 1 });
    expect(stage.asked()).toEqual(['/r/1']);
    await stage.sound();
  });

  it.each([
    ['relayed', '/r/broken', 'fin'],
    ['relayed', '/r/broken', 'rst'],
    ['passed on as it comes', '/h/broken', 'rst'],
  ] as const)('behind which upstream breaks off before their turn are the last: %s, %s', async (_, target, end) => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      script: (request, peer) =>
        request.target === target
          ? truncated('content-length', end)(request, peer)
          : gated(gate.promise, answer(200, {}, 'whole'))(request, peer),
    });
    using connection = await stage.open();
    await connection.send(plain('/r/first') + plain(target) + plain('/r/behind'));
    await stage.origin.arrived(3);
    await expect.poll(async () => (await outcomes(stage.admin))['error'] ?? 0).toBe(1);
    gate.resolve();
    expect((await connection.reply()).text).toBe('whole');
    await connection.ended();
    expect(connection.received.length).toBe(0);
    await stage.sound();
  });

  it.each([
    ['a request behind the last one', 'Connection: close', plain('/c/behind')],
    ['what is none', 'X-A: b', 'BLAH\r\n\r\n'],
    ['half a head that never ends', 'X-A: b', 'GET /c/half HTTP/1.1\r\nHost:'],
  ])('are answered whatever comes behind them: %s', async (_, field, behind) => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      server: 'timeouts: { headers: 200ms }',
      script: gated(gate.promise, answer(200, {}, 'late')),
    });
    using connection = await stage.open();
    await connection.send(plain('/c/1') + head('GET /r/2 HTTP/1.1', host, field) + behind);
    await stage.origin.arrived(2);
    // In a packet of its own, and later than the time that a head may take.
    await setTimeout(600);
    await connection.send('more of it\r\n\r\n');
    gate.resolve();
    expect((await connection.reply()).text).toBe('late');
    expect((await connection.reply()).text).toBe('late');
    await connection.ended();
    expect(connection.received.length).toBe(0);
    expect(stage.asked()).toEqual(['/c/1', '/r/2']);
    await stage.sound();
  });

  it('are not answered where one of them is cut off within its content', async () => {
    await using stage = await startStage({ script: silent });
    using connection = await stage.open();
    await connection.send(
      plain('/c/1') + head('QUERY /c/2 HTTP/1.1', host, 'Transfer-Encoding: chunked') + 'no chunk\r\n',
    );
    expect(await connection.ended()).toBe('fin');
    expect(connection.received.length).toBe(0);
  });

  it('go with a client that ends its side behind half a request', async () => {
    await using stage = await startStage({ script: silent });
    using connection = await stage.open();
    await connection.send(`${plain('/r/1')}GET /c/half HTTP/1.1\r\nHost:`);
    await stage.origin.arrived(1);
    connection.socket.end();
    expect(await connection.ended()).toBe('fin');
    await expect.poll(() => outcomes(stage.admin)).toEqual({ aborted: 1 });
    await expect.poll(() => stage.origin.openConnections).toBe(0);
  });

  it('of a client that goes are dropped while they wait', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({ script: gated(gate.promise, counting()) });
    using connection = await stage.open();
    await connection.send(plain('/r/1') + post('/r/2', 'x') + plain('/r/3'));
    await stage.origin.arrived(1);
    connection.socket.destroy();
    await expect.poll(() => outcomes(stage.admin)).toEqual({ aborted: 3 });
    gate.resolve();
    expect(stage.asked()).toEqual(['/r/1']);
  });

  it('are not asked upstream for a client that goes, but for the few that run', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({ script: gated(gate.promise, counting()) });
    using connection = await stage.open();
    const targets = Array.from({ length: 500 }, (_, index) => plain(`/${index % 2 === 0 ? 'c' : 'r'}/${index}`));
    await connection.send(targets.join(''));
    await stage.origin.arrived(8);
    connection.socket.resetAndDestroy();
    gate.resolve();
    await expect.poll(async () => (await samples(stage.admin)).get('forecache_requests_in_flight')).toBe(0);
    // Of what is not read any more it is only heard when something is written to it.
    expect(stage.asked().length).toBeLessThanOrEqual(3 * 8);
    await stage.sound();
  });

  it.each([
    ['a relayed one', post('/r/2', 'ab')],
    ['one that is answered from store', plain('/c/known')],
  ])('that expect to be told to go on are answered as they would be alone: %s', async (_, request) => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      script: (asked, peer) =>
        asked.target === '/r/1' ? gated(gate.promise, counting())(asked, peer) : counting()(asked, peer),
    });
    await stage.get('/c/known');
    using connection = await stage.open();
    const expecting = request.replace('\r\n\r\n', '\r\nExpect: 100-continue\r\n\r\n');
    await connection.send(plain('/r/1') + expecting);
    await stage.origin.arrived(2);
    gate.resolve();
    const [first, second] = [await connection.reply(), await connection.reply()];
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(first.text).toBe('GET  0');
    expect(second.text).toBe(request.startsWith('POST') ? 'POST ab 0' : 'GET  0');
    expect(connection.received.toString()).toBe('');
  });

  it('with large content that wait for their turn come through whole', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      script: gated(gate.promise, (request, peer) => peer.respond(200, {}, String(request.body.length))),
    });
    using connection = await stage.open();
    await connection.send(plain('/r/1'));
    await stage.origin.arrived(1);
    const sent = connection.send(post('/r/2', 'x'.repeat(3_000_000)));
    gate.resolve();
    await sent;
    await connection.reply();
    expect((await connection.reply('POST')).text).toBe('3000000');
  });
});

const upgrade = head(
  'GET /r/socket HTTP/1.1',
  host,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
);

describe('A WebSocket handshake behind other requests', () => {
  it('is answered in its turn as a plain request, and the last of its connection', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({ script: gated(gate.promise, answer(200, {}, 'no switch')) });
    using connection = await stage.open();
    await connection.send(plain('/r/1') + plain('/r/2') + upgrade + plain('/r/behind'));
    await stage.origin.arrived(3);
    expect(stage.origin.requests.map((request) => request.field('upgrade'))).toEqual([undefined, undefined, undefined]);
    gate.resolve();
    const replies = [await connection.reply(), await connection.reply(), await connection.reply()];
    expect(replies.map((reply) => [reply.status, reply.field('connection')])).toEqual([
      [200, 'keep-alive'],
      [200, 'keep-alive'],
      [200, 'close'],
    ]);
    await connection.ended();
    expect(connection.received.length).toBe(0);
    expect(await outcomes(stage.admin)).toEqual({ relayed: 3 });
  });

  it('goes with its client, and leaves nothing under way', async () => {
    await using stage = await startStage({ script: silent });
    using connection = await stage.open();
    await connection.send(plain('/r/1') + plain('/r/2') + upgrade);
    await stage.origin.arrived(3);
    connection.socket.destroy();
    await expect.poll(() => outcomes(stage.admin)).toEqual({ aborted: 3 });
    await expect.poll(async () => (await samples(stage.admin)).get('forecache_requests_in_flight')).toBe(0);
    await stage.sound();
  });
});

describe('An unsafe request', () => {
  it('makes what is stored invalid as soon as upstream has answered, not when its content has ended', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      script: async (request, peer) => {
        if (request.method === 'GET') return peer.respond(200, { 'Cache-Control': 'max-age=600' }, 'state');
        await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
        await gate.promise;
        return peer.write('world');
      },
    });
    await stage.get('/h/x');
    using connection = await stage.open();
    await connection.send(post('/h/x', 'new'));
    await expect.poll(() => connection.received.toString('latin1')).toContain('hello');
    const read = await stage.get('/h/x');
    expect(read.cacheStatus).toContain('fwd=uri-miss');
    gate.resolve();
    expect((await connection.reply('POST')).text).toBe('helloworld');
    // Once, not again at the end: what was fetched meanwhile stays.
    expect((await stage.get('/h/x')).cacheStatus).toContain('hit');
  });

  it('that upstream refuses leaves what is stored', async () => {
    await using stage = await startStage({
      script: (request, peer) =>
        peer.respond(request.method === 'GET' ? 200 : 409, { 'Cache-Control': 'max-age=600' }, 'state'),
    });
    await stage.get('/h/x');
    await stage.get('/h/x', { method: 'PUT', body: 'x' });
    expect((await stage.get('/h/x')).cacheStatus).toContain('hit');
  });
});
