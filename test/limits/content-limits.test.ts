import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { Reply } from '../support/http.ts';
import { limitHits, outcomes, samples } from '../support/metrics.ts';
import { answer, type Origin, startOrigin } from '../support/origin.ts';
import { openRaw } from '../support/raw.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';

const routes = `
  - { name: search, match: /search, upstream: api, ttl: 1h, content: { methods: [QUERY, POST], maxBytes: 1000 } }
  - { name: graphql, match: /graphql, upstream: api, ttl: 1h, content: { methods: [POST], as: graphql } }
`;

interface Stage {
  readonly origin: Origin;
  readonly proxy: TestProxy;
  readonly send: (target: string, body: string, headers?: Readonly<Record<string, string>>) => Promise<Reply>;
  readonly query: Stage['send'];
}

async function start(server = ''): Promise<Stage> {
  const origin = await startOrigin(answer(200, {}, '{"data":{}}'));
  onTestFinished(() => origin.close());
  const yaml = yamlFor(origin.url, routes).replace('127.0.0.1:0 }', `127.0.0.1:0${server} }`);
  const proxy = await startTestProxy({ yaml });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  const sendBy =
    (method: string): Stage['send'] =>
    (target, body, headers = {}) =>
      proxy.get(target, { method, body, headers: { 'content-type': 'application/json', ...headers } });
  return { origin, proxy, send: sendBy('POST'), query: sendBy('QUERY') };
}

function sized(bytes: number): string {
  return `"${'b'.repeat(bytes - 2)}"`;
}

/** A request that declares so many bytes, with so many of them. */
function begun(length: number, sent: number, name: number): string {
  const lines = [`POST /search?n=${name} HTTP/1.1`, 'Host: a', 'Content-Type: text/plain', `Content-Length: ${length}`];
  return `${lines.join('\r\n')}\r\n\r\n${'b'.repeat(sent)}`;
}

async function inFlight(admin: string): Promise<number | undefined> {
  return (await samples(admin)).get('forecache_requests_in_flight');
}

function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

function graphql(fields: string): string {
  return JSON.stringify({ query: `{${fields}}` });
}

function deep(depth: number): string {
  return `${'a{'.repeat(depth - 1)}a${'}'.repeat(depth - 1)}`;
}

const looked = 'forecache; fwd=uri-miss; stored';

/** A connection of which all that comes is kept. */
function connected(origin: string): { readonly socket: Socket; readonly received: () => string } {
  const socket = connect({ port: Number(new URL(origin).port), host: '127.0.0.1' });
  onTestFinished(() => void socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (more: string) => {
    text += more;
  });
  return { socket, received: () => text };
}

describe('Content that enters a key', () => {
  it.each([
    ['a QUERY with its length declared', 'QUERY', {}],
    ['a QUERY in chunks', 'QUERY', { 'transfer-encoding': 'chunked' }],
    ['a POST in chunks', 'POST', { 'transfer-encoding': 'chunked' }],
  ] as const)('content of exactly maxBytes is looked up, one byte more is a 413: %s', async (_how, method, headers) => {
    const { origin, proxy, ...stage } = await start();
    const send = method === 'POST' ? stage.send : stage.query;
    expect((await send('/search', sized(1000), headers)).cacheStatus).toBe(looked);
    expect(await limitHits(proxy.admin)).toEqual({});
    const past = await send('/search', sized(1001), headers);
    expect([past.status, JSON.parse(past.text)]).toMatchObject([
      413,
      { type: 'urn:forecache:problem:content-too-large', limit: 1000 },
    ]);
    expect(past.headers.connection).toBe('close');
    expect(origin.requests).toHaveLength(1);
    expect(await limitHits(proxy.admin)).toEqual({ 'routes.content.maxBytes': 1 });
    expect(await outcomes(proxy.admin)).toEqual({ miss: 1, rejected: 1 });
  });

  it('a POST that declares exactly maxBytes is looked up, one that declares one byte more is relayed', async () => {
    const { origin, proxy, send } = await start();
    expect((await send('/search', sized(1000))).cacheStatus).toBe(looked);
    expect(await limitHits(proxy.admin)).toEqual({});
    expect((await send('/search', sized(1001))).cacheStatus).toBe('forecache; fwd=bypass');
    expect(origin.requests.map((one) => one.body.toString())).toEqual([sized(1000), sized(1001)]);
    expect(await limitHits(proxy.admin)).toEqual({ 'routes.content.maxBytes': 1 });
    expect(await outcomes(proxy.admin)).toEqual({ miss: 1, relayed: 1 });
  });

  it('content far past maxBytes is a 413 that the client gets to read', async () => {
    const { query } = await start();
    expect((await query('/search', sized(5_000_000))).status).toBe(413);
    expect((await query('/search', sized(5_000_000), { 'transfer-encoding': 'chunked' })).status).toBe(413);
  });

  it('contents of exactly maxContentBytes are held at once, one byte more is a 429', async () => {
    const { origin, proxy, send } = await start(', limits: { maxContentBytes: 2KiB }');
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      await peer.respond(200, {}, 'content');
    });
    const held = [];
    for (const [index, sent] of [999, 999, 50].entries()) {
      const connection = await openRaw(proxy.origin);
      onTestFinished(() => connection[Symbol.dispose]());
      await connection.send(begun(sent + 1, sent, index));
      held.push(connection);
    }
    await expect.poll(() => inFlight(proxy.admin)).toBe(3);
    const past = await send('/search', '9');
    expect([past.status, past.headers['retry-after'], past.headers.connection, JSON.parse(past.text)]).toMatchObject([
      429,
      '1',
      'close',
      { type: 'urn:forecache:problem:too-much-content', limit: 2048 },
    ]);
    expect(await limitHits(proxy.admin)).toEqual({ 'server.limits.maxContentBytes': 1 });
    // A client that goes away gives its part back, and so does each that has its answer, not before.
    held[2]?.socket.destroy();
    await expect.poll(() => inFlight(proxy.admin)).toBe(2);
    await held[0]?.send('b');
    await origin.arrived(1);
    expect((await send('/search', sized(50))).status).toBe(429);
    gate.resolve();
    expect((await held[0]?.reply())?.status).toBe(200);
    await expect.poll(() => inFlight(proxy.admin)).toBe(1);
    expect((await send('/search', sized(1000))).status).toBe(200);
    expect(await outcomes(proxy.admin)).toMatchObject({ rejected: 2, aborted: 1 });
  });

  it('content counts with what came of it, whatever its clients declare', async () => {
    const { proxy, send } = await start(', limits: { maxContentBytes: 1000 }');
    for (let index = 0; index < 20; index += 1) {
      const connection = await openRaw(proxy.origin);
      onTestFinished(() => connection[Symbol.dispose]());
      await connection.send(begun(1000, 1, index));
    }
    await expect.poll(() => inFlight(proxy.admin)).toBe(20);
    expect((await send('/search', sized(980))).status).toBe(200);
    expect(await limitHits(proxy.admin)).toEqual({});
    expect((await send('/search', sized(981))).status).toBe(429);
  });

  it('content is given back however its request ends, so that what is held at once stays right', async () => {
    const { proxy, send, query } = await start(', limits: { maxContentBytes: 1000 }');
    const chunked = { 'transfer-encoding': 'chunked' };
    for (let turn = 0; turn < 3; turn += 1) {
      expect((await send('/search', sized(1000 - turn))).status).toBe(200);
      expect((await send('/search', sized(990 - turn), chunked)).status).toBe(200);
      expect((await send('/search', sized(1001), chunked)).status).toBe(413);
      expect((await query('/search', '{'.repeat(900))).status).toBe(400);
      expect((await send('/search', '{'.repeat(900))).cacheStatus).toBe('forecache; fwd=bypass');
      expect((await send('/graphql', graphql('a'.repeat(900)))).status).toBe(200);
      expect((await send('/graphql', '{"query":"mutation{a}"}')).cacheStatus).toBe('forecache; fwd=method');
    }
    expect(await limitHits(proxy.admin)).toEqual({ 'routes.content.maxBytes': 3 });
  });

  it('that is not whole within the request timeout is a 408, and nothing goes upstream', async () => {
    const { origin, proxy } = await start(', timeouts: { request: 300ms, headers: 300ms }');
    const { socket, received } = connected(proxy.origin);
    const lines = ['POST /search HTTP/1.1', 'Host: a', 'Content-Type: application/json', 'Content-Length: 7'];
    socket.write(`${lines.join('\r\n')}\r\n\r\n{"a"`);
    await expect.poll(received, { timeout: 5_000 }).toMatch(/^HTTP\/1\.1 408 [^]*request-timeout/);
    await expect.poll(() => socket.closed, { timeout: 5_000 }).toBe(true);
    expect(origin.requests).toHaveLength(0);
    expect(await limitHits(proxy.admin)).toEqual({ 'server.timeouts.request': 1 });
    expect(await outcomes(proxy.admin)).toEqual({ rejected: 1 });
  });

  it('that is not whole in time is a 408 also where it came in one packet behind a request that was', async () => {
    const { origin, proxy } = await start(', timeouts: { request: 300ms, headers: 300ms }');
    const { socket, received } = connected(proxy.origin);
    const lines = ['QUERY /search HTTP/1.1', 'Host: a', 'Content-Type: application/json', 'Content-Length: 7'];
    const head = `${lines.join('\r\n')}\r\n\r\n`;
    socket.write(`${head}{"a":1}${head}{"b"`);
    await expect.poll(() => socket.closed, { timeout: 5_000 }).toBe(true);
    expect(received().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 408']);
    expect(received()).toMatch(/request-timeout/);
    expect(origin.requests).toHaveLength(1);
    expect(await limitHits(proxy.admin)).toEqual({ 'server.timeouts.request': 1 });
  });

  it('JSON that is nested exactly 64 deep is looked up, one deeper is not', async () => {
    const { send, query } = await start();
    expect((await send('/search', nested(64))).cacheStatus).toBe(looked);
    expect((await send('/search', nested(65))).cacheStatus).toBe('forecache; fwd=bypass');
    expect((await query('/search', nested(65))).status).toBe(400);
  });

  it('a number with an exponent of exactly 12 digits is looked up, one digit more is not', async () => {
    const { send, query } = await start();
    expect((await send('/search', `1e${'9'.repeat(12)}`)).cacheStatus).toBe(looked);
    expect((await send('/search', `1e1${'0'.repeat(12)}`)).cacheStatus).toBe('forecache; fwd=bypass');
    expect((await query('/search', `1e1${'0'.repeat(12)}`)).status).toBe(400);
  });

  it('GraphQL of exactly 10,000 tokens is looked up, one more goes upstream as it came', async () => {
    const { send } = await start();
    expect((await send('/graphql', graphql('a '.repeat(9998)))).cacheStatus).toBe(looked);
    expect((await send('/graphql', graphql('a '.repeat(9999)))).cacheStatus).toBe('forecache; fwd=method');
  });

  it('GraphQL that is nested exactly 200 deep is looked up, one deeper goes upstream as it came', async () => {
    const { send } = await start();
    expect((await send('/graphql', graphql(deep(200)))).cacheStatus).toBe(looked);
    expect((await send('/graphql', graphql(deep(201)))).cacheStatus).toBe('forecache; fwd=method');
  });
});
