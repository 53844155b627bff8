import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';

import { buildFirst } from '../support/build-first.ts';
import { startFleet } from '../support/fleet.ts';
import { ask, type Ask, type Reply } from '../support/http.ts';
import { startOrigin, type Origin, type OriginRequest, type OriginScript } from '../support/origin.ts';
import { startProgram } from '../support/program.ts';
import { openRaw } from '../support/raw.ts';
import { startRedis } from '../support/redis.ts';

buildFirst();

const honourFile = fileURLToPath(new URL('../../config/honour.yaml', import.meta.url));

interface Scene {
  readonly origin: Origin;
  readonly proxy: string;
  readonly get: (target: string, options?: Ask) => Promise<Reply>;
  readonly send: (method: string, target: string, options?: Ask) => Promise<Reply>;
}

/** No two answers are alike; each is fresh for an hour unless its request is unsafe, which is answered as `unsafe` says. */
function versions(unsafe: OriginScript): OriginScript {
  let version = 0;
  return (request, peer) => {
    if (request.method !== 'GET') return unsafe(request, peer);
    version += 1;
    return peer.respond(200, { 'Cache-Control': 'max-age=3600' }, `version ${version}`);
  };
}

/** The built program with the configuration that it ships for this. */
async function start(unsafe: OriginScript): Promise<Scene> {
  const origin = await startOrigin(versions(unsafe));
  onTestFinished(() => origin.close());
  const program = await startProgram({ config: { file: honourFile }, env: { FORECACHE_UPSTREAM: origin.url } });
  onTestFinished(() => program[Symbol.asyncDispose]());
  const { proxy } = program;
  return {
    origin,
    proxy,
    get: (target, options) => ask(proxy, target, options),
    send: (method, target, options) => ask(proxy, target, { method, ...options }),
  };
}

const isHit = ({ cacheStatus }: Reply): boolean => cacheStatus.startsWith('forecache; hit');

/** Asked once, they are in store. */
async function warm({ get }: Scene, ...targets: readonly string[]): Promise<void> {
  for (const target of targets) {
    await get(target);
    if (!isHit(await get(target))) throw new Error(`${target} is not stored`);
  }
}

async function hits({ get }: Scene, ...targets: readonly string[]): Promise<readonly boolean[]> {
  const replies = await Promise.all(targets.map((target) => get(target)));
  return replies.map(isHit);
}

const told = (request: OriginRequest): string => `${request.method} ${request.target} ${request.body.toString()}`;

describe('an unsafe method through the built program', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'M-SEARCH', 'PROPPATCH'])(
    '%s goes upstream with its content, and the next GET of its URL does too',
    async (method) => {
      const scene = await start((_request, peer) => peer.respond(200, {}, 'done'));
      await warm(scene, '/a?x=1', '/a?x=2');
      const done = await scene.send(method, '/a?x=1', { headers: { 'content-length': '7' }, body: 'content' });
      expect([done.status, done.text, done.cacheStatus]).toEqual([200, 'done', 'forecache; fwd=method']);
      expect(await hits(scene, '/a?x=1', '/a?x=2')).toEqual([false, true]);
      expect(scene.origin.requests.map(told)[2]).toBe(`${method} /a?x=1 content`);
    },
  );

  it('that fails leaves what is stored', async () => {
    const scene = await start((_request, peer) => peer.respond(409, { Location: '/b' }, 'no'));
    await warm(scene, '/a', '/b');
    expect((await scene.send('POST', '/a')).status).toBe(409);
    expect(await hits(scene, '/a', '/b')).toEqual([true, true]);
  });

  it('takes along what Location and Content-Location name on its own origin, and nothing else', async () => {
    const fields: Record<string, string> = {};
    const scene = await start((_request, peer) => peer.respond(201, fields, 'made'));
    await warm(scene, '/list', '/list/relative', '/list/absolute', '/list/foreign');
    fields['Location'] = 'list/relative';
    fields['Content-Location'] = `${scene.origin.url}/list/absolute`;
    const made = await scene.send('POST', '/list');
    expect(made.headers.location).toBe('list/relative');
    const all = ['/list', '/list/relative', '/list/absolute', '/list/foreign'];
    expect(await hits(scene, ...all)).toEqual([false, false, false, true]);
    fields['Location'] = 'http://127.0.0.1:1/list/foreign';
    fields['Content-Location'] = `${scene.proxy}/list/absolute`;
    await scene.send('POST', '/list');
    expect(await hits(scene, ...all)).toEqual([false, true, false, true]);
  });

  it('takes along the groups that upstream names (RFC 9875)', async () => {
    const origin = await startOrigin((request, peer) => {
      if (request.method === 'POST') return peer.respond(204, { 'Cache-Group-Invalidation': '"scenic"' });
      const group = request.target.includes('scenic') ? '"scenic"' : '"quiet"';
      return peer.respond(200, { 'Cache-Control': 'max-age=60', 'Cache-Groups': group }, 'page');
    });
    onTestFinished(() => origin.close());
    const program = await startProgram({ config: { file: honourFile }, env: { FORECACHE_UPSTREAM: origin.url } });
    onTestFinished(() => program[Symbol.asyncDispose]());
    const get = (target: string): Promise<Reply> => ask(program.proxy, target);
    for (const target of ['/scenic/1', '/scenic/2', '/other']) await get(target);
    expect((await ask(program.proxy, '/change', { method: 'POST' })).status).toBe(204);
    const replies = await Promise.all(['/scenic/1', '/scenic/2', '/other'].map(get));
    expect(replies.map(isHit)).toEqual([false, false, true]);
  });

  it('POST answers later GETs where it says that its answer is one', async () => {
    const scene = await start((request, peer) =>
      peer.respond(200, { 'Cache-Control': 'max-age=60', 'Content-Location': request.target }, 'posted'),
    );
    await warm(scene, '/a');
    expect((await scene.send('POST', '/a', { body: 'x' })).cacheStatus).toBe('forecache; fwd=method');
    await expect.poll(() => scene.get('/a').then(({ text }) => text)).toBe('posted');
    const hit = await scene.get('/a');
    expect([isHit(hit), hit.headers['content-location'], hit.headers['content-length']]).toEqual([true, '/a', '6']);
  });

  it('has its interim responses passed on, none of which is stored', async () => {
    const scene = await start(async (_request, peer) => {
      await peer.write('HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n');
      await peer.respond(200, { 'Cache-Control': 'max-age=60', 'Content-Location': '/a' }, 'posted');
    });
    const request = 'POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx';
    using connection = await openRaw(scene.proxy);
    await connection.send(request);
    await connection.ended();
    const [hints, processing, final] = connection.received.toString().split('\r\n\r\n');
    expect([hints, processing]).toEqual(['HTTP/1.1 103 Early Hints\r\nlink: </style.css>', 'HTTP/1.1 102 Processing']);
    expect(final).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    await expect.poll(() => scene.get('/a').then(isHit)).toBe(true);
    expect((await scene.get('/a')).headers['link']).toBeUndefined();
  });
});

describe('an unsafe method in a fleet', () => {
  it('that has been answered is known to all of it, and its own answer may be stored for all', async () => {
    await using redis = await startRedis();
    const fields: Record<string, string> = {};
    await using origin = await startOrigin(versions((_request, peer) => peer.respond(200, fields, 'posted')));
    const routes = `
  - { name: honoured, match: /*, upstream: api, upstreamCacheControl: honour, forwardHeaders: "*" }`;
    const fleet = await startFleet({ count: 2, redis: `{ url: "${redis.url}" }`, origin: origin.url, routes });
    const [one, other] = fleet;
    if (one === undefined || other === undefined) throw new Error('no fleet');
    for (const sidecar of fleet) {
      await expect.poll(async () => (await sidecar.get('/a')).cacheStatus).toMatch(/; hit; ttl=\d+; detail=memory/);
    }
    for (let times = 0; times < 5; times += 1) {
      await one.get('/a', { method: 'POST' });
      expect(isHit(await other.get('/a'))).toBe(false);
      await expect.poll(() => one.get('/a').then(isHit)).toBe(true);
    }
    Object.assign(fields, { 'Cache-Control': 'max-age=60', 'Content-Location': '/a' });
    // Stored behind its answer: who asks sooner has a version from upstream, fresh for long.
    const postedAndAsked = async (): Promise<string> => {
      await one.get('/a', { method: 'POST' });
      return (await other.get('/a')).text;
    };
    await expect.poll(postedAndAsked).toBe('posted');
    expect(isHit(await other.get('/a'))).toBe(true);
  });

  it('purges a long target in all of it, and no other, and leaves little of it in Redis', async () => {
    await using redis = await startRedis();
    await using origin = await startOrigin(versions((_request, peer) => peer.respond(204, {}, '')));
    const routes = `
  - { name: honoured, match: /*, upstream: api, upstreamCacheControl: honour, forwardHeaders: "*" }`;
    const fleet = await startFleet({ count: 2, redis: `{ url: "${redis.url}" }`, origin: origin.url, routes });
    const [one] = fleet;
    const targets = ['q', 'r'].map((name) => `/${'p'.repeat(300)}?${name.padEnd(7000, 'x')}`);
    const [purged = '', kept = ''] = targets;
    for (const sidecar of fleet) {
      for (const target of targets) {
        await expect.poll(async () => (await sidecar.get(target)).cacheStatus).toMatch(/; hit; .*detail=memory/);
      }
    }
    for (let times = 0; times < 3; times += 1) {
      await one?.get(purged, { method: 'DELETE' });
      for (const sidecar of fleet) {
        expect(isHit(await sidecar.get(kept))).toBe(true);
        await sidecar.get(purged);
      }
      const versionsSeen = await Promise.all(fleet.map(async (sidecar) => (await sidecar.get(purged)).text));
      expect(versionsSeen).toEqual(Array.from(fleet, () => `version ${3 + times}`));
    }
    expect((await redis.cli('xrange', 'forecache:{forecache}:log', '-', '+')).length).toBeLessThan(1000);
  });
});
