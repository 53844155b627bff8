import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { Ask, Reply } from '../support/http.ts';
import { outcomes, samples } from '../support/metrics.ts';
import { answer, inTurn, type Origin, type OriginScript, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';
import { StillClock } from '../support/still-clock.ts';

const routes = `
  - { name: graphql, match: /graphql, upstream: api, ttl: 1h, content: { methods: [POST], as: graphql } }
  - { name: search, match: /search, upstream: api, ttl: 1h, query: { q: { type: text } },
      content: { methods: [QUERY, POST], maxBytes: 1KiB } }
  - { name: honoured, match: /honoured, upstream: api, upstreamCacheControl: honour, forwardHeaders: ["*"],
      content: { methods: [QUERY, POST] } }
  - { name: plain, match: /plain, upstream: api, ttl: 1h }
`;

const jsonType = { 'content-type': 'application/json' };

interface Scene {
  readonly origin: Origin;
  readonly proxy: TestProxy;
  readonly clock: StillClock;
  readonly send: (method: string, target: string, body: string, headers?: Ask['headers']) => Promise<Reply>;
  /** Method, target and content of what came upstream. */
  readonly asked: () => readonly string[];
}

async function start(script: OriginScript = answer(200, {}, 'content')): Promise<Scene> {
  const origin = await startOrigin(script);
  onTestFinished(() => origin.close());
  const clock = new StillClock();
  const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes), clock });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  return {
    origin,
    proxy,
    clock,
    send: (method, target, body, headers = jsonType) => proxy.get(target, { method, body, headers }),
    asked: () => origin.requests.map((one) => `${one.method} ${one.target} ${one.body.toString()}`),
  };
}

/** An answer to GraphQL that may be kept. */
const data = '{"data":{"a":1}}';

const stored = 'forecache; fwd=uri-miss; stored';
const hit = 'forecache; hit; ttl=3600; detail=memory';

describe('A GraphQL query', () => {
  it('is asked upstream once in all its spellings', async () => {
    const { send, asked } = await start(answer(200, {}, data));
    const bodies = [
      '{"query":"query($c:String!){city(name:$c){temp}}","variables":{"c":"Lima","n":1.0}}',
      '{ "variables": {"n": 1, "c": "\\u004cima"}, "query": "query ($c: String!) {\\n  city(name: $c) { temp } # now\\n}" }',
      '{"operationName":null,"query":"query($c:String!){city(name:$c),{temp,}}","variables":{"n":1e0,"c":"Lima"}}',
    ];
    const replies = [];
    for (const body of bodies) replies.push(await send('POST', '/graphql', body));
    expect(replies.map((reply) => reply.cacheStatus)).toEqual([stored, hit, hit]);
    expect(replies.map((reply) => reply.text)).toEqual([data, data, data]);
    expect(asked()).toEqual([
      'POST /graphql {"query":"query($c:String!){city(name:$c){temp}}","variables":{"c":"Lima","n":1}}',
    ]);
  });

  it('is another with other variables', async () => {
    const { send } = await start(answer(200, {}, data));
    await send('POST', '/graphql', '{"query":"{a}","variables":{"c":9007199254740993}}');
    const other = await send('POST', '/graphql', '{"query":"{a}","variables":{"c":9007199254740992}}');
    expect(other.cacheStatus).toBe(stored);
  });

  it.each([
    ['a mutation', '{ "query": "mutation { a }" }'],
    ['what does not parse', '{ "query": "{ a" }'],
    ['a batch', '[ {"query":"{ a }"} ]'],
    ['a persisted document', '{"extensions": {"persistedQuery":{"sha256Hash":"00"}}}'],
    ['what may name another document', '{ "query": "{ a }", "id": "00" }'],
  ])('is none of these: %s goes upstream byte for byte, each time', async (_what, body) => {
    const { send, asked } = await start();
    const replies = [await send('POST', '/graphql', body), await send('POST', '/graphql', body)];
    expect(replies.map((reply) => [reply.status, reply.cacheStatus])).toEqual([
      [200, 'forecache; fwd=method'],
      [200, 'forecache; fwd=method'],
    ]);
    expect(asked()).toEqual([`POST /graphql ${body}`, `POST /graphql ${body}`]);
  });

  it.each([
    ['with errors', '{"data":null,"errors":[{"message":"m"}]}', 2],
    ['with an empty list of errors', '{"data":{},"errors":[]}', 1],
    ['that is no JSON', '<html>', 2],
  ])('whose answer is one %s is asked as often as it has to be', async (_what, text, calls) => {
    const { send, asked } = await start(answer(200, {}, text));
    const replies = [
      await send('POST', '/graphql', '{"query":"{a}"}'),
      await send('POST', '/graphql', '{"query":"{a}"}'),
    ];
    expect(replies.map((reply) => reply.text)).toEqual([text, text]);
    expect(asked()).toHaveLength(calls);
  });

  it('beside which the URL may say another one goes upstream byte for byte', async () => {
    const { send, asked } = await start();
    const target = '/graphql?query=mutation%7Ba%7D';
    const body = '{ "query": "{ a }" }';
    const replies = [await send('POST', target, body), await send('POST', target, body)];
    expect(replies.map((reply) => reply.cacheStatus)).toEqual(['forecache; fwd=bypass', 'forecache; fwd=bypass']);
    expect(asked()).toEqual([`POST ${target} ${body}`, `POST ${target} ${body}`]);
  });

  it('that is named by its hash too reaches upstream as it was hashed, and is asked once', async () => {
    const document = 'query { a  }';
    const sha256Hash = createHash('sha256').update(document).digest('hex');
    const { send, asked } = await start((request, peer) => {
      const agrees = request.body.toString().includes(`"query":${JSON.stringify(document)}`);
      return peer.respond(agrees ? 200 : 400, {}, '{"data":{}}');
    });
    const body = { query: document, extensions: { persistedQuery: { version: 1, sha256Hash } } };
    const replies = [
      await send('POST', '/graphql', JSON.stringify(body)),
      await send('POST', '/graphql', JSON.stringify(body, undefined, 2)),
    ];
    expect(replies.map((reply) => [reply.status, reply.cacheStatus])).toEqual([
      [200, stored],
      [200, hit],
    ]);
    expect(asked()).toHaveLength(1);
  });

  it('whose content is of another type goes upstream as it came, whatever its length', async () => {
    const { send, asked } = await start();
    const form = 'x'.repeat(100_000);
    const reply = await send('POST', '/graphql', form, { 'content-type': 'multipart/form-data; boundary=x' });
    expect(reply.cacheStatus).toBe('forecache; fwd=bypass');
    expect(asked()).toEqual([`POST /graphql ${form}`]);
  });
});

describe('Content of a named method', () => {
  it('as JSON counts by what it means, and goes upstream in one spelling with its type', async () => {
    const { send, asked, origin } = await start();
    expect((await send('QUERY', '/search?q=1', '{"b":[1.50],"a":"\\u0041"}')).cacheStatus).toBe(stored);
    const other = { 'content-type': 'Application/JSON; charset="utf-8"', 'content-digest': 'sha-256=:AA==:' };
    expect((await send('QUERY', '/search?q=1', ' {"a":"A", "b":[15e-1]}', other)).cacheStatus).toBe(hit);
    expect(asked()).toEqual(['QUERY /search?q=1 {"a":"A","b":[1.5]}']);
    expect(origin.requests[0]?.field('content-type')).toBe('application/json');
    expect(origin.requests[0]?.field('content-length')).toBe('19');
  });

  it('as a form counts by its pairs', async () => {
    const { send, asked } = await start();
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    await send('POST', '/search', 'b=2&a=x+y&a=%41', form);
    expect((await send('POST', '/search', 'a=x%20y&a=A&b=2', form)).cacheStatus).toBe(hit);
    expect((await send('POST', '/search', 'a=A&a=x%20y&b=2', form)).cacheStatus).toBe(stored);
    expect(asked()[0]).toBe('POST /search a=x%20y&a=A&b=2');
  });

  it('is told apart by method, type, content and URL, and from a GET', async () => {
    const { send, proxy } = await start();
    const replies = [
      await proxy.get('/search'),
      await send('POST', '/search', '{}'),
      await send('QUERY', '/search', '{}'),
      await send('POST', '/search', '{}', { 'content-type': 'application/geo+json' }),
      await send('POST', '/search', '{}', { 'content-type': 'text/plain' }),
      await send('POST', '/search', '{}', {}),
      await send('POST', '/search', '[]'),
      await send('POST', '/search?q=1', '{}'),
    ];
    expect(replies.map((reply) => reply.cacheStatus)).toEqual(replies.map(() => stored));
    expect((await send('POST', '/search', '{ }')).cacheStatus).toBe(hit);
    expect((await proxy.get('/search')).cacheStatus).toBe(hit);
  });

  it('comes without length too', async () => {
    const { send, asked } = await start();
    const chunked = { ...jsonType, 'transfer-encoding': 'chunked' };
    expect((await send('QUERY', '/search', '{"a": 1}', chunked)).cacheStatus).toBe(stored);
    expect((await send('QUERY', '/search', '{"a":1}')).cacheStatus).toBe(hit);
    expect(asked()).toHaveLength(1);
  });

  it('is waited for by all who ask the same at once', async () => {
    const { send, origin } = await start();
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await gate.promise;
      await peer.respond(200, {}, 'content');
    });
    const replies = ['{"a":1}', '{"a":1.0}', '{ "a" : 1 }'].map((body) => send('POST', '/search', body));
    await origin.arrived(1);
    const other = send('POST', '/search', '{"a":2}');
    await origin.arrived(2);
    gate.resolve();
    expect((await Promise.all(replies)).map((reply) => reply.text)).toEqual(['content', 'content', 'content']);
    await other;
    expect(origin.requests).toHaveLength(2);
  });

  it.each([
    ['that names a member twice', 400, 'content-invalid', '{"a":1,"a":2}', jsonType],
    ['that is not what it says', 400, 'content-invalid', '{', jsonType],
    ['that does not say what it is', 400, 'content-type-missing', '{}', {}],
    ['that is coded', 415, 'content-coding-unsupported', 'x', { ...jsonType, 'content-encoding': 'gzip' }],
    ['of two types', 400, 'content-type-invalid', '{}', { 'content-type': ['application/json', 'text/plain'] }],
    ['of more than maxBytes', 413, 'content-too-large', 'x'.repeat(1025), jsonType],
  ])('%s is refused of a QUERY, and nothing goes upstream', async (...[, status, code, body, headers]) => {
    const { send, asked } = await start();
    const reply = await send('QUERY', '/search', body, headers);
    expect([reply.status, JSON.parse(reply.text)]).toMatchObject([status, { type: `urn:forecache:problem:${code}` }]);
    expect(asked()).toEqual([]);
  });

  it.each([
    ['that names a member twice', '{"a":1, "a":2}', jsonType],
    ['that is not what it says', '{', jsonType],
    ['that is nothing', '', { ...jsonType, 'content-length': '0' }],
    ['that is nothing, in chunks', '', { ...jsonType, 'transfer-encoding': 'chunked' }],
    ['that is coded', 'not a word', { ...jsonType, 'content-encoding': 'gzip' }],
    ['of two types', '{ }', { 'content-type': ['application/json', 'text/plain'] }],
    ['of more than maxBytes', 'x'.repeat(1025), { ...jsonType, 'content-length': '1025' }],
  ])('%s goes upstream as it came from a POST, as it did before the route named the method', async (...sent) => {
    const [, body, headers] = sent;
    const { send, asked, origin } = await start();
    const replies = [await send('POST', '/search', body, headers), await send('POST', '/search', body, headers)];
    expect(replies.map((reply) => [reply.status, reply.cacheStatus])).toEqual([
      [200, 'forecache; fwd=bypass'],
      [200, 'forecache; fwd=bypass'],
    ]);
    expect(asked()).toEqual([`POST /search ${body}`, `POST /search ${body}`]);
    expect(origin.requests[0]?.field('content-encoding')).toBe('content-encoding' in headers ? 'gzip' : undefined);
  });

  it('is not read where its URL is refused', async () => {
    const { send } = await start();
    const reply = await send('POST', '/search?q=1&q=2', 'x'.repeat(1000));
    expect(reply.status).toBe(400);
  });

  it('is purged with its URL, in all its forms', async () => {
    const { send, proxy } = await start();
    await proxy.get('/search?q=1');
    await send('POST', '/search?q=1', '{"a":1}');
    await send('QUERY', '/search?q=1', '{"a":1}');
    await send('QUERY', '/search?q=2', '{"a":1}');
    expect(await proxy.call('POST', '/api/purge', { url: '/search?q=1' })).toMatchObject({ body: { matched: 3 } });
    expect((await send('POST', '/search?q=1', '{"a":1}')).cacheStatus).toBe(stored);
    expect((await send('QUERY', '/search?q=2', '{"a":1}')).cacheStatus).toBe(hit);
  });

  it('of a method that the route does not name is relayed', async () => {
    const { send, asked } = await start();
    for (const [method, target] of [
      ['QUERY', '/graphql'],
      ['PUT', '/search'],
      ['POST', '/plain'],
      ['QUERY', '/plain'],
    ] as const) {
      const body = ' {"a": 1.0} ';
      const replies = [await send(method, target, body), await send(method, target, body)];
      expect(replies.map((reply) => reply.cacheStatus)).toEqual(['forecache; fwd=method', 'forecache; fwd=method']);
      expect(asked().slice(-2)).toEqual([`${method} ${target} ${body}`, `${method} ${target} ${body}`]);
    }
    const get = await send('GET', '/search', '{}', { 'content-length': '2' });
    expect(get.status).toBe(400);
  });

  it('with credentials is relayed', async () => {
    const { send, asked } = await start();
    for (const field of ['authorization', 'cookie']) {
      const reply = await send('POST', '/search', ' {}', { ...jsonType, [field]: 'a=b' });
      expect(reply.cacheStatus).toBe('forecache; fwd=bypass');
    }
    expect(asked()).toEqual(['POST /search  {}', 'POST /search  {}']);
  });
});

describe('Content on a route that honours upstream', () => {
  const fresh: OriginScript = answer(200, { 'Cache-Control': 'max-age=60', ETag: '"v"', Vary: 'x-lang' }, 'content');

  it.each(['QUERY', 'POST'])('of a %s is stored by its own freshness, a variant for each language', async (method) => {
    const { send, origin } = await start(fresh);
    const body = '{"a":1}';
    expect((await send(method, '/honoured', body)).cacheStatus).toBe(stored);
    expect((await send(method, '/honoured', body)).cacheStatus).toBe('forecache; hit; ttl=60; detail=memory');
    const other = await send(method, '/honoured', body, { ...jsonType, 'x-lang': 'de' });
    expect(other.cacheStatus).toBe('forecache; fwd=vary-miss; stored');
    expect(origin.requests).toHaveLength(2);
  });

  it('is not stored without freshness', async () => {
    const lastModified = { 'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT', 'Cache-Control': 'public' };
    const { send } = await start(answer(200, lastModified, 'content'));
    const replies = [await send('POST', '/honoured', '{}'), await send('POST', '/honoured', '{}')];
    expect(replies.map((reply) => reply.cacheStatus.includes('hit'))).toEqual([false, false]);
  });

  it('is validated where the method is QUERY, and fetched again where it is POST', async () => {
    const { send, origin, clock } = await start(fresh);
    await send('QUERY', '/honoured', '{}');
    await send('POST', '/honoured', '{}');
    clock.advance(61_000);
    origin.script(inTurn(answer(304, { 'Cache-Control': 'max-age=60', ETag: '"v"' }), fresh));
    const query = await send('QUERY', '/honoured', '{}');
    const post = await send('POST', '/honoured', '{}');
    expect(query).toMatchObject({ status: 200, text: 'content' });
    expect(post).toMatchObject({ status: 200, text: 'content' });
    expect(origin.requests.slice(2).map((one) => one.field('if-none-match'))).toEqual(['"v"', undefined]);
    expect(origin.requests[2]?.body.toString()).toBe('{}');
  });

  it('makes nothing invalid, which a relayed PUT does', async () => {
    const { send, proxy } = await start(fresh);
    await proxy.get('/honoured');
    await send('QUERY', '/honoured', '{}');
    await send('POST', '/honoured', '{}');
    expect((await proxy.get('/honoured')).cacheStatus).toContain('hit');
    await send('PUT', '/honoured', '{}');
    expect((await proxy.get('/honoured')).cacheStatus).not.toContain('hit');
    expect((await send('QUERY', '/honoured', '{}')).cacheStatus).not.toContain('hit');
  });

  it.each([{ 'if-none-match': '"v"' }, { range: 'bytes=0-1' }])(
    'that brings %j where nothing is stored goes upstream as it is keyed',
    async (condition) => {
      const { send, origin, asked } = await start(fresh);
      const reply = await send('QUERY', '/honoured', '{}', { ...jsonType, ...condition });
      expect([304, 206]).toContain(reply.status);
      expect(asked()).toEqual(['QUERY /honoured {}']);
      expect(Object.keys(condition).map((name) => origin.requests[0]?.field(name))).toEqual([undefined]);
    },
  );

  it('with conditions of its own: a QUERY gets a 304 from store, a POST is nothing to be answered so', async () => {
    const { send } = await start(fresh);
    await send('QUERY', '/honoured', '{}');
    const conditional = { ...jsonType, 'if-none-match': '"v"' };
    expect((await send('QUERY', '/honoured', '{}', conditional)).status).toBe(304);
    expect((await send('POST', '/honoured', '{}', conditional)).cacheStatus).toBe('forecache; fwd=bypass');
    await send('POST', '/honoured', '{}');
    const ranged = await send('POST', '/honoured', '{}', { ...jsonType, range: 'bytes=0-1' });
    expect([ranged.status, ranged.text]).toEqual([200, 'content']);
  });
});

/** Everything that comes back until the connection ends. */
function talk(port: number, ...parts: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ port, host: '127.0.0.1' });
  onTestFinished(() => void socket.destroy());
  let received = '';
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    received += text;
  });
  socket.on('error', reject);
  socket.on('close', () => resolve(received));
  for (const part of parts) socket.write(part);
  return promise;
}

function message(method: string, target: string, body: string, ...fields: readonly string[]): string {
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: a', 'Content-Type: application/json', ...fields];
  return `${lines.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

describe('A connection on which content comes', () => {
  it('is kept, and pipelined requests on it are answered in order', async () => {
    const { proxy, asked } = await start((request, peer) => peer.respond(200, {}, `(${request.body.toString()})`));
    const text = await talk(
      Number(new URL(proxy.origin).port),
      message('POST', '/search', '{"n":1}'),
      message('QUERY', '/search', '{"n":2}'),
      message('QUERY', '/search', '{"n": 2}'),
      message('QUERY', '/search', '{'),
      message('POST', '/search', '{'),
      message('POST', '/graphql', '{"query":"mutation{a}"}'),
      'GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    expect(text.match(/HTTP\/1\.1 (\d+)/g)).toEqual(
      [200, 200, 200, 400, 200, 200, 200].map((status) => `HTTP/1.1 ${status}`),
    );
    expect(text.match(/\(.*?\)/g)).toEqual([
      '({"n":1})',
      '({"n":2})',
      '({"n":2})',
      '({)',
      '({"query":"mutation{a}"})',
      '()',
    ]);
    expect(asked()).toHaveLength(5);
  });

  it('that asks whether to go on is told to', async () => {
    const { proxy } = await start();
    const head = message('QUERY', '/search', '{}', 'Expect: 100-continue', 'Connection: close').slice(0, -2);
    const socket = connect({ port: Number(new URL(proxy.origin).port), host: '127.0.0.1' });
    onTestFinished(() => void socket.destroy());
    const chunks: string[] = [];
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      if (chunks.push(text) === 1) socket.write('{}');
    });
    socket.write(head);
    await expect.poll(() => chunks.join('')).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  });

  it('that ends before its content has come asks nothing upstream, and counts as aborted', async () => {
    const { proxy, asked } = await start();
    const socket = connect({ port: Number(new URL(proxy.origin).port), host: '127.0.0.1' });
    socket.write(message('POST', '/search', '{"a":1}').slice(0, -3));
    const inFlight = async (): Promise<number | undefined> =>
      (await samples(proxy.admin)).get('forecache_requests_in_flight');
    await expect.poll(inFlight).toBe(1);
    socket.destroy();
    await expect.poll(() => outcomes(proxy.admin)).toEqual({ aborted: 1 });
    expect(asked()).toEqual([]);
  });
});
