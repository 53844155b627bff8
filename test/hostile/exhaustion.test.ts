import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { echo, get, head, plainRoutes, startStage, told, type Stage } from '../support/hostile.ts';
import { drip, huge, type OriginScript, silent } from '../support/origin.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';

const MiB = 1024 * 1024;

async function statusesOf(stage: Stage, bytes: string | readonly string[]): Promise<readonly number[]> {
  const { replies, rest } = await stage.converse(bytes);
  expect(rest).toHaveLength(0);
  return replies.map((reply) => reply.status);
}

describe('Slow clients', () => {
  const timeouts = 'timeouts: { headers: 300ms, request: 600ms, keepAlive: 300ms, send: 300ms }';

  it.each<[input: string, bytes: string]>([
    ['nothing at all', ''],
    ['one byte', 'G'],
    ['half a request line', 'GET /c/x'],
    ['a head without its end', 'GET /c/x HTTP/1.1\r\nHost: api.test\r\nX: y\r\n'],
  ])('%s and then silence → 408 or the end within the header timeout, nothing upstream', async (_input, bytes) => {
    await using stage = await startStage({ server: timeouts });
    const { replies } = await stage.converse(bytes);
    expect(replies.map((reply) => reply.status).filter((status) => status !== 408)).toEqual([]);
    expect(stage.asked()).toEqual([]);
    await stage.sound();
  });

  it('a head that drips without end → cut off by its timeout, however lively', async () => {
    await using stage = await startStage({ server: timeouts });
    using connection = await stage.open();
    await connection.send('GET /c/x HTTP/1.1\r\nHost: api.test\r\n');
    const beat = setInterval(() => void connection.send('X: y\r\n'), 20);
    const end = await connection.ended();
    clearInterval(beat);
    expect(['fin', 'reset']).toContain(end);
    expect(stage.asked()).toEqual([]);
    await stage.sound();
  });

  it('content that never comes on a relay route → ended by the request timeout, upstream’s connection too', async () => {
    await using stage = await startStage({ server: timeouts });
    const { replies } = await stage.converse(
      head('POST /r/x HTTP/1.1', 'Host: api.test', 'Content-Length: 1000') + 'only this',
    );
    expect(replies.length).toBeLessThanOrEqual(1);
    expect(replies.filter((reply) => reply.status < 400)).toEqual([]);
    // The origin counts complete requests alone.
    expect(stage.asked()).toEqual([]);
    await stage.sound();
  });

  it('a kept connection that stays idle → closed without a word', async () => {
    await using stage = await startStage({ server: timeouts });
    using connection = await stage.open();
    await connection.send(head('GET /c/x HTTP/1.1', 'Host: api.test'));
    expect((await connection.reply()).status).toBe(200);
    expect(await connection.ended()).toBe('fin');
    expect(connection.received).toHaveLength(0);
  });

  it.each(['c', 'h', 'r'])(
    'a client that takes nothing of a large answer on /%s → cut off, others unhurt',
    async (kind) => {
      await using stage = await startStage({
        server: timeouts,
        routes: plainRoutes.replace('ttl: 10m', 'ttl: 10m, maxStoredBytes: 64MiB'),
        upstream: 'bodyTimeout: 300ms',
        script: huge(24 * MiB, 'content-length'),
      });
      using connection = await stage.open();
      connection.socket.pause();
      await connection.send(get(`/${kind}/large`));
      await stage.origin.arrived(1);
      await stage.sound();
      const closed = new Promise<void>((resolve) => {
        connection.socket.once('close', () => resolve());
      });
      // Only reading shows a client that it was cut off; what the kernels hold comes first.
      await expect.poll(async () => serverConnections(stage), { timeout: 6000 }).toBe(0);
      connection.socket.resume();
      await closed;
      expect(connection.received.length).toBeLessThan(24 * MiB);
    },
  );

  it('a flood of half-open requests → each ends by its timeout, the connections are free again', async () => {
    await using stage = await startStage({ server: `${timeouts}, limits: { maxConnections: 60 }` });
    const ends = await Promise.all(
      Array.from({ length: 50 }, async () => (await stage.converse('GET /c/x HTTP/1.1\r\n')).end),
    );
    expect(ends).toHaveLength(50);
    await stage.sound();
  });
});

/** Connections that the data listener holds, by its own metric. */
async function serverConnections(stage: Stage): Promise<number> {
  const { body } = await stage.call('GET', '/metrics');
  const found = /^forecache_(?:client_)?connections(?:_open)?(?:\{[^}]*\})? (\d+)/m.exec(String(body));
  return Number(found?.[1] ?? '-1');
}

describe('Oversize requests', () => {
  const limits =
    'limits: { maxHeaderBytes: 4KiB, maxHeaderFields: 20, maxTargetBytes: 1KiB, maxBodyBytes: 1KiB, maxConnections: 4, maxRequestsPerConnection: 5 }';

  it.each<[input: string, bytes: string, status: number]>([
    ['a target past its limit', get(`/c/${'x'.repeat(1100)}`), 414],
    ['a query past its limit', get(`/c/x?${'x'.repeat(1100)}`), 414],
    ['a head past its limit', get('/c/x', `X: ${'x'.repeat(5000)}`), 431],
    ['a field name past its limit', get('/c/x', `${'X'.repeat(5000)}: y`), 431],
    ['a request line without end', `GET /c/${'x'.repeat(100_000)}`, 431],
    ['a head without end', `GET /c/x HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(20_000)}`, 431],
    ['more fields than allowed', get('/c/x', ...Array.from({ length: 30 }, (_, index) => `X-${index}: y`)), 431],
    [
      'content past its limit, announced',
      `${head('POST /r/x HTTP/1.1', 'Host: a', 'Content-Length: 2000')}${'x'.repeat(2000)}`,
      413,
    ],
    [
      'content past its limit, in chunks',
      `${head('POST /r/x HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`,
      413,
    ],
  ])('%s → refused with the status that says so, nothing upstream', async (_input, bytes, status) => {
    await using stage = await startStage({ server: limits });
    expect(await statusesOf(stage, bytes)).toEqual([status]);
    expect(stage.asked()).toEqual([]);
    await stage.sound();
  });

  it('more connections than allowed → 429 and closed, the others go on', async () => {
    await using stage = await startStage({ server: limits });
    const held = await Promise.all([stage.open(), stage.open(), stage.open(), stage.open()]);
    try {
      for (const connection of held) {
        await connection.send(head('GET /c/x HTTP/1.1', 'Host: a'));
        expect((await connection.reply()).status).toBe(200);
      }
      expect(await statusesOf(stage, get('/c/x'))).toEqual([429]);
      for (const connection of held) {
        await connection.send(head('GET /c/x HTTP/1.1', 'Host: a'));
        expect((await connection.reply()).status).toBe(200);
      }
    } finally {
      for (const connection of held) connection[Symbol.dispose]();
    }
  });

  it('more requests on a connection than allowed → closed behind the last one', async () => {
    await using stage = await startStage({ server: limits });
    const { replies } = await stage.converse(head('GET /c/x HTTP/1.1', 'Host: a').repeat(5));
    expect(replies).toHaveLength(5);
    expect(replies.at(-1)?.field('connection')).toBe('close');
  });

  it('five hundred requests in one packet → five hundred answers, in order', async () => {
    await using stage = await startStage();
    const targets = Array.from({ length: 500 }, (_, index) => `/c/pipelined/${index % 50}`);
    const bytes = targets
      .slice(1)
      .map((target) => head(`GET ${target} HTTP/1.1`, 'Host: a'))
      .join('');
    const { replies } = await stage.converse(bytes + get('/c/pipelined/0'));
    expect(replies.map((reply) => reply.text)).toEqual(
      [...targets.slice(1), '/c/pipelined/0'].map((target) => told('GET', target)),
    );
    expect(stage.asked().length).toBe(50);
  });
});

describe('Slow and endless upstreams', () => {
  const fast = 'timeout: 300ms, maxBodyBytes: 2MiB, maxHeaderBytes: 8KiB';

  it.each(['c', 'h', 'r'])('an upstream that never answers on /%s → 504 within its timeout', async (kind) => {
    await using stage = await startStage({ upstream: fast, script: silent });
    expect(await statusesOf(stage, get(`/${kind}/x`))).toEqual([504]);
    expect(await stage.stored()).toEqual([]);
    await stage.sound();
  });

  it.each(['c', 'h', 'r'])('an upstream that stops within the head on /%s → 504', async (kind) => {
    await using stage = await startStage({
      upstream: fast,
      script: (_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: '),
    });
    expect(await statusesOf(stage, get(`/${kind}/x`))).toEqual([504]);
    await stage.sound();
  });

  it.each(['c', 'h', 'r'])(
    'an upstream that stops within the body on /%s → 504 or a cut connection, not stored',
    async (kind) => {
      await using stage = await startStage({
        upstream: fast,
        script: (_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab'),
      });
      const { replies } = await stage.converse(get(`/${kind}/x`));
      expect(replies.map((reply) => reply.status)).toEqual(kind === 'r' || replies.length === 0 ? [] : [504]);
      expect(await stage.stored()).toEqual([]);
      await stage.sound();
    },
  );

  it('an upstream that drips its body past the total timeout → 504, not stored', async () => {
    const stop = new AbortController();
    await using stage = await startStage({
      upstream: fast,
      script: async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n');
        const beat = setInterval(() => void peer.write('x'), 20);
        stop.signal.addEventListener('abort', () => clearInterval(beat));
        await peer.closed();
        clearInterval(beat);
      },
    });
    expect(await statusesOf(stage, get('/c/x'))).toEqual([504]);
    stop.abort();
    expect(await stage.stored()).toEqual([]);
  });

  it('an answer in packets of one byte → whole, stored once', async () => {
    await using stage = await startStage({ script: drip('{"slow":true}') });
    const { replies } = await stage.converse(get('/c/x'));
    expect(replies.map((reply) => reply.text)).toEqual(['{"slow":true}']);
    expect(await stage.stored()).toHaveLength(1);
  });

  it.each(['c', 'h'])('an endless body on /%s → cut off at maxBodyBytes, upstream’s connection too', async (kind) => {
    for (const framing of ['chunked', 'close'] as const) {
      let sent = 0;
      await using stage = await startStage({
        upstream: fast,
        script: huge(Number.MAX_SAFE_INTEGER, framing, (bytes) => {
          sent = bytes;
        }),
      });
      const { replies, rest } = await stage.converse(get(`/${kind}/x`));
      expect(replies.filter((reply) => reply.status === 200)).toEqual([]);
      expect(rest.length).toBeLessThan(3 * MiB);
      expect(sent).toBeLessThan(32 * MiB);
      expect(await stage.stored()).toEqual([]);
      await stage.sound();
    }
  });

  it('an endless body on a relay route, its client gone → upstream’s connection ended, what was sent bounded by what was read', async () => {
    for (const framing of ['chunked', 'close'] as const) {
      let sent = 0;
      await using stage = await startStage({
        script: huge(Number.MAX_SAFE_INTEGER, framing, (bytes) => {
          sent = bytes;
        }),
      });
      using connection = await stage.open();
      await connection.send(get('/r/x'));
      await expect.poll(() => connection.received.length, { timeout: 6000 }).toBeGreaterThan(4 * MiB);
      connection.socket.destroy();
      await expect.poll(() => stage.origin.openConnections, { timeout: 6000 }).toBe(0);
      expect(sent - connection.received.length).toBeLessThan(24 * MiB);
      await stage.sound();
    }
  });

  it('an announced length past maxBodyBytes → 502 before a byte of it is read', async () => {
    for (const kind of ['c', 'h']) {
      await using stage = await startStage({ upstream: fast, script: huge(64 * MiB, 'content-length') });
      expect(await statusesOf(stage, get(`/${kind}/x`))).toEqual([502]);
      await stage.sound();
    }
  });

  it('an answer past maxStoredBytes → streamed whole in every framing, not stored', async () => {
    for (const framing of ['content-length', 'chunked'] as const) {
      await using stage = await startStage({
        routes: '  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, maxStoredBytes: 64KiB }',
        script: huge(MiB, framing),
      });
      const { replies } = await stage.converse(get('/c/x'));
      expect(replies.map((reply) => [reply.status, reply.body.length])).toEqual([[200, MiB]]);
      expect(await stage.stored()).toEqual([]);
    }
  });
});

describe('Compression bombs', () => {
  const zeros = Buffer.alloc(40 * MiB);
  const bombs: Readonly<Record<string, () => Buffer>> = {
    gzip: () => gzipSync(zeros),
    br: () => brotliCompressSync(zeros, { params: { 1: 1 } }),
    zstd: () => zstdCompressSync(zeros),
    'gzip, gzip': () => gzipSync(gzipSync(zeros)),
  };

  it.each(Object.keys(bombs))(
    '%s of 40 MiB where 2 MiB are allowed → not answered with, not stored, memory bounded',
    async (coding) => {
      const body = bombs[coding]?.() ?? Buffer.alloc(0);
      const bomb: OriginScript = (_request, peer) =>
        peer.respond(200, { 'Content-Encoding': coding, 'Cache-Control': 'max-age=600' }, body);
      await using stage = await startStage({ upstream: 'maxBodyBytes: 2MiB', script: bomb });
      const before = process.memoryUsage().arrayBuffers;
      for (const kind of ['c', 'h']) {
        const { replies, rest } = await stage.converse(get(`/${kind}/x`, 'Accept-Encoding: identity'));
        expect(replies.filter((reply) => reply.status === 200 && reply.body.length > 8 * MiB)).toEqual([]);
        expect(rest.length).toBeLessThan(3 * MiB);
      }
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * MiB);
      expect((await stage.stored()).filter((key) => key.startsWith('ruled'))).toEqual([]);
      await stage.sound();
    },
  );

  it('a bomb that an honour route stores as coded, asked for as identity → 502, the store unhurt', async () => {
    await using stage = await startStage({
      routes: '  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, maxStoredBytes: 1MiB }',
      script: (_request, peer) =>
        peer.respond(200, { 'Content-Encoding': 'gzip', 'Cache-Control': 'max-age=600' }, gzipSync(zeros)),
    });
    const coded = await stage.converse(get('/h/x', 'Accept-Encoding: gzip'));
    expect(coded.replies.map((reply) => reply.status)).toEqual([200]);
    expect(await statusesOf(stage, get('/h/x', 'Accept-Encoding: identity'))).toEqual([502]);
    await stage.sound();
  });

  it('many requests that rule out the coding of one bomb → decoded once for all of them, memory bounded', async () => {
    await using stage = await startStage({
      script: (_request, peer) =>
        peer.respond(
          200,
          { 'Content-Encoding': 'gzip', 'Cache-Control': 'max-age=600' },
          gzipSync(zeros.subarray(0, 8 * MiB)),
        ),
    });
    await stage.get('/h/x', { headers: { 'accept-encoding': 'gzip' } });
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const look = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers - before)), 5);
    const asked = head('GET /h/x HTTP/1.1', 'Host: api.test', 'Accept-Encoding: identity');
    const connections = await Promise.all(Array.from({ length: 8 }, () => stage.open()));
    // One with many behind each other, and others with one each; none takes what it asked for.
    for (const [index, connection] of connections.entries()) {
      connection.socket.pause();
      await connection.send(index === 0 ? asked.repeat(32) : asked);
    }
    const last = await stage.get('/h/x', { headers: { 'accept-encoding': 'identity' } });
    expect(last.body.length).toBe(8 * MiB);
    clearInterval(look);
    expect(most).toBeLessThan(64 * MiB);
    for (const connection of connections) connection[Symbol.dispose]();
    await stage.sound();
  });

  it('more codings on top of each other than anybody needs → passed on as they are, not unpacked', async () => {
    let body = Buffer.from('x');
    for (let layer = 0; layer < 20; layer += 1) body = gzipSync(body);
    const coding = Array.from({ length: 20 }, () => 'gzip').join(', ');
    await using stage = await startStage({
      script: (_request, peer) => peer.respond(200, { 'Content-Encoding': coding }, body),
    });
    const { replies } = await stage.converse(get('/c/x'));
    expect(replies.map((reply) => [reply.status, reply.body.equals(body)])).toEqual([[200, true]]);
    await stage.sound();
  });

  it('JSON nested a hundred thousand deep against storeIf → passed on, not stored, no crash', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    await using stage = await startStage({
      routes: '  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, storeIf: { exists: "$..a" } }',
      script: (_request, peer) => peer.respond(200, { 'Content-Type': 'application/json' }, deep),
    });
    const { replies } = await stage.converse(get('/c/x'));
    expect(replies.map((reply) => reply.text)).toEqual([deep]);
    expect(await stage.stored()).toEqual([]);
    await stage.sound();
  });
});

describe('Floods', () => {
  it('distinct keys past maxKeys → the store stays at its bound', async () => {
    await using stage = await startStage({
      routes: '  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, maxKeys: 20 }',
    });
    using connection = await stage.open();
    for (let index = 0; index < 300; index += 1) {
      await connection.send(head(`GET /c/${index}?${'x'.repeat(index)} HTTP/1.1`, 'Host: a'));
      expect((await connection.reply()).status).toBe(200);
    }
    expect((await stage.stored()).length).toBeLessThanOrEqual(20);
    await stage.sound();
  });

  it('distinct keys of large answers past maxBytes → the store stays within its bytes', async () => {
    await using stage = await startStage({
      more: 'store: { memory: { maxBytes: 256KiB } }',
      script: (_request, peer) => peer.respond(200, {}, 'x'.repeat(10_000)),
    });
    using connection = await stage.open();
    for (let index = 0; index < 150; index += 1) {
      await connection.send(head(`GET /c/${index} HTTP/1.1`, 'Host: a'));
      expect((await connection.reply()).body).toHaveLength(10_000);
    }
    expect((await stage.stored()).length).toBeLessThan(27);
    await stage.sound();
  });

  it('distinct variants past maxKeys → bounded too', async () => {
    await using stage = await startStage({
      routes: '  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, maxKeys: 20 }',
      script: (_request, peer) =>
        peer.respond(200, { 'Cache-Control': 'max-age=600', Vary: 'User-Agent, Accept' }, 'x'),
    });
    using connection = await stage.open();
    for (let index = 0; index < 100; index += 1) {
      await connection.send(head('GET /h/x HTTP/1.1', 'Host: a', `User-Agent: ${index}${'u'.repeat(500)}`));
      expect((await connection.reply()).status).toBe(200);
    }
    const keys = await stage.stored();
    expect(keys.length).toBeLessThanOrEqual(20);
    for (const key of keys) expect(key.length).toBeLessThan(400);
  });

  it('keys past maxKeyBytes → cut with a digest, distinct all the same', async () => {
    await using stage = await startStage({
      routes: '  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, maxKeyBytes: 128 }',
    });
    for (const last of ['a', 'b']) {
      const target = `/c/${'x'.repeat(3000)}${last}`;
      expect((await stage.converse(get(target))).replies[0]?.text).toBe(told('GET', target));
      expect((await stage.converse(get(target))).replies[0]?.text).toBe(told('GET', target));
    }
    const keys = await stage.stored();
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(key.length).toBeLessThanOrEqual(128);
  });

  it.each<[input: string, line: string]>([
    ['a thousand ranges', `Range: bytes=${Array.from({ length: 1000 }, (_, index) => `${index}-`).join(',')}`],
    ['a range past 2^64', 'Range: bytes=0-99999999999999999999'],
    ['a suffix past 2^64', 'Range: bytes=-99999999999999999999'],
    ['a thousand codings', `Accept-Encoding: ${'gzip;q=0.001,'.repeat(900)}`],
    ['a thousand entity tags', `If-None-Match: ${'"a",'.repeat(2500)}`],
    ['an entity tag that is never closed', `If-None-Match: "${'a,'.repeat(5000)}`],
    ['a thousand directives', `Cache-Control: ${'max-age="'.repeat(1000)}`],
    ['a list of commas', `Accept: ${','.repeat(10_000)}`],
    ['a Connection that nominates a thousand fields', `Connection: ${'a,'.repeat(5000)}`],
    ['spaces and tabs without end', `X: a${' \t'.repeat(5000)}b`],
  ])('%s → answered in the blink of an eye', async (_input, line) => {
    await using stage = await startStage({
      script: (_request, peer) => peer.respond(200, { 'Cache-Control': 'max-age=600', ETag: '"e"' }, 'x'.repeat(100)),
    });
    for (const kind of ['c', 'h']) {
      await stage.converse(get(`/${kind}/x`));
      const startedMs = performance.now();
      const { replies } = await stage.converse(get(`/${kind}/x`, line));
      expect([200, 206, 304]).toContain(replies[0]?.status);
      expect(performance.now() - startedMs).toBeLessThan(1000);
    }
    await stage.sound();
  });

  it('a thousand requests for one key at once → one upstream call', async () => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      script: async (request, peer) => {
        await gate.promise;
        await echo(request, peer);
      },
    });
    const bytes = head('GET /c/hot HTTP/1.1', 'Host: a').repeat(99) + get('/c/hot');
    const asked = Array.from({ length: 10 }, () => stage.converse(bytes));
    await stage.origin.arrived(1);
    gate.resolve();
    const answers = (await Promise.all(asked)).flatMap(({ replies }) => replies.map((reply) => reply.text));
    expect(answers).toHaveLength(1000);
    expect(new Set(answers)).toEqual(new Set([told('GET', '/c/hot')]));
    expect(stage.asked()).toHaveLength(1);
  });

  it('a lifetime past 2^31 ms, where a timer would fire at once → a hit until it ends, and no longer', async () => {
    const clock = new ShiftedClock();
    await using stage = await startStage({
      clock,
      routes: '  - { name: ruled, match: /c/*, upstream: api, ttl: 60d, retain: 90d }',
    });
    const day = 86_400_000;
    const status = async () => (await stage.converse(get('/c/x'))).replies[0]?.field('cache-status');
    expect(await status()).toContain('fwd=uri-miss');
    expect(await status()).toContain('hit');
    clock.advance(59 * day);
    expect(await status()).toContain('hit');
    clock.advance(2 * day);
    expect(await status()).toContain('fwd=');
    expect(stage.asked()).toHaveLength(2);
  });
});
