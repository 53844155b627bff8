import { once } from 'node:events';
import { connect } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';

import { describe, expect, it, onTestFinished } from 'vitest';

import { ask, type Ask, type Reply } from '../support/http.ts';
import { launchServe, type Served } from '../support/launch.ts';
import {
  chunk,
  lastChunk,
  type Origin,
  type OriginRequest,
  type OriginScript,
  startOrigin,
} from '../support/origin.ts';

/** With characters that each encoding spells in its own way; what is looked for is their beginning, which none changes. */
const queryCanary = 'CANARYq/7f+3a&x=1';
const headerCanary = 'CANARYh.9b1c';
const canary = /CANARY|Q0FOQVJZ/i;

/** What a client sends under the credentials' names. */
const own = 'CLIENTOWN';

const yaml = (origin: Origin): string => `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug, requests: true }
upstreams:
  api:
    origin: "${origin.url}"
    timeout: 5s
    credentials:
      query: { apikey: "\${KEY}" }
      headers: { authorization: "Bearer \${TOKEN}", x-api-key: "\${TOKEN}" }
routes:
  - { name: ruled, match: /ruled/*, upstream: api, ttl: 1h, staleIfError: 1h, maxStoredBytes: 64KiB, statusTtl: { 404: 1m, 302: 1m } }
  - { name: honoured, match: /honoured/*, upstream: api, upstreamCacheControl: honour, ttl: 1m }
  - { name: typed, match: /typed, upstream: api, forward: /ruled/echo, ttl: 1h, query: { q: { type: integer } }, unknownQuery: drop }
  - { name: live, match: /live/*, upstream: api, cache: off }
warm: { jobs: [{ route: typed, with: { q: "1" }, every: 1h }] }
`;

/** Everything that the request had in it, as some APIs say it in their answers: plain, as a link, coded. */
function echo(request: OriginRequest): string {
  const url = `http://${request.field('host')}${request.target}`;
  return JSON.stringify({
    url,
    decoded: decodeURIComponent(request.target),
    next: `/login?next=${encodeURIComponent(url)}`,
    headers: request.lines,
  });
}

const json = { 'Content-Type': 'application/json' };

/** Fields in which APIs echo what they were asked. */
function fieldsFor(request: OriginRequest): Readonly<Record<string, string>> {
  const { target } = request;
  return { ...json, 'X-Cache-Key': urlOf(request), 'X-Echo': target, 'Set-Cookie': `last=${target}` };
}

function urlOf(request: OriginRequest): string {
  return `http://${request.field('host')}${request.target}`;
}

const coded = { 'Content-Encoding': 'gzip' };

/** What upstream may do, by the second part of the path. */
const scripts: Readonly<Record<string, OriginScript>> = {
  echo: (request, peer) => peer.respond(200, fieldsFor(request), echo(request)),
  coded: (request, peer) => peer.respond(200, { ...fieldsFor(request), ...coded }, gzipSync(echo(request))),
  lines: (request, peer) =>
    peer.respond(200, { ...fieldsFor(request), 'Content-Type': 'application/jsonl' }, echo(request)),
  bytes: (request, peer) =>
    peer.respond(200, { ...fieldsFor(request), 'Content-Type': 'application/octet-stream' }, echo(request)),
  /** The beginning of a value, as an upstream that reads `Range` sends it; the canary is all in one half. */
  part: (request, peer) =>
    request.field('range') === undefined
      ? peer.respond(200, fieldsFor(request), echo(request))
      : peer.respond(206, { ...json, 'Content-Range': 'bytes 0-9/400' }, queryCanary.slice(0, 10)),
  found: (request, peer) => peer.respond(302, { ...fieldsFor(request), Location: urlOf(request) }, echo(request)),
  relative: (request, peer) => peer.respond(307, { ...fieldsFor(request), Location: `${request.target}#top` }),
  missing: (request, peer) => peer.respond(404, fieldsFor(request), echo(request)),
  limited: (request, peer) =>
    peer.respond(429, fieldsFor(request), `Quota exceeded. Identifier : ${decodeURIComponent(request.target)}`),
  broken: (request, peer) => peer.respond(500, fieldsFor(request), echo(request)),
  'coded-error': (request, peer) => peer.respond(500, { ...fieldsFor(request), ...coded }, gzipSync(echo(request))),
  /** Larger than what is stored, and in pieces so small that none holds all of a secret. */
  large: async (request, peer) => {
    await peer.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n');
    await peer.write(chunk('x'.repeat(128 * 1024)));
    for (const piece of echo(request).match(/.{1,5}/gs) ?? []) await peer.write(chunk(piece));
    await peer.write(lastChunk);
  },
  crash: async (request, peer) => {
    const content = echo(request);
    const length = content.length + 9;
    await peer.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${content}`,
    );
    peer.reset();
  },
  malformed: (request, peer) => peer.write(`HTTP/1.1 200 OK\r\nX-Bad ${request.target}: 1\r\n\r\n`),
  reset: (_request, peer) => peer.reset(),
};

const switching: OriginScript = async (request, peer) => {
  const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nX-Echo: ${urlOf(request)}`;
  await peer.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n`);
  peer.end();
};

const upstream: OriginScript = (request, peer) => {
  if (request.field('upgrade') !== undefined) return switching(request, peer);
  const [, kind = ''] = /^\/\w+\/([a-z-]+)/.exec(request.target) ?? [];
  return scripts[kind]?.(request, peer);
};

const kinds = Object.keys(scripts);

/** What a client makes of it: content in a coding is read, too. */
function readBy({ headers, body, text }: Reply): string {
  return headers['content-encoding'] === 'gzip' && body.length > 0 ? gunzipSync(body).toString() : text;
}

/** Ways to write the credentials' names. */
const spellings = ['apikey', 'APIKEY', 'ApiKey', 'api%6Bey', '%41PIKEY'];

interface Scene {
  readonly origin: Origin;
  readonly program: Served;
  /** All that any client or operator was told. */
  readonly told: string[];
  readonly get: (target: string, options?: Ask) => Promise<void>;
}

async function start(): Promise<Scene> {
  const origin = await startOrigin(upstream);
  onTestFinished(() => origin.close());
  const program = await launchServe(yaml(origin), { env: { KEY: queryCanary, TOKEN: headerCanary } });
  const told: string[] = [];
  const hear = async (base: string, target: string, options: Ask): Promise<void> => {
    const reply = await ask(base, target, options).catch((error: unknown) => String(error));
    told.push(typeof reply === 'string' ? reply : `${reply.status} ${JSON.stringify(reply.headers)} ${readBy(reply)}`);
  };
  return {
    origin,
    program,
    told,
    get: (target, options = {}) =>
      hear(target.startsWith('/admin/') ? program.admin : program.proxy, target.replace(/^\/admin\//, '/'), options),
  };
}

/** Every byte that comes back for a WebSocket handshake. */
async function handshake(proxy: string, target: string): Promise<string> {
  const { hostname, port } = new URL(proxy);
  const socket = connect(Number(port), hostname);
  socket.write(
    `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
  socket.on('error', () => {});
  await once(socket, 'close');
  return text;
}

function post(content: object): Ask {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(content) };
}

/** All that an operator can ask. */
async function askOperator({ get }: Scene): Promise<void> {
  for (const page of ['metrics', 'api/metrics/cache', 'api/stored?limit=1000', 'openapi.json', 'readyz', '']) {
    await get(`/admin/${page}`);
  }
  await get('/admin/api/warm', post({ route: 'typed', with: [{ q: '2' }, { q: 'x' }] }));
  await get('/admin/api/warm', post({ route: 'ruled', with: [{ apikey: own }] }));
  for (const url of ['/ruled/echo?a=1', `/ruled/echo?APIKEY=${own}`, '/honoured/echo', '/live/echo', '/typed?q=1']) {
    await get('/admin/api/explain', post({ url, headers: { 'x-api-key': own } }));
    await get('/admin/api/purge', post({ url, dryRun: true }));
  }
  await get('/admin/api/purge', post({ tag: own }));
}

describe('credentials of an upstream', () => {
  it('are told to nobody, whatever upstream makes of them: not to agents, not to operators, not to the log', async () => {
    const scene = await start();
    const { origin, program, told, get } = scene;
    for (const route of ['ruled', 'honoured', 'live']) {
      for (const kind of kinds) {
        for (let time = 0; time < 2; time++) await get(`/${route}/${kind}?a=1`);
        await get(`/${route}/${kind}?a=1`, { method: 'HEAD' });
        await get(`/${route}/${kind}?a=2`, { headers: { range: 'bytes=0-9', 'accept-encoding': 'gzip' } });
      }
    }
    await get('/ruled/coded');
    await get('/ruled/coded', { headers: { 'accept-encoding': 'gzip' } });
    await get('/ruled/echo?a=1', { headers: { authorization: `Bearer ${own}` } });
    await get('/typed?q=1');
    await get('/typed?q=x');
    await get('/live/echo', { method: 'POST', body: 'hello' });
    told.push(await handshake(program.proxy, '/live/socket?a=1'), await handshake(program.proxy, '/ruled/socket'));
    await askOperator(scene);
    // Upstream goes away: what it said before is served stale, the rest is an error of the proxy's own.
    await origin.close();
    for (const route of ['ruled', 'honoured', 'live']) await get(`/${route}/echo?gone=1`);
    program.signal('SIGTERM');
    await program.ended;

    // It did go upstream, in each of its places, and came back in many.
    expect(origin.requests.length).toBeGreaterThan(60);
    for (const request of origin.requests) {
      expect(decodeURIComponent(request.target.replace(/^.*apikey=/, ''))).toBe(queryCanary);
      expect(request.field('authorization')).toBe(`Bearer ${headerCanary}`);
      expect(request.field('x-api-key')).toBe(headerCanary);
    }
    expect(told.length).toBeGreaterThan(110);
    expect(told.filter((text) => canary.test(text))).toEqual([]);
    expect(told.filter((text) => text.includes('***')).length).toBeGreaterThan(20);
    const log = program.stdout() + program.stderr();
    expect(log.split('\n').length).toBeGreaterThan(100);
    expect(log.split('\n').filter((line) => canary.test(line))).toEqual([]);
  }, 60_000);

  it("take the place of the client's own, which goes nowhere, however it is spelt", async () => {
    const scene = await start();
    const { origin, program, told, get } = scene;
    for (const name of spellings) {
      for (const path of ['/ruled/echo', '/honoured/echo', '/ruled/missing', '/live/echo']) {
        await get(`${path}?a=1&${name}=${own}`);
      }
      await get(`/typed?q=1&${name}=${own}`);
    }
    for (const name of ['x-api-key', 'X-API-KEY', 'X-Api-Key']) {
      await get('/ruled/echo?h=1', { headers: { [name]: own } });
      await get('/honoured/echo?h=1', { headers: { [name]: own } });
    }
    await askOperator(scene);
    program.signal('SIGTERM');
    await program.ended;

    expect(origin.requests.map(({ rawHead }) => rawHead).filter((head) => head.includes(own))).toEqual([]);
    for (const { target } of origin.requests) expect(target.match(/api(?:k|%6b)ey/gi)).toEqual(['apikey']);
    // All of a route are one request to the cache: three answers of two paths, one of the header's, one of the typed.
    const asked = origin.requests.filter(({ target }) => target.startsWith('/ruled/') && !target.includes('q='));
    expect(asked.map(({ target }) => target.replace(/apikey=.*/, ''))).toEqual([
      '/ruled/echo?a=1&',
      '/ruled/missing?a=1&',
      '/ruled/echo?h=1&',
    ]);
    const log = program.stdout() + program.stderr();
    expect([...told, log].filter((text) => text.includes(own) || canary.test(text))).toEqual([]);
  }, 60_000);
});
