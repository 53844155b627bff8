import { setImmediate as turnEnd } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';

import type { UpstreamConfig } from '../../src/core/config.ts';
import { describe as wordsFor } from '../../src/upstream/failure.ts';
import { FakeClock } from '../support/clock.ts';
import {
  afterInterim,
  answer,
  chunk,
  huge,
  inTurn,
  lastChunk,
  silent,
  startOrigin,
  truncated,
  type Framing,
  type OriginOptions,
  type OriginPeer,
  type OriginScript,
} from '../support/origin.ts';
import { cacheOffRoute } from '../support/relay-route.ts';
import { rawClient, startRelayHost, type RelayHostOptions } from '../support/relay-host.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

async function setUp(
  script: OriginScript,
  changes: Partial<UpstreamConfig> = {},
  options: Partial<RelayHostOptions> & OriginOptions = {},
) {
  const origin = await startOrigin(script, options);
  open.push(origin);
  const host = await startRelayHost({ ...options, config: upstreamConfig(origin.url, changes) });
  open.push(host);
  return { origin, host };
}

const get = (path = '/p', fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: proxy.example\r\n${fields}\r\n`;
const last = (path = '/p', fields = ''): string => get(path, `Connection: close\r\n${fields}`);
const ok = answer(200, { 'Content-Type': 'application/json' }, '{"a":1}');

/** Sends one request on a connection that closes behind the answer; gives all bytes received. */
async function ask(port: number, request: string | Buffer): Promise<{ head: string; body: string; ended: string }> {
  using client = await rawClient(port, request);
  const ended = await client.ended;
  const end = client.received.indexOf('\r\n\r\n');
  return { head: client.received.slice(0, end), body: client.received.slice(end + 4), ended };
}

function problemCode(body: string): string {
  const problem: { type: string } = JSON.parse(body);
  return problem.type.split(':').at(-1) ?? '';
}

describe('a relayed request', () => {
  test('goes upstream with the upstream’s Host and Via, without what was meant for one hop', async () => {
    const { origin, host } = await setUp(ok);
    const fields =
      'Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n' +
      'Proxy-Authorization: Basic eA==\r\nAuthorization: Bearer mine\r\nCookie: a=b\r\nX-Custom: kept\r\n';
    const { head, body } = await ask(host.port, get('/p?q=1', fields));
    expect(head.split('\r\n')[0]).toBe('HTTP/1.1 200 OK');
    expect(body).toBe('{"a":1}');
    const names = origin.requests[0]?.lines.map(([name]) => name.toLowerCase()).toSorted();
    expect(names).toEqual(['authorization', 'connection', 'cookie', 'host', 'via', 'x-custom']);
    expect(origin.requests[0]?.field('host')).toBe(`127.0.0.1:${origin.port}`);
    expect(origin.requests[0]?.field('connection')).toBe('keep-alive');
    expect(host.results).toEqual([
      { status: 200, bytesSent: 7, problem: undefined, failure: undefined, aborted: false, attempts: 1 },
    ]);
  });

  test('tells nothing of where it came from and believes nothing', async () => {
    const { origin, host } = await setUp(ok);
    const fields = 'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil\r\nForwarded: for=x\r\nX-Real-IP: 1.2.3.4\r\n';
    await ask(host.port, last('/p', fields));
    expect(origin.requests[0]?.rawHead.toLowerCase()).not.toMatch(/forwarded|real-ip|1\.2\.3\.4|proxy\.example/);
  });

  test.each(['_', '.', '~'])('holds no such field under a name with %s, which some servers read alike', async (odd) => {
    const credentials = { query: new Map<string, string>(), headers: new Map([['x-api-key', 'H34DER']]) };
    const { origin, host } = await setUp(ok, { credentials, fields: new Map([['x-static', 'ours']]) });
    const dashed =
      'X-Api-Key Api-Key X-Static X-Forwarded-Host X-Real-IP X-Forwarded Content-Length Transfer-Encoding Keep-Alive ' +
      'Proxy-Authorization Proxy-Connection HTTP2-Settings Accept-Encoding If-Range Client-Id X-Original-URL';
    const lines = dashed.split(' ').map((name) => `${name.replaceAll('-', odd)}: theirs\r\n`);
    const kept = ['api-key', 'client-id', 'x-original-url'].map((name) => name.replaceAll('-', odd));
    for (const start of ['GET /p', 'POST /p']) {
      const content = start.startsWith('GET') ? '\r\n' : 'Content-Length: 2\r\n\r\nhi';
      await ask(host.port, `${start} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines.join('')}${content}`);
    }
    for (const request of origin.requests) {
      const theirs = request.lines.filter(([, value]) => value === 'theirs').map(([name]) => name.toLowerCase());
      expect(theirs.toSorted()).toEqual(kept);
      expect([request.field('x-api-key'), request.field('x-static')]).toEqual(['H34DER', 'ours']);
    }
    expect(origin.requests).toHaveLength(2);
  });

  test.each(['/a%2Fb%252Fc//d', '//evil.example/x', "/a?x={[|]}'`&y=%ff&;=;", '/a?', '/a??b', '/a;b=1?&&'])(
    'keeps the bytes of the target %s',
    async (target) => {
      const { origin, host } = await setUp(ok);
      await ask(host.port, last(target));
      expect(origin.requests[0]?.target).toBe(target);
    },
  );

  test('carries our credentials and static fields in place of the client’s', async () => {
    const credentials = { query: new Map([['apikey', 'S3CRET']]), headers: new Map([['x-key', 'H34DER']]) };
    const { origin, host } = await setUp(ok, { credentials, fields: new Map([['user-agent', 'us']]) });
    await ask(host.port, last('/p?APIKEY=x&%61pikey=y&q=1', 'X-KEY: theirs\r\nUser-Agent: them\r\n'));
    expect(origin.requests[0]?.target).toBe('/p?q=1&apikey=S3CRET');
    expect(origin.requests[0]?.rawHead).not.toMatch(/theirs|them/);
    expect([origin.requests[0]?.field('x-key'), origin.requests[0]?.field('user-agent')]).toEqual(['H34DER', 'us']);
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'M-SEARCH'])(
    'streams %s content in both framings',
    async (method) => {
      const { origin, host } = await setUp((request, peer) => peer.respond(200, {}, request.body));
      const line = `${method} /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
      const sized = await ask(host.port, `${line}Content-Length: 5\r\n\r\nhello`);
      const chunked = await ask(
        host.port,
        `${line}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n`,
      );
      expect([sized.body, chunked.body]).toEqual(['hello', 'hello']);
      expect(origin.requests.map((request) => request.body.toString())).toEqual(['hello', 'hello']);
      expect(origin.requests[0]?.field('content-length')).toBe('5');
      expect(origin.requests[1]?.field('transfer-encoding')).toBe('chunked');
      // Each content ended where its framing said: nothing was read as a request of its own.
      expect(origin.requests).toHaveLength(2);
    },
  );

  test('may expect 100 (Continue): the client gets it from us, upstream is not asked', async () => {
    const { origin, host } = await setUp((request, peer) => peer.respond(200, {}, request.body));
    using client = await rawClient(host.port);
    client.send(
      'POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n',
    );
    await client.until('HTTP/1.1 100 Continue\r\n\r\n');
    client.send('hello');
    await client.ended;
    expect(client.received).toContain('\r\n\r\nhello');
    expect(origin.requests[0]?.field('expect')).toBeUndefined();
  });
});

test('a client’s connection serves one request after the other, with content and without', async () => {
  const { origin, host } = await setUp((request, peer) =>
    peer.respond(200, {}, `${request.target}:${request.body.toString()};`),
  );
  using client = await rawClient(host.port, get('/1'));
  await client.until('/1:;');
  client.send('POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi');
  await client.until('/2:hi;');
  client.send(last('/3'));
  await client.ended;
  expect(client.received).toContain('/3:;');
  expect(origin.requests).toHaveLength(3);
});

describe('a relayed answer', () => {
  test('has no hop-by-hop field, keeps lines apart and tells of us', async () => {
    const { host } = await setUp(
      answer(201, {
        Connection: 'close, X-Hop',
        'X-Hop': '1',
        'Keep-Alive': 'timeout=5',
        Trailer: 'X-T',
        'Set-Cookie': ['a=1', 'b=2'],
        'Cache-Status': 'edge; hit',
        Via: '1.1 edge',
      }),
    );
    const { head } = await ask(host.port, last());
    const lines = head
      .split('\r\n')
      .slice(1)
      .filter((line) => !line.startsWith('Date:'));
    expect(lines.toSorted()).toEqual([
      'Connection: close',
      'cache-status: edge; hit',
      'cache-status: forecache; fwd=bypass',
      'content-length: 0',
      'set-cookie: a=1',
      'set-cookie: b=2',
      'via: 1.1 edge',
      'via: 1.1 forecache',
    ]);
  });

  test('has no field that is there for this cache alone, where the route reads tags from it', async () => {
    const route = { ...cacheOffRoute, tagsFrom: ['surrogate-key'] } as const;
    const fields = { 'Surrogate-Key': 'a', 'Cache-Tag': 'b' };
    const { host } = await setUp(answer(200, fields, 'x'), {}, { plan: { route } });
    const { head } = await ask(host.port, last());
    expect(head).not.toContain('surrogate-key');
    expect(head).toContain('cache-tag: b');
  });

  test('in chunks arrives without its trailers; 204 and HEAD have no content', async () => {
    const { host } = await setUp(
      inTurn(
        (_request, peer) =>
          peer.write(
            `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n`,
          ),
        (_request, peer) => peer.write('HTTP/1.1 204 No Content\r\n\r\n'),
        (_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'),
      ),
    );
    expect((await ask(host.port, last())).body).toBe('3\r\nabc\r\n0\r\n\r\n');
    expect((await ask(host.port, last())).body).toBe('');
    const { head, body } = await ask(host.port, last().replace('GET', 'HEAD'));
    expect([/content-length: 1000/.test(head), body]).toEqual([true, '']);
  });

  test('comes after interim ones', async () => {
    const { host } = await setUp(afterInterim([100, 103, 100], ok));
    expect((await ask(host.port, last())).body).toBe('{"a":1}');
  });

  test('begins at once and goes on for as long as upstream talks', async () => {
    const { origin, host } = await setUp(
      async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
      },
      { credentials: { query: new Map([['k', 'S3CRET']]), headers: new Map() } },
    );
    using client = await rawClient(host.port, get());
    await client.until('text/event-stream');
    await origin.arrived(1);
    client.socket.destroy();
    await expect.poll(() => origin.openConnections).toBe(0);
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 200, aborted: true, failure: undefined });
  });

  test('of an upstream with credentials carries none of them', async () => {
    const credentials = { query: new Map([['apikey', 'S3CRET/1']]), headers: new Map() };
    const body = '{"error":"quota of S3CRET/1"}';
    const script = (request: { readonly target: string }) =>
      request.target.startsWith('/coded')
        ? answer(401, { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }, gzipSync(body))
        : answer(303, { Location: 'https://x/?apikey=S3CRET%2F1', 'Content-Type': 'text/plain' }, body);
    const { host } = await setUp((request, peer) => script(request)(request, peer), { credentials });
    const plain = await ask(host.port, last());
    expect(plain.head).toContain('location: https://x/?apikey=***\r\n');
    expect(plain.body).toBe('{"error":"quota of ********"}');
    const coded = await ask(host.port, last('/coded'));
    expect(coded.head).not.toContain('content-encoding');
    expect(coded.body).toContain('{"error":"quota of ********"}');
  });

  test('keeps lines of one name together and in order where others stand between them', async () => {
    const lines = 'Set-Cookie: a=1\r\nX-Other: x\r\nset-cookie: b=2\r\nContent-Length: 0\r\n';
    const { host } = await setUp((_request, peer) => peer.write(`HTTP/1.1 200 OK\r\n${lines}\r\n`));
    const { head } = await ask(host.port, last());
    expect(head.split('\r\n').slice(1, 4)).toEqual(['set-cookie: a=1', 'set-cookie: b=2', 'x-other: x']);
  });

  test('tells once of a client that does not take all, and never of one that does', async () => {
    const told: string[] = [];
    const plan = { onUnsent: () => void told.push('unsent') };
    const total = 24 * 1024 * 1024;
    const { host } = await setUp(inTurn(ok, huge(total, 'content-length')), {}, { plan });
    await ask(host.port, last());
    expect(told).toEqual([]);
    using slow = await rawClient(host.port, last('/huge'));
    slow.socket.pause();
    await expect.poll(() => told).toEqual(['unsent']);
    slow.socket.resume();
    await slow.ended;
    expect([slow.received.length > total, told]).toEqual([true, ['unsent']]);
  });

  test('that redirects inside its origin keeps the client on the proxy', async () => {
    const { origin, host } = await setUp((_request, peer) => peer.respond(301, { Location: `${origin.url}/b?c=d` }));
    expect((await ask(host.port, last())).head).toContain('\r\nlocation: /b?c=d\r\n');
  });

  test('is held up for a slow client in bounded memory and arrives whole', async () => {
    const total = 24 * 1024 * 1024;
    let sent = 0;
    const warnings: string[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning.name);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    const { host } = await setUp(
      huge(total, 'content-length', (bytes) => (sent = bytes)),
      {
        maxBodyBytes: 64 * 1024 * 1024,
      },
    );
    using client = await rawClient(host.port, last());
    client.socket.pause();
    let before = -1;
    const stands = (): boolean => {
      const same = sent === before && sent > 0;
      before = sent;
      return same;
    };
    await expect.poll(stands, { interval: 100, timeout: 5000 }).toBe(true);
    expect(sent).toBeLessThan(total);
    client.socket.resume();
    await client.ended;
    expect(client.received.length - client.received.indexOf('\r\n\r\n') - 4).toBe(total);
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 200, bytesSent: total, aborted: false });
    // Each pause must take its listeners with it.
    expect(warnings).toEqual([]);
  });
});

describe('limits', () => {
  test('content past maxBodyBytes is refused with 413, declared or in chunks; exactly that much passes', async () => {
    const { origin, host } = await setUp(
      (request, peer) => peer.respond(200, {}, String(request.body.length)),
      {},
      {
        plan: { maxBodyBytes: 1000 },
      },
    );
    const post = 'POST /p HTTP/1.1\r\nHost: x\r\n';
    const declared = await ask(host.port, `${post}Content-Length: 1001\r\n\r\n${'x'.repeat(1001)}`);
    expect([declared.head.slice(0, 12), problemCode(declared.body)]).toEqual(['HTTP/1.1 413', 'content-too-large']);
    expect(declared.head).toContain('cache-status: forecache; detail=content-too-large\r\n');
    expect(origin.connections).toBe(0);
    const piece = chunk('x'.repeat(600)).toString();
    const inChunks = await ask(host.port, `${post}Transfer-Encoding: chunked\r\n\r\n${piece}${piece}${lastChunk}`);
    expect([inChunks.head.slice(0, 12), problemCode(inChunks.body)]).toEqual(['HTTP/1.1 413', 'content-too-large']);
    expect(inChunks.head).toContain('cache-status: forecache; fwd=bypass; detail=content-too-large\r\n');
    expect(origin.requests).toHaveLength(0);
    const exact = await ask(host.port, `${post}Connection: close\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(1000)}`);
    expect(exact.body).toBe('1000');
    expect(host.results.map((result) => result.problem)).toEqual(['content-too-large', 'content-too-large', undefined]);
  });

  test('an answer declared past the upstream’s maxBodyBytes is a 502, an endless one is cut off', async () => {
    const { origin, host } = await setUp(
      inTurn(answer(200, {}, 'x'.repeat(2001)), huge(1e12, 'chunked')),
      { maxBodyBytes: 2000 },
      { plan: { route: { ...cacheOffRoute, cache: 'on' } } },
    );
    const declared = await ask(host.port, last());
    expect([declared.head.slice(0, 12), problemCode(declared.body)]).toEqual(['HTTP/1.1 502', 'upstream-too-large']);
    const endless = await ask(host.port, get());
    expect(endless.body.endsWith(lastChunk)).toBe(false);
    await expect.poll(() => origin.openConnections).toBe(0);
    expect(host.results[1]).toMatchObject({ status: 200, failure: 'too-large', aborted: false });
  });

  test('an answer on a route with cache: off may be as long as it likes', async () => {
    const total = 1024 * 1024;
    const { host } = await setUp(huge(total, 'content-length'), { maxBodyBytes: 2000 });
    expect((await ask(host.port, last())).body).toHaveLength(total);
  });

  test('a head past the upstream’s maxHeaderBytes is a 502', async () => {
    const { host } = await setUp(answer(200, { 'X-Long': 'a'.repeat(20_000) }));
    const { head, body } = await ask(host.port, last());
    expect([head.slice(0, 12), problemCode(body)]).toEqual(['HTTP/1.1 502', 'upstream-malformed']);
  });
});

describe('an upstream that fails', () => {
  test.each<[Framing, 'fin' | 'rst']>([
    ['content-length', 'fin'],
    ['content-length', 'rst'],
    ['chunked', 'fin'],
    ['chunked', 'rst'],
    ['close', 'rst'],
  ])(
    'in the middle of a %s body by %s ends the client’s connection, without a good end (trap 1)',
    async (framing, how) => {
      const { host } = await setUp(async (_request, peer) => {
        const lines = {
          'content-length': 'Content-Length: 1000\r\n',
          chunked: 'Transfer-Encoding: chunked\r\n',
          close: 'Connection: close\r\n',
        };
        await peer.write(`HTTP/1.1 200 OK\r\n${lines[framing]}\r\n`);
        await peer.write(framing === 'chunked' ? chunk('x'.repeat(400)) : 'x'.repeat(400));
        await clientHasBegun.promise;
        if (how === 'fin') peer.end();
        else peer.reset();
      });
      const clientHasBegun = Promise.withResolvers<void>();
      using client = await rawClient(host.port, get());
      await client.until('xxx');
      clientHasBegun.resolve();
      await client.ended;
      expect(client.received).not.toContain(lastChunk);
      expect(client.received.split('x').length - 1).toBeLessThanOrEqual(402);
      await host.ended(1);
      expect(host.results[0]).toMatchObject({ status: 200, problem: undefined, aborted: false });
      expect(['truncated', 'reset']).toContain(host.results[0]?.failure);
    },
  );

  test('in the middle of a body resets an HTTP/1.0 client, to whom an end would look complete', async () => {
    const gate = Promise.withResolvers<void>();
    const { host } = await setUp(async (_request, peer) => {
      await peer.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('xxxx').toString()}`);
      await gate.promise;
      peer.end();
    });
    using client = await rawClient(host.port, 'GET /p HTTP/1.0\r\nHost: x\r\n\r\n');
    await client.until('xxxx');
    gate.resolve();
    expect(await client.ended).toBe('rst');
  });

  test.each(['fin', 'rst'] as const)(
    'before the answer’s body has begun to flow leaves nobody waiting (%s)',
    async (how) => {
      const { host } = await setUp(truncated('content-length', how, ''));
      const { head } = await ask(host.port, get());
      expect(head).toMatch(/^HTTP\/1\.1 (?:200|502)/);
      await host.ended(1);
      expect(host.results[0]?.failure).toMatch(/^(?:truncated|reset)$/);
    },
  );

  test.each([
    ['junk', 'SSH-2.0-OpenSSH\r\n\r\n', 502, 'upstream-malformed'],
    [
      'both framings',
      `HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n${lastChunk}`,
      502,
      'upstream-malformed',
    ],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 502, 'upstream-malformed'],
    [
      'a transfer coding that is none',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc',
      502,
      'upstream-malformed',
    ],
    ['nothing at all', '', 502, 'upstream-reset'],
    ['half a head', 'HTTP/1.1 200 OK\r\nX-Half', 502, 'upstream-reset'],
    [
      'a switch that nobody asked for',
      'HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
      502,
      'upstream-malformed',
    ],
  ])('by sending %s is a problem', async (_name, bytes, status, code) => {
    const { host } = await setUp(async (_request, peer) => {
      await peer.write(bytes);
      peer.end();
    });
    const { head, body } = await ask(host.port, last());
    expect([head.slice(0, 12), problemCode(body)]).toEqual([`HTTP/1.1 ${status}`, code]);
    expect(head).toContain('content-type: application/problem+json');
  });

  const withContent = 'POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi';
  const chunkedHead = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

  describe.each([
    ['a GET', get()],
    ['a request with content', withContent],
  ])('to %s', (_name, request) => {
    test.each([
      ['first chunk', 'ZZ\r\n'],
      ['second chunk', '5\r\nhello\r\nZZ\r\n'],
      ['trailer', '5\r\nhello\r\n0\r\nbad trailer\0: x\r\n\r\n'],
    ])('by a malformed %s right behind the head is a 502, and the connection goes on', async (_what, content) => {
      const { host } = await setUp(
        inTurn((_request, peer) => peer.write(`${chunkedHead}${content}`), answer(200, {}, 'fine')),
      );
      using client = await rawClient(host.port, request);
      await client.until('upstream-malformed');
      await host.ended(1);
      expect(client.received).toMatch(/^HTTP\/1\.1 502 /);
      expect(client.received).not.toContain('hello');
      expect(host.results).toMatchObject([{ status: 502, problem: 'upstream-malformed', failure: 'malformed' }]);
      client.send(last());
      await client.ended;
      expect(client.received).toMatch(/\r\n\r\nfine$/);
    });

    test.each<[string, 'truncated' | 'reset' | 'malformed', string, (peer: OriginPeer) => unknown]>([
      ['end', 'truncated', 'Content-Length: 50\r\n\r\nhello', (peer) => peer.end()],
      ['end between chunks', 'truncated', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', (peer) => peer.end()],
      ['reset', 'reset', 'Content-Length: 50\r\n\r\nhello', (peer) => peer.reset()],
      ['reset where an end is the end', 'reset', 'Connection: close\r\n\r\nhello', (peer) => peer.reset()],
      ['bad chunk', 'malformed', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', (peer) => peer.write('ZZ\r\n')],
    ])(
      'by an %s in its content ends the connection, and is told as what it is: %s',
      async (_how, kind, begin, breaks) => {
        const clientHasBegun = Promise.withResolvers<void>();
        const { host } = await setUp(async (_request, peer) => {
          await peer.write(`HTTP/1.1 200 OK\r\n${begin}`);
          await clientHasBegun.promise;
          await breaks(peer);
        });
        using client = await rawClient(host.port, request);
        await client.until('hello');
        clientHasBegun.resolve();
        await client.ended;
        await host.ended(1);
        expect(client.received).not.toContain(lastChunk);
        expect(host.results).toMatchObject([{ status: 200, bytesSent: 5, problem: undefined, failure: kind }]);
        expect(host.results[0]?.reason).toContain(wordsFor(kind).detail);
      },
    );
  });

  test('to accept connections is a 502', async () => {
    const origin = await startOrigin(ok);
    const { url } = origin;
    await origin.close();
    const host = await startRelayHost({ config: upstreamConfig(url) });
    open.push(host);
    const { head, body } = await ask(host.port, last());
    expect([head.slice(0, 12), problemCode(body)]).toEqual(['HTTP/1.1 502', 'upstream-unreachable']);
    expect(host.results[0]).toMatchObject({ status: 502, problem: 'upstream-unreachable', failure: 'connect' });
    expect(host.results[0]?.reason).toBe('the connection was refused or there is no way to the host (ECONNREFUSED)');
  });

  test('to answer in time is a 504', async () => {
    const clock = new FakeClock();
    const { origin, host } = await setUp(silent, { headersTimeoutMs: 3000 }, { clock });
    const asking = ask(host.port, last());
    await origin.arrived(1);
    const nudge = setInterval(() => clock.advance(1000), 20);
    const { head, body } = await asking;
    clearInterval(nudge);
    expect([head.slice(0, 12), problemCode(body)]).toEqual(['HTTP/1.1 504', 'upstream-timeout']);
    await expect.poll(() => origin.openConnections).toBe(0);
  });

  test('to go on with a body in time ends the client’s connection', async () => {
    const clock = new FakeClock();
    const { host } = await setUp(
      (_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
      { bodyTimeoutMs: 3000 },
      { clock },
    );
    using client = await rawClient(host.port, get());
    await client.until('abc');
    clock.advance(2999);
    expect(client.socket.closed).toBe(false);
    clock.advance(1);
    await client.ended;
    await host.ended(1);
    expect(host.results[0]).toMatchObject({ status: 200, failure: 'timeout', bytesSent: 3, aborted: false });
  });

  test('by closing a kept connection is asked again for a GET, not for a POST', async () => {
    const { origin, host } = await setUp((request, peer) =>
      request.requestOnConnection === 1 ? peer.respond(200, {}, 'x') : peer.reset(),
    );
    expect((await ask(host.port, last())).body).toBe('x');
    expect((await ask(host.port, last())).body).toBe('x');
    expect(origin.requests.map((request) => request.connection)).toEqual([1, 1, 2]);
    const post = last().replace('GET', 'POST');
    expect((await ask(host.port, post)).head.slice(0, 12)).toBe('HTTP/1.1 200');
    // Its own, new connection: never one that may be closing.
    expect(origin.requests.at(-1)?.requestOnConnection).toBe(1);
  });

  test('by closing a kept connection behind the first bytes of an answer is not asked again: it has had the request', async () => {
    const { origin, host } = await setUp(async (request, peer) => {
      if (request.requestOnConnection === 1) return peer.respond(200, {}, 'x');
      await peer.write('HTTP/1.1 200 OK\r\nContent-');
      peer.end();
    });
    expect((await ask(host.port, last())).body).toBe('x');
    const { head, body } = await ask(host.port, last());
    expect([head.slice(0, 12), problemCode(body)]).toEqual(['HTTP/1.1 502', 'upstream-reset']);
    expect(origin.requests.map((request) => request.connection)).toEqual([1, 1]);
  });

  test('by resetting a kept connection for which a request waits is asked on a new one, and once', async () => {
    let reset = false;
    const before = async (): Promise<void> => {
      // Behind the phase of the loop in which bytes come: what is relayed now waits for them first.
      await turnEnd();
      if (reset) origin.resetAll();
      reset = true;
    };
    const { origin, host } = await setUp(ok, {}, { before });
    for (const attempts of [1, 1]) {
      expect((await ask(host.port, last())).body).toBe('{"a":1}');
      expect(host.results.at(-1)).toMatchObject({ attempts, failure: undefined });
    }
    expect(origin.requests.map((request) => request.connection)).toEqual([1, 2]);
  });

  test('by answering before the content is sent gets its answer through', async () => {
    const { host } = await setUp(
      silent,
      {},
      {
        onHead: (_head, peer) => {
          void peer.respond(403, { Connection: 'close' }, 'no').then(() => peer.end());
          return false;
        },
      },
    );
    using client = await rawClient(host.port, 'POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nbegin');
    await client.until('\r\n\r\nno');
    expect(client.received).toMatch(/^HTTP\/1\.1 403/);
    const names = client.received
      .split('\r\n')
      .slice(1, 6)
      .map((line) => line.split(':')[0]);
    expect(names).toEqual(['content-length', 'via', 'cache-status', 'connection', 'Date']);
    await client.ended;
    expect(host.uncaught).toEqual([]);
  });
});

describe('a client that goes', () => {
  test('while upstream thinks takes its request with it', async () => {
    const { origin, host } = await setUp(silent);
    using client = await rawClient(host.port, get());
    await origin.arrived(1);
    client.socket.resetAndDestroy();
    await host.ended(1);
    expect(host.results[0]).toEqual({
      status: 0,
      bytesSent: 0,
      problem: undefined,
      failure: undefined,
      aborted: true,
      attempts: 1,
    });
    await expect.poll(() => origin.openConnections).toBe(0);
  });

  test('in the middle of its content leaves upstream with a broken request, not a complete one', async () => {
    const { origin, host } = await setUp(ok);
    using client = await rawClient(
      host.port,
      'POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    );
    await expect.poll(() => origin.openConnections).toBe(1);
    client.socket.resetAndDestroy();
    await host.ended(1);
    await expect.poll(() => origin.openConnections).toBe(0);
    expect(origin.requests).toHaveLength(0);
    expect(host.results[0]).toMatchObject({ status: 0, aborted: true });
  });
});
