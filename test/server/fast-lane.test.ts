import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { FakeClock } from '../support/clock.ts';
import { ParsedRequests, read, readSlowly, warm, warmHead } from '../support/fast-lane.ts';
import { head, type Stage, startStage, type StageOptions } from '../support/hostile.ts';
import { limitHits, outcomes, samples } from '../support/metrics.ts';
import { huge } from '../support/origin.ts';
import type { RawConnection, RawReply } from '../support/raw.ts';

const host = 'Host: api.test';
const plain = (target: string, ...lines: readonly string[]): string => head(`GET ${target} HTTP/1.1`, host, ...lines);

interface Scene {
  readonly stage: Stage;
  readonly parsed: ParsedRequests;
  /** Sends the piece and gives the next answer, and how many requests were parsed meanwhile. */
  readonly ask: (connection: RawConnection, piece: string, method?: string) => Promise<Asked>;
  /** A connection of which the next chunk may be answered on the fast lane; the heads are known. */
  readonly ready: (...heads: readonly string[]) => Promise<RawConnection>;
}

interface Asked extends RawReply {
  readonly parsed: number;
}

async function scene(options: StageOptions = {}): Promise<Scene> {
  const stage = await startStage(options);
  const parsed = new ParsedRequests(stage.url);
  onTestFinished(async () => {
    parsed[Symbol.dispose]();
    await stage[Symbol.asyncDispose]();
  });
  return {
    stage,
    parsed,
    async ask(connection, piece, method) {
      const before = parsed.count;
      await connection.send(piece);
      const reply = await connection.reply(method);
      return { ...reply, parsed: parsed.count - before };
    },
    async ready(...heads) {
      const connection = await stage.open();
      onTestFinished(() => connection[Symbol.dispose]());
      for (const one of heads) await warmHead(connection, parsed, one);
      return connection;
    },
  };
}

const known = plain('/c/known');
const other = plain('/c/other');

describe('The fast lane', () => {
  it('answers a head that recurs without parsing it, with the very bytes that node:http sends', async () => {
    const { stage, ask, ready } = await scene({ clock: new FakeClock() });
    const connection = await ready(known);
    const fast = await ask(connection, known);
    expect(fast.parsed).toBe(0);
    using fresh = await stage.open();
    const slow = await ask(fresh, known);
    expect(slow.parsed).toBe(1);
    expect(fast.head).toBe(slow.head);
    expect(fast.body.equals(slow.body)).toBe(true);
    expect(fast.field('cache-status')).toContain('hit');
    expect(fast.field('connection')).toBe('keep-alive');
    expect(fast.field('keep-alive')).toMatch(/^timeout=\d+$/);
  });

  it('answers what came before anybody looked, behind the time that the connection may be idle', async () => {
    // Those of sockets, and of `node:http`, stay real.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { stage, ask, ready } = await scene({ clock: new FakeClock(), server: 'timeouts: { keepAlive: 60s }' });
    const [connection, quiet] = [await ready(known), await ready(known)];
    for (const one of [connection, quiet]) expect((await ask(one, known)).parsed).toBe(0);
    // From here on as in a timer: before anything is read in this turn of the loop.
    await wait(1);
    const sent = connection.send(known);
    vi.advanceTimersByTime(70_000);
    await sent;
    expect((await connection.reply()).status).toBe(200);
    await quiet.ended();
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.keepAlive': 1 });
    // It may be idle for as long again, and no longer.
    vi.advanceTimersByTime(59_000);
    expect((await ask(connection, known)).parsed).toBe(0);
    vi.advanceTimersByTime(70_000);
    await connection.ended();
  });

  it('answers HEAD without content', async () => {
    const { ask, parsed, stage } = await scene({ clock: new FakeClock() });
    const asked = head('HEAD /c/known HTTP/1.1', host);
    using connection = await stage.open();
    await ask(connection, known);
    await warm(connection, parsed, asked, 'HEAD');
    await connection.send(asked + asked);
    const slow = [await connection.reply('HEAD'), await connection.reply('HEAD')];
    await ask(connection, known);
    const fast = await ask(connection, asked, 'HEAD');
    expect(fast.parsed).toBe(0);
    expect(fast.body.length).toBe(0);
    expect(slow.map((reply) => reply.head)).toEqual([fast.head, fast.head]);
  });

  it('is never taken with server.fastLane: false', async () => {
    const { stage, ask } = await scene({ server: 'fastLane: false' });
    using connection = await stage.open();
    for (let round = 0; round < 12; round += 1) expect((await ask(connection, known)).parsed).toBe(1);
  });

  it('is not taken by the first request of a connection, whose header timeout runs', async () => {
    const { stage, ask, ready } = await scene();
    await ready(known);
    for (let round = 0; round < 3; round += 1) {
      using connection = await stage.open();
      expect((await ask(connection, known)).parsed).toBe(1);
    }
  });

  it('counts each answer, its bytes and its hit exactly as the parser’s', async () => {
    const { stage, ask, ready, parsed } = await scene();
    const connection = await ready(known);
    const before = parsed.count;
    for (let round = 0; round < 25; round += 1) await ask(connection, known);
    expect(parsed.count).toBe(before);
    const all = await samples(stage.admin);
    const hits = [...all].filter(([name]) => /^forecache_requests_total\{.*route="ruled".*"hit"/.test(name));
    const listed = await stage.call('GET', '/api/stored?limit=10');
    const [count] = hits.map(([, value]) => value);
    // All but the first, which was the miss.
    expect(await outcomes(stage.admin)).toEqual({ hit: count, miss: 1 });
    expect(listed.body).toMatchObject({ stored: [{ hits: count }] });
    expect(all.get('forecache_requests_in_flight')).toBe(0);
  });
});

describe('A head on the fast lane', () => {
  it('that comes in two chunks is parsed, at whatever byte it is cut', async () => {
    const { ask, ready, parsed } = await scene();
    const connection = await ready(known, other);
    for (let cut = 1; cut < known.length; cut += 1) {
      await warm(connection, parsed, other);
      const before = parsed.count;
      await connection.send(known.slice(0, cut));
      await read();
      const reply = await ask(connection, known.slice(cut));
      expect([cut, reply.status, reply.text]).toEqual([cut, 200, '{"method":"GET","target":"/c/known"}']);
      expect(parsed.count - before).toBe(1);
    }
    expect((await warm(connection, parsed, known)).status).toBe(200);
  });

  it('that comes byte by byte is parsed', async () => {
    const { ready, parsed } = await scene();
    const connection = await ready(known);
    const before = parsed.count;
    for (const byte of known) {
      await connection.send(byte);
      await read();
    }
    expect((await connection.reply()).text).toContain('/c/known');
    expect(parsed.count - before).toBe(1);
  });

  it.each([2, 3, 7, 50])('with others in one chunk is parsed, and all %i are answered in order', async (many) => {
    const { ready, parsed } = await scene();
    const connection = await ready(known, other);
    const before = parsed.count;
    const heads = Array.from({ length: many }, (_, index) => (index % 3 === 1 ? other : known));
    await connection.send(heads.join(''));
    const targets: string[] = [];
    for (const _ of heads) targets.push((await connection.reply()).text);
    expect(targets).toEqual(heads.map((one) => `{"method":"GET","target":"/c/${one === other ? 'other' : 'known'}"}`));
    expect(parsed.count - before).toBe(many);
    await read();
    expect(connection.received.length).toBe(0);
  });

  it('with another in two chunks is answered in order, wherever they are cut', async () => {
    const { ready, parsed } = await scene();
    const connection = await ready(known, other);
    const both = known + other;
    for (let cut = 1; cut < both.length; cut += 1) {
      await connection.send(both.slice(0, cut));
      await read();
      await connection.send(both.slice(cut));
      expect([cut, (await connection.reply()).text]).toEqual([cut, '{"method":"GET","target":"/c/known"}']);
      expect([cut, (await connection.reply()).text]).toEqual([cut, '{"method":"GET","target":"/c/other"}']);
    }
    await warm(connection, parsed, known);
    await read();
    expect(connection.received.length).toBe(0);
  });

  it.each([
    ['spelt in another case', plain('/c/known').replace('Host', 'HOST')],
    ['with a space behind a value', known.replace('api.test', 'api.test ')],
    ['with an empty line before it', `\r\n${known}`],
    ['with a line more', plain('/c/known', 'X-More: 1')],
  ])('%s is parsed, and the next one is answered on the fast lane again', async (_what, changed) => {
    const { ask, ready, parsed } = await scene();
    const connection = await ready(known);
    expect(await ask(connection, changed)).toMatchObject({ parsed: 1, status: 200 });
    await warm(connection, parsed, known);
    expect((await ask(connection, known)).parsed).toBe(0);
  });

  it.each([
    ['that ends lines with a bare LF', known.replaceAll('\r\n', '\n')],
    ['with a NUL in it', known.replace('api', 'a\0i')],
    ['with two lengths', plain('/c/known', 'Content-Length: 1', 'Content-Length: 2')],
  ])('%s is refused as ever, and nothing behind it is answered', async (_what, changed) => {
    const { ready } = await scene();
    const connection = await ready(known);
    await connection.send(changed);
    expect((await connection.reply()).status).toBe(400);
    await connection.send(known);
    await connection.ended();
    expect(connection.received.length).toBe(0);
  });

  it.each([
    ['with content', plain('/c/known', 'Content-Length: 0')],
    ['that expects to go on', plain('/c/known', 'Expect: 100-continue')],
    ['that offers an upgrade', plain('/c/known', 'Upgrade: h2c')],
    ['that announces trailers', plain('/c/known', 'Trailer: X')],
    ['with a condition', plain('/c/known', 'If-None-Match: "x"')],
    ['of a part', plain('/c/known', 'Range: bytes=0-3')],
    ['that keeps the connection in words of its own', plain('/c/known', 'Connection: keep-alive, te')],
    ['that names a proxy’s connection', plain('/c/known', 'Proxy-Connection: keep-alive')],
    ['of an older version', plain('/c/known', 'Connection: keep-alive').replace('HTTP/1.1', 'HTTP/1.0')],
  ])('%s is parsed each time', async (_what, special) => {
    const { ask, ready } = await scene();
    // An offer to upgrade makes it the last of its connection.
    const rounds = special.includes('Upgrade') ? 1 : 8;
    for (let round = 0; round < 3; round += 1) {
      const connection = await ready(known);
      for (let turn = 0; turn < rounds; turn += 1) {
        const reply = await ask(connection, special);
        expect(reply.parsed).toBe(1);
        expect(reply.status).toBe(special.includes('Range') ? 206 : 200);
      }
    }
  });

  it.each([
    ['Connection: close', plain('/c/known', 'Connection: close')],
    ['Proxy-Connection: close', plain('/c/known', 'Proxy-Connection: close')],
    ['HTTP/1.0', head('GET /c/known HTTP/1.0', host)],
  ])('is not looked for behind a request that ends the connection (%s)', async (_what, last) => {
    const { ask, ready } = await scene();
    const connection = await ready(known);
    const reply = await ask(connection, last);
    expect(reply.field('connection')).toBe('close');
    await connection.send(known);
    await connection.ended();
    expect(connection.received.length).toBe(0);
  });
});

describe('A known head within something else', () => {
  it.each([
    ['content of a known length', ['Content-Length: '], ''],
    ['a chunk', ['Transfer-Encoding: chunked'], 'chunked'],
  ])('is %s, and no request', async (_what, [line = ''], framing) => {
    const { stage, ready, parsed } = await scene();
    const connection = await ready(known, other);
    const before = parsed.count;
    const hidden = known;
    const isChunked = framing === 'chunked';
    await connection.send(head('POST /r/post HTTP/1.1', host, isChunked ? line : `${line}${hidden.length}`));
    await read();
    if (isChunked) await connection.send(`${hidden.length.toString(16)}\r\n`);
    await read();
    await connection.send(hidden);
    await read();
    if (isChunked) await connection.send('\r\n0\r\n\r\n');
    const reply = await connection.reply();
    expect(reply.text).toBe('{"method":"POST","target":"/r/post"}');
    expect(parsed.count - before).toBe(1);
    const posted = stage.origin.requests.find((request) => request.method === 'POST');
    expect(posted?.body.toString()).toBe(hidden);
    await warm(connection, parsed, other);
    await read();
    expect(connection.received.length).toBe(0);
  });

  it('is the value of a field that the chunk before it began', async () => {
    const { ready, parsed } = await scene();
    const connection = await ready(known, other);
    const before = parsed.count;
    await connection.send('GET /c/other HTTP/1.1\r\nX-Value: ');
    await read();
    await connection.send(known);
    // One request, of `/c/other`, with a field whose value is a request line.
    expect((await connection.reply()).text).toContain('/c/other');
    expect(parsed.count - before).toBe(1);
    await read();
    expect(connection.received.length).toBe(0);
  });

  it('behind the beginning of a request line is no request of its own', async () => {
    const { ready } = await scene();
    const connection = await ready(known);
    await connection.send('GET /r/');
    await read();
    await connection.send(known);
    expect((await connection.reply()).status).toBe(400);
    await connection.ended();
    expect(connection.received.length).toBe(0);
  });

  it('behind an empty line is one request', async () => {
    const { ready, parsed } = await scene();
    const connection = await ready(known);
    await connection.send('\r\n');
    await read();
    const before = parsed.count;
    await connection.send(known);
    expect((await connection.reply()).status).toBe(200);
    expect(parsed.count - before).toBe(1);
  });

  it('behind a response that is still owed waits its turn', async () => {
    const gate = Promise.withResolvers<void>();
    const { ready, parsed } = await scene({
      script: async (request, peer) => {
        if (request.target === '/r/slow') await gate.promise;
        await peer.respond(200, {}, request.target);
      },
    });
    const connection = await ready(known);
    const before = parsed.count;
    await connection.send(plain('/r/slow'));
    await read();
    await connection.send(known);
    await read();
    expect(connection.received.length).toBe(0);
    gate.resolve();
    expect((await connection.reply()).text).toBe('/r/slow');
    expect((await connection.reply()).text).toBe('/c/known');
    expect(parsed.count - before).toBe(2);
  });

  it('behind an upgrade is the other protocol’s', async () => {
    const { stage, ready, parsed } = await scene({
      script: (request, peer) => {
        if (request.field('upgrade') === undefined) void peer.respond(200, {}, request.target);
        else void peer.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      },
    });
    const connection = await ready(known);
    const before = parsed.count;
    const shake = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAA'];
    await connection.send(plain('/r/up', ...shake));
    await expect.poll(() => connection.received.toString()).toContain('101 Switching');
    // A parser is used for one connection after the other: this one may get that which has read the handshake.
    const later = await stage.open();
    onTestFinished(() => later[Symbol.dispose]());
    await later.send(known.slice(0, 20));
    await read();
    await connection.send(known);
    await connection.send(known);
    // Upstream reads them as what it likes: here as requests, one after the other.
    await expect.poll(() => stage.asked().filter((target) => target === '/c/known')).toHaveLength(3);
    await expect.poll(() => connection.received.toString().match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(parsed.count - before).toBe(0);
    await later.send(known.slice(20));
    expect((await later.reply()).text).toBe('/c/known');
  });

  it('behind CONNECT is not answered', async () => {
    const { ready } = await scene();
    const connection = await ready(known);
    await connection.send('CONNECT api.test:80 HTTP/1.1\r\nHost: api.test\r\n\r\n');
    expect((await connection.reply()).status).toBeGreaterThanOrEqual(400);
    await connection.send(known);
    await connection.ended();
    expect(connection.received.length).toBe(0);
  });
});

describe('What is stored', () => {
  it('and purged between two requests is fetched anew', async () => {
    const { stage, ask, ready } = await scene();
    const connection = await ready(known);
    expect((await ask(connection, known)).parsed).toBe(0);
    await stage.call('POST', '/api/purge', { all: true });
    const reply = await ask(connection, known);
    expect([reply.parsed, reply.field('cache-status')]).toEqual([0, 'forecache; fwd=uri-miss; stored']);
    expect(stage.asked()).toHaveLength(2);
  });

  it('and expired between two requests is fetched anew; until then its age is right', async () => {
    const clock = new FakeClock();
    const { stage, ask, ready } = await scene({ clock });
    const connection = await ready(known);
    for (let seconds = 1; seconds < 500; seconds += 97) {
      clock.advance(97_000);
      const reply = await ask(connection, known);
      expect([reply.parsed, reply.field('age')]).toEqual([0, String(seconds + 96)]);
    }
    clock.advance(600_000);
    expect(await ask(connection, known)).toMatchObject({ parsed: 0 });
    expect(stage.asked()).toHaveLength(2);
  });

  it('and evicted between two requests is fetched anew', async () => {
    const { stage, ask, ready } = await scene({
      more: 'store: { memory: { maxBytes: 1MiB } }',
      script: (request, peer) => peer.respond(200, {}, Buffer.alloc(request.target === '/c/known' ? 9 : 30_000, 'x')),
    });
    const connection = await ready(known);
    const isThere = async (): Promise<boolean> => (await stage.stored()).some((key) => key.includes('known'));
    for (let round = 0; (await isThere()) && round < 400; round += 1) {
      // Often, so that eviction takes it for worth as much as what is known.
      for (let time = 0; time < 4; time += 1) await stage.get(`/c/flood-${round}`);
    }
    expect(await isThere()).toBe(false);
    const before = stage.asked().length;
    const reply = await ask(connection, known);
    expect([reply.parsed, stage.asked().length - before]).toEqual([0, 1]);
    expect(reply.text).toBe('xxxxxxxxx');
  });

  it('and made invalid by an unsafe method between two requests is fetched anew', async () => {
    const { stage, ask, ready } = await scene({
      script: (request, peer) => peer.respond(200, { 'Cache-Control': 'max-age=60' }, request.method),
    });
    const honoured = plain('/h/known');
    const connection = await ready(honoured);
    const post = head('POST /h/known HTTP/1.1', host, 'Content-Length: 3');
    expect(await ask(connection, `${post}new`)).toMatchObject({ parsed: 1, text: 'POST' });
    const reply = await ask(connection, honoured);
    expect([reply.parsed, reply.text, stage.asked().length]).toEqual([1, 'GET', 3]);
  });

  it('and replaced between two requests is answered as it is now', async () => {
    let version = 0;
    const clock = new FakeClock();
    const { ask, ready, parsed } = await scene({
      clock,
      script: (_request, peer) => peer.respond(200, {}, `version ${(version += 1)}`),
    });
    const connection = await ready(known);
    expect((await ask(connection, known)).text).toBe('version 1');
    clock.advance(601_000);
    expect((await ask(connection, known)).text).toBe('version 2');
    expect((await warm(connection, parsed, known)).text).toBe('version 2');
  });

  it('for several is told apart by what keys it, and by credentials', async () => {
    const { stage, ask, ready, parsed } = await scene({
      routes: `
  - { name: keyed, match: /k/*, upstream: api, ttl: 10m, headers: [x-tenant, authorization] }`,
      script: (request, peer) =>
        peer.respond(200, {}, `${String(request.field('x-tenant'))} ${String(request.field('authorization'))}`),
    });
    const heads = ['a', 'b'].flatMap((tenant) =>
      ['one', 'two'].map((user) => plain('/k/x', `X-Tenant: ${tenant}`, `Authorization: Bearer ${user}`)),
    );
    const connection = await ready(...heads);
    for (const [index, one] of heads.entries()) {
      const reply = await ask(connection, one);
      expect([reply.parsed, reply.text]).toEqual([
        0,
        `${index < 2 ? 'a' : 'b'} Bearer ${index % 2 === 0 ? 'one' : 'two'}`,
      ]);
    }
    // Nobody gets another's answer by a credential that is not there, or not quite.
    const before = parsed.count;
    expect((await ask(connection, plain('/k/x', 'X-Tenant: a', 'Authorization: Bearer on'))).text).toBe('a Bearer on');
    expect(parsed.count - before).toBe(1);
    expect((await stage.call('GET', '/metrics')).status).toBe(200);
  });
});

describe('Limits and times', () => {
  it('a connection serves exactly maxRequestsPerConnection, those of the fast lane among them', async () => {
    const { stage, ask, parsed } = await scene({ server: 'limits: { maxRequestsPerConnection: 20 }' });
    using connection = await stage.open();
    let fast = 0;
    for (let count = 1; count <= 20; count += 1) {
      const reply = await ask(connection, known);
      expect([count, reply.field('connection')]).toEqual([count, count === 20 ? 'close' : 'keep-alive']);
      if (reply.parsed === 0) fast += 1;
    }
    expect(fast).toBeGreaterThan(10);
    expect(parsed.count).toBe(20 - fast);
    await connection.ended();
    expect(await limitHits(stage.admin)).toEqual({ 'server.limits.maxRequestsPerConnection': 1 });
  });

  it('a connection that is idle behind an answer of the fast lane is closed in its time, and not while it is used', async () => {
    const { stage, ready, parsed } = await scene({ server: 'timeouts: { keepAlive: 300ms }' });
    const connection = await ready(known);
    const sinceMs = performance.now();
    const before = parsed.count;
    while (performance.now() - sinceMs < 900) {
      await connection.send(known);
      expect((await connection.reply()).status).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(parsed.count).toBe(before);
    expect(await connection.ended()).toBe('fin');
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.keepAlive': 1 });
  });

  it.each([
    ['empty lines', (): string => '\r\n'],
    ['a head, byte by byte', (count: number): string => `${known.slice(0, -2)}X: ${'x'.repeat(4000)}`.charAt(count)],
  ])(
    'a connection that gets %s behind an answer of the fast lane is idle since the last of them',
    async (_what, at) => {
      const { stage, ask, ready } = await scene({ server: 'timeouts: { keepAlive: 600ms }' });
      const connection = await ready(known);
      expect((await ask(connection, known)).parsed).toBe(0);
      const sinceMs = performance.now();
      let lastMs = sinceMs;
      for (let count = 0; lastMs - sinceMs < 1300; count += 1) {
        lastMs = performance.now();
        await connection.send(at(count));
        await new Promise((resolve) => setTimeout(resolve, 20));
        expect(connection.socket.readableEnded).toBe(false);
      }
      await connection.ended();
      // Timers count whole milliseconds.
      expect(performance.now() - lastMs).toBeGreaterThan(598);
      expect(connection.received.length).toBe(0);
      expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.keepAlive': 1 });
    },
  );

  it('a head that does not come to its end behind an answer of the fast lane is told 408', async () => {
    const { stage, ready } = await scene({ server: 'timeouts: { headers: 200ms, keepAlive: 60s }' });
    const connection = await ready(known);
    await connection.send(known.slice(0, -2));
    expect((await connection.reply()).status).toBe(408);
    await connection.ended();
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.headers': 1 });
  });

  it('content that does not come behind an answer of the fast lane ends in its time', async () => {
    const { stage, ready } = await scene({ server: 'timeouts: { headers: 200ms, request: 300ms }' });
    const connection = await ready(known);
    await connection.send(head('POST /r/post HTTP/1.1', host, 'Content-Length: 10'));
    await connection.ended();
    expect(await limitHits(stage.admin)).toMatchObject({ 'server.timeouts.request': 1 });
  });

  it('a drain ends a connection that the fast lane has served', async () => {
    const { stage, ready } = await scene();
    const connection = await ready(known);
    await stage[Symbol.asyncDispose]();
    await connection.ended();
    expect(connection.received.length).toBe(0);
  });
});

// More than the kernel's buffers of both ends take on loopback: those of a connection that is read fast grow to some 32 MiB.
const total = 48 * 1024 * 1024;
const large: StageOptions = {
  routes: '\n  - { name: stored, match: /c/*, upstream: api, ttl: 10m, maxStoredBytes: 64MiB }',
  script: huge(total, 'content-length'),
  // So much takes a busy machine its time.
  upstream: 'timeout: 60s',
};

/** A client that counts what it gets: to keep and join so much would take longer than to send it. */
interface Counting {
  readonly socket: Socket;
  readonly isClosed: () => boolean;
  /** Bytes of content behind whole heads since the last call. */
  readonly taken: () => number;
  /** Resolves when a whole answer has come since the last one. */
  readonly whole: () => Promise<void>;
}

async function counting(url: string): Promise<Counting> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', noDelay: true });
  onTestFinished(() => void socket.destroy());
  let content = 0;
  socket.on('data', (chunk: Buffer) => {
    const start = chunk.indexOf('HTTP/1.1 200 OK');
    content += start < 0 ? chunk.length : chunk.length - (chunk.indexOf('\r\n\r\n', start) + 4 - start);
  });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return {
    socket,
    isClosed: () => socket.closed,
    taken: () => content,
    whole: async () => {
      // However long so much takes, more of it comes.
      for (let seen = content; seen < total; seen = content) {
        await expect.poll(() => content, { interval: 5 }).toBeGreaterThan(seen);
      }
      content -= total;
    },
  };
}

/** On a connection of its own, with the next request to be answered on the fast lane. */
async function readyForLarge(stage: Stage, parsed: ParsedRequests): Promise<Counting> {
  const client = await counting(stage.url);
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const before = parsed.count;
    client.socket.write(known);
    await client.whole();
    if (parsed.count === before) return client;
  }
  throw new Error('never on the fast lane');
}

const inFlight = async (stage: Stage): Promise<number | undefined> =>
  (await samples(stage.admin)).get('forecache_requests_in_flight');

// Whose content goes through this process many times.
describe('A large answer of the fast lane', { timeout: 60_000 }, () => {
  it('comes whole to a client that is slow to take it, and is in flight until then', async () => {
    const { stage, parsed } = await scene(large);
    const client = await readyForLarge(stage, parsed);
    const before = parsed.count;
    const counted = (await outcomes(stage.admin))['hit'] ?? 0;
    client.socket.pause();
    client.socket.write(known);
    await expect.poll(() => inFlight(stage)).toBe(1);
    expect((await outcomes(stage.admin))['hit']).toBe(counted);
    // What comes behind it is not answered before it.
    client.socket.write(known);
    client.socket.resume();
    await client.whole();
    await client.whole();
    await expect.poll(() => outcomes(stage.admin)).toEqual({ hit: counted + 2, miss: 1 });
    expect(parsed.count - before).toBe(1);
    expect(await inFlight(stage)).toBe(0);
    expect(client.taken()).toBe(0);
  });

  it('comes whole to a client that reads slowly but steadily for longer than the keep-alive time', async () => {
    const { stage, parsed, ask, ready } = await scene({
      ...large,
      script: (request, peer) =>
        request.target === '/c/known' ? huge(total, 'content-length')(request, peer) : peer.respond(200, {}, 'small'),
      server: 'timeouts: { send: 60s, keepAlive: 1s }',
    });
    (await readyForLarge(stage, parsed)).socket.destroy();
    const connection = await ready(other);
    // The keep-alive time counts from here.
    expect((await ask(connection, other)).parsed).toBe(0);
    const before = parsed.count;
    const { socket } = connection;
    socket.pause();
    socket.write(known);
    const taken = await readSlowly(socket, 3000);
    expect(await inFlight(stage)).toBe(1);
    socket.resume();
    // The head as well.
    await expect.poll(() => taken.bytes).toBeGreaterThan(total);
    expect(parsed.count).toBe(before);
    await connection.ended();
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.keepAlive': 1 });
  });

  it('is cut off where its client takes nothing of it for the send timeout', async () => {
    const { stage, parsed } = await scene({ ...large, server: 'timeouts: { send: 500ms }' });
    const client = await readyForLarge(stage, parsed);
    const before = parsed.count;
    client.socket.pause();
    client.socket.write(known);
    await expect.poll(() => limitHits(stage.admin)).toEqual({ 'server.timeouts.send': 1 });
    await expect.poll(() => outcomes(stage.admin)).toMatchObject({ aborted: 1 });
    expect(parsed.count).toBe(before);
    client.socket.resume();
    await expect.poll(client.isClosed).toBe(true);
    expect(client.taken()).toBeLessThan(total);
    expect(await inFlight(stage)).toBe(0);
  });

  it('is cut off once, with all that is owed behind it', async () => {
    const { stage, parsed } = await scene({ ...large, server: 'timeouts: { send: 500ms }' });
    const client = await readyForLarge(stage, parsed);
    client.socket.pause();
    client.socket.write(known);
    await read();
    client.socket.write(known);
    await expect.poll(() => outcomes(stage.admin)).toMatchObject({ aborted: 2 });
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.send': 1 });
  });

  it('keeps its send timeout where a request that is not answered yet comes behind it', async () => {
    const gate = Promise.withResolvers<void>();
    const { stage, parsed } = await scene({
      ...large,
      script: async (request, peer) => {
        if (request.target !== '/c/slow') return huge(total, 'content-length')(request, peer);
        await gate.promise;
        await peer.respond(200, {}, 'late');
      },
      server: 'timeouts: { send: 500ms }',
    });
    const client = await readyForLarge(stage, parsed);
    client.socket.pause();
    client.socket.write(known);
    await read();
    client.socket.write(plain('/c/slow'));
    await expect.poll(() => limitHits(stage.admin)).toEqual({ 'server.timeouts.send': 1 });
    // It ends when upstream has answered it, or upstream's timeout is over.
    gate.resolve();
    await expect.poll(() => outcomes(stage.admin)).toMatchObject({ aborted: 2 });
  });

  it('is told as aborted where its client goes', async () => {
    const { stage, parsed } = await scene(large);
    const client = await readyForLarge(stage, parsed);
    client.socket.pause();
    client.socket.write(known);
    await expect.poll(() => inFlight(stage)).toBe(1);
    client.socket.destroy();
    await expect.poll(() => outcomes(stage.admin)).toMatchObject({ aborted: 1 });
    expect(await inFlight(stage)).toBe(0);
  });

  it('leaves its connection to the keep-alive timeout when it has gone', async () => {
    const { stage, parsed } = await scene({ ...large, server: 'timeouts: { send: 60s, keepAlive: 400ms }' });
    const client = await readyForLarge(stage, parsed);
    client.socket.pause();
    client.socket.write(known);
    await read();
    client.socket.resume();
    await client.whole();
    await expect.poll(client.isClosed).toBe(true);
    expect(await limitHits(stage.admin)).toEqual({ 'server.timeouts.keepAlive': 1 });
  });
});
