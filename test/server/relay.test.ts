import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';

import { get, head, startStage } from '../support/hostile.ts';
import { limitHits, outcomes, upstreamCalls } from '../support/metrics.ts';
import { answer, chunk, lastChunk, type OriginScript, truncated } from '../support/origin.ts';

const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;

/** Script: says what came. */
const tell: OriginScript = (request, peer) => {
  const told = JSON.stringify([request.method, request.target, request.body.toString()]);
  return peer.respond(200, { 'Content-Type': 'application/json', 'Cache-Control': 'max-age=60' }, told);
};

interface MethodRow {
  readonly method: string;
  readonly route: 'c' | 'h' | 'r';
  /** Content that is sent along. */
  readonly content: string;
  readonly cacheStatus: string;
  readonly outcome: 'miss' | 'relayed';
}

/** Of a GET or HEAD. On the honour route a HEAD goes upstream as one, and nothing is stored of it. */
function statusOf(method: string, route: MethodRow['route']): string {
  if (route === 'r') return 'forecache; fwd=bypass';
  return `forecache; fwd=uri-miss; ${route === 'h' && method === 'HEAD' ? 'detail=method' : 'stored'}`;
}

const withContent = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'];

const rows: readonly MethodRow[] = (['c', 'h', 'r'] as const).flatMap((route) => [
  ...withContent.flatMap((method) =>
    ['', 'content'].map((content) => ({
      method,
      route,
      content,
      cacheStatus: route === 'r' ? 'forecache; fwd=bypass' : 'forecache; fwd=method',
      outcome: 'relayed' as const,
    })),
  ),
  ...['GET', 'HEAD'].map((method) => ({
    method,
    route,
    content: '',
    cacheStatus: statusOf(method, route),
    outcome: route === 'r' ? ('relayed' as const) : ('miss' as const),
  })),
]);

describe('A method', () => {
  it.each(rows)('$method on /$route with content "$content": $cacheStatus', async (row) => {
    await using stage = await startStage({ routes, script: tell });
    const framing = row.content === '' ? [] : [`Content-Length: ${row.content.length}`];
    const lines = ['Host: api.test', 'Connection: close', ...framing];
    const sent = head(`${row.method} /${row.route}/x?a=1 HTTP/1.1`, ...lines) + row.content;
    const { replies, rest } = await stage.converse(sent, { methods: [row.method] });
    const upstreamMethod = row.method === 'HEAD' && row.route === 'c' ? 'GET' : row.method;
    const told = JSON.stringify([upstreamMethod, `/${row.route}/x?a=1`, row.content]);
    expect(replies.map((reply) => [reply.status, reply.field('cache-status'), reply.text])).toEqual([
      [200, row.cacheStatus, row.method === 'HEAD' ? '' : told],
    ]);
    expect(rest.length).toBe(0);
    expect(stage.origin.requests.map((request) => [request.method, request.body.toString()])).toEqual([
      [upstreamMethod, row.content],
    ]);
    expect(await outcomes(stage.admin)).toEqual({ [row.outcome]: 1 });
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 1 });
    expect(await stage.stored()).toHaveLength(row.cacheStatus.endsWith('stored') ? 1 : 0);
  });

  it.each(['TRACE', 'CONNECT'])('%s is refused with 405 and never gets upstream', async (method) => {
    await using stage = await startStage({ routes, script: tell });
    const target = method === 'CONNECT' ? 'api.test:443' : '/r/x';
    const { replies } = await stage.converse(
      head(`${method} ${target} HTTP/1.1`, 'Host: api.test', 'Connection: close'),
    );
    expect(replies.map((reply) => [reply.status, reply.field('content-type')])).toEqual([
      [405, 'application/problem+json'],
    ]);
    expect(stage.asked()).toEqual([]);
  });

  it('a relayed request is never answered from what is stored, and leaves it there', async () => {
    await using stage = await startStage({ routes, script: tell });
    await stage.get('/c/x');
    const relayed = await stage.get('/c/x', { method: 'POST', body: 'p' });
    expect([relayed.cacheStatus, JSON.parse(relayed.text)]).toEqual(['forecache; fwd=method', ['POST', '/c/x', 'p']]);
    expect((await stage.get('/c/x')).cacheStatus).toContain('hit');
    const withCookie = await stage.get('/c/x', { headers: { cookie: 'sid=1' } });
    expect(withCookie.cacheStatus).toBe('forecache; fwd=bypass');
    expect(await outcomes(stage.admin)).toEqual({ miss: 1, relayed: 2, hit: 1 });
    expect(stage.asked()).toHaveLength(3);
  });
});

describe('An offer of another protocol', () => {
  const offer = ['Host: api.test', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'];

  it.each(['c', 'r'])('of h2c is no upgrade: the request is served as it is (/%s)', async (route) => {
    await using stage = await startStage({ routes, script: tell });
    const { replies } = await stage.converse(head(`GET /${route}/x HTTP/1.1`, ...offer));
    expect(replies.map((reply) => [reply.status, JSON.parse(reply.text)])).toEqual([[200, ['GET', `/${route}/x`, '']]]);
    const [request] = stage.origin.requests;
    expect([request?.field('upgrade'), request?.field('http2-settings')]).toEqual([undefined, undefined]);
    const again = await stage.get(`/${route}/x`);
    expect(again.cacheStatus.includes('hit')).toBe(route === 'c');
  });

  it('of h2c with content is relayed with it', async () => {
    await using stage = await startStage({ routes, script: tell });
    const sent = [head('POST /r/x HTTP/1.1', ...offer, 'Content-Length: 7'), 'con', 'tent'];
    const { replies } = await stage.converse(sent);
    expect(replies.map((reply) => [reply.status, JSON.parse(reply.text)])).toEqual([
      [200, ['POST', '/r/x', 'content']],
    ]);
  });

  it('that is not taken up is the last request of its connection: the parser loses what came right behind it', async () => {
    await using stage = await startStage({ routes, script: tell });
    const hidden = get('/r/hidden');
    const sent = [`${head('GET /r/x HTTP/1.1', ...offer)}GET /r/y HTTP/1.1\r\nX-Rest:`, `\r\n\r\n${hidden}`];
    const { replies, rest } = await stage.converse(sent);
    expect(replies.map((reply) => [reply.status, reply.field('connection')])).toEqual([[200, 'close']]);
    expect(rest.length).toBe(0);
    expect(stage.asked()).toEqual(['/r/x']);
  });
});

describe('A relayed stream', () => {
  it('passes each piece on as it comes, the head before any', async () => {
    const gates = [0, 1, 2].map(() => Promise.withResolvers<void>());
    await using stage = await startStage({
      routes,
      script: async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
        for (const [index, gate] of gates.entries()) {
          await gate.promise;
          await peer.write(chunk(`data: ${index}\n\n`));
        }
        await peer.write(lastChunk);
      },
    });
    const request = httpRequest(`${stage.url}/r/events`, { agent: false });
    request.end();
    const [response]: IncomingMessage[] = await once(request, 'response');
    const pieces: string[] = [];
    const ended = once(response ?? request, 'end');
    response?.on('data', (data: Buffer) => pieces.push(data.toString()));
    for (const [index, gate] of gates.entries()) {
      gate.resolve();
      await expect.poll(() => pieces.length).toBe(index + 1);
    }
    await ended;
    expect(pieces).toEqual(['data: 0\n\n', 'data: 1\n\n', 'data: 2\n\n']);
  });

  it('carries an upload piece by piece, and its answer while it still goes on', async () => {
    await using stage = await startStage({ routes, script: tell });
    using connection = await stage.open();
    await connection.send(head('POST /r/x HTTP/1.1', 'Host: api.test', 'Transfer-Encoding: chunked'));
    await connection.send(chunk('one '));
    await expect.poll(() => stage.origin.openConnections).toBe(1);
    await connection.send(chunk('two'));
    await connection.send(lastChunk);
    expect(JSON.parse((await connection.reply()).text)).toEqual(['POST', '/r/x', 'one two']);
  });

  it('its call is counted when its head comes, the request when it ends', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    await using stage = await startStage({
      routes,
      script: async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
        await gate;
        await peer.write(chunk('late') + lastChunk);
      },
    });
    const asking = stage.get('/r/x');
    await expect.poll(() => upstreamCalls(stage.admin)).toEqual({ '2xx': 1 });
    expect(await outcomes(stage.admin)).toEqual({});
    open();
    expect((await asking).text).toBe('late');
    expect(await outcomes(stage.admin)).toEqual({ relayed: 1 });
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 1 });
  });

  it.each(['/r/x', '/h/x', '/c/x'])('that the client leaves ends the call upstream (%s)', async (target) => {
    await using stage = await startStage({
      routes: routes.replace('ttl: 10m', 'ttl: 10m, maxStoredBytes: 4'),
      script: async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
        await peer.write(chunk('begin'));
      },
    });
    using connection = await stage.open();
    await connection.send(get(target));
    await expect.poll(() => connection.received.toString()).toContain('begin');
    connection.socket.resetAndDestroy();
    await expect.poll(() => stage.origin.openConnections).toBe(0);
    await expect.poll(() => outcomes(stage.admin)).toEqual({ aborted: 1 });
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 1 });
    await stage.sound();
  });

  it('of which upstream knows nothing yet when the client leaves is counted as an ended call', async () => {
    await using stage = await startStage({ routes, script: () => {} });
    using connection = await stage.open();
    await connection.send(get('/r/x'));
    await stage.origin.arrived(1);
    connection.socket.resetAndDestroy();
    await expect.poll(() => outcomes(stage.admin)).toEqual({ aborted: 1 });
    expect(await upstreamCalls(stage.admin)).toEqual({ aborted: 1 });
    await expect.poll(() => stage.origin.openConnections).toBe(0);
  });

  it.each(['/r/x', '/h/x', '/c/x'])(
    'that upstream breaks off ends the client’s connection, visibly (%s)',
    async (target) => {
      for (const how of ['fin', 'rst'] as const) {
        await using stage = await startStage({
          routes: routes.replace('ttl: 10m', 'ttl: 10m, maxStoredBytes: 4'),
          script: truncated('chunked', how),
        });
        const { replies, rest } = await stage.converse(get(target));
        expect(replies).toEqual([]);
        expect(rest.toString()).toMatch(/^HTTP\/1\.1 200 /);
        expect(await outcomes(stage.admin)).toEqual({ error: 1 });
        expect(await stage.stored()).toEqual([]);
        await stage.sound();
      }
    },
  );
});

describe('The records of relayed requests', () => {
  it('are exact over a mixture: requests, calls, problems, bytes', async () => {
    await using stage = await startStage({
      routes,
      server: 'limits: { maxBodyBytes: 10 }',
      script: answer(201, {}, 'made'),
    });
    for (let times = 0; times < 5; times++) await stage.get('/r/x', { method: 'PUT', body: 'small' });
    await stage.get('/r/x', { method: 'PUT', body: 'far too large' });
    stage.origin.script(answer(500, {}, 'oops'));
    await stage.get('/r/x');
    stage.origin.script((_request, peer) => peer.reset());
    await stage.get('/r/x', { method: 'POST', body: 'x' });
    expect(await outcomes(stage.admin)).toEqual({ relayed: 6, rejected: 1, error: 1 });
    expect(await upstreamCalls(stage.admin)).toEqual({ '2xx': 5, '5xx': 1, reset: 1 });
    expect(await limitHits(stage.admin)).toEqual({ 'server.limits.maxBodyBytes': 1 });
    const { body } = await stage.call('GET', '/api/metrics/cache');
    expect(body).toMatchObject({ requests: 8, hits: 0, upstream_calls: 7 });
  });
});
