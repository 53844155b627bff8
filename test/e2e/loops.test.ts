import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { Explanation } from '../../src/cache/operations.ts';
import { head } from '../support/hostile.ts';
import { type Ask, ask, type Reply } from '../support/http.ts';
import { launchServe } from '../support/launch.ts';
import { limitHits, outcomes, samples, upstreamCalls } from '../support/metrics.ts';
import { answer, gated, type Origin, type OriginScript, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy } from '../support/proxy.ts';
import { openRaw } from '../support/raw.ts';
import { freePort, startRedis } from '../support/redis.ts';

interface Place {
  readonly port: number;
  readonly upstream: string;
  /** More of `server:`, in flow style. */
  readonly server?: string;
  readonly routes?: string;
}

const everyKind = `
  - { name: ruled, match: /c/*, upstream: up, ttl: 1h, staleWhileRevalidate: 1h }
  - { name: searched, match: /q/*, upstream: up, ttl: 1h, content: { methods: [POST, QUERY], as: json } }
  - { name: honoured, match: /h/*, upstream: up, upstreamCacheControl: honour }
  - { name: everything, match: /e/*, upstream: up, upstreamCacheControl: honour, forwardHeaders: ["*"] }
  - { name: relayed, match: /r/*, upstream: up, cache: off }
  - { name: warmed, match: /w, upstream: up, ttl: 1h, query: { x: { type: text } } }`;

function yamlOf({ port, upstream, server = '', routes = everyKind }: Place): string {
  return `
server: { listen: "127.0.0.1:${port}"${server} }
admin: { listen: 127.0.0.1:0 }
log: { level: error }
upstreams: { up: { origin: "${upstream}", timeout: 20s } }
routes:${routes}
`;
}

/** With `log: silent`, since it is in this process. */
async function start(place: Place, more = ''): Promise<TestProxy> {
  const proxy = await startTestProxy({ yaml: yamlOf(place).replace('level: error', 'level: silent') + more });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  return proxy;
}

/** Whose upstream is itself. */
async function startOnItself(routes?: string): Promise<TestProxy> {
  const port = await freePort();
  return start({ port, upstream: `http://127.0.0.1:${port}`, ...(routes === undefined ? {} : { routes }) });
}

async function startUpstream(script: OriginScript): Promise<Origin> {
  const origin = await startOrigin(script);
  onTestFinished(() => origin.close());
  return origin;
}

function isLoop({ status, text }: Reply, method = 'GET'): boolean {
  return status === 508 && (method === 'HEAD' || /loop-detected/.test(text));
}

/** All calls upstream, whatever came of them. */
async function callsOf(admin: string): Promise<number> {
  return Object.values(await upstreamCalls(admin)).reduce((sum, one) => sum + one, 0);
}

async function gauge({ admin }: TestProxy, name: string): Promise<unknown> {
  return (await samples(admin)).get(name);
}

function marksAt(origin: Origin, index = -1): string {
  return origin.requests.at(index)?.field('cdn-loop') ?? '';
}

const jsonContent: Ask = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' };

const kinds: readonly (readonly [what: string, target: string, asked: Ask])[] = [
  ['a GET by rule', '/c/a', {}],
  ['a HEAD by rule', '/c/a', { method: 'HEAD' }],
  ['a GET with a cookie on a ruled route', '/c/a', { headers: { cookie: 'a=b' } }],
  ['a POST on a ruled route', '/c/a', { method: 'POST', body: 'x' }],
  ['a POST whose content is in the key', '/q/a', jsonContent],
  ['a QUERY whose content is in the key', '/q/a', { ...jsonContent, method: 'QUERY' }],
  ['a GET by upstream’s word', '/h/a', {}],
  ['a HEAD by upstream’s word', '/h/a', { method: 'HEAD' }],
  ['a range', '/h/a', { headers: { range: 'bytes=0-1' } }],
  ['a condition', '/h/a', { headers: { 'if-none-match': '"a"' } }],
  ['a GET with no-cache', '/h/a', { headers: { 'cache-control': 'no-cache' } }],
  ['a GET that forwards all fields', '/e/a', { headers: { 'x-own': 'a' } }],
  ['a DELETE by upstream’s word', '/h/a', { method: 'DELETE' }],
  ['a GET that is relayed', '/r/a', {}],
  ['a HEAD that is relayed', '/r/a', { method: 'HEAD' }],
  ['a POST that is relayed', '/r/a', { method: 'POST', body: 'x' }],
];

describe('What a proxy has sent upstream itself', () => {
  it.each(kinds)('is refused at its first return: %s', async (_what, target, asked) => {
    const proxy = await startOnItself();
    const signal = AbortSignal.timeout(5_000);
    const reply = await proxy.get(target, { ...asked, signal });
    expect([reply.status, isLoop(reply, asked.method)]).toEqual([508, true]);
    expect([await callsOf(proxy.admin), await limitHits(proxy.admin)]).toEqual([1, { 'server.limits.maxHops': 1 }]);
    expect((await outcomes(proxy.admin))['error']).toBe(1);
  });

  it('is refused where it asks to switch to WebSocket', async () => {
    const proxy = await startOnItself();
    using connection = await openRaw(proxy.origin);
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
    await connection.send(
      head('GET /r/a HTTP/1.1', 'Host: a.test', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', ...upgrade),
    );
    expect((await connection.reply()).status).toBe(508);
    expect([await callsOf(proxy.admin), await limitHits(proxy.admin)]).toEqual([1, { 'server.limits.maxHops': 1 }]);
  });

  it('is refused where it is a refresh behind a stale answer, and what is stale is not stored anew', async () => {
    const port = await freePort();
    const own = `http://127.0.0.1:${port}`;
    const returns: Reply[] = [];
    const origin = await startUpstream(async (request, peer) => {
      if (origin.requests.length === 1) return peer.respond(200, { ETag: '"1"' }, 'first');
      const headers = Object.fromEntries(request.lines);
      returns.push(await ask(own, request.target, { headers }));
      return peer.respond(returns.at(-1)?.status ?? 0, {}, returns.at(-1)?.text ?? '');
    });
    const routes = '\n  - { name: ruled, match: /c/*, upstream: up, ttl: 200ms, staleWhileRevalidate: 1h }';
    const proxy = await start({ port, upstream: origin.url, routes });
    await proxy.get('/c/a');
    await sleep(250);
    expect((await proxy.get('/c/a')).cacheStatus).toContain('; hit; ttl=-');
    await expect.poll(() => returns.map((one) => isLoop(one))).toEqual([true]);
    expect(origin.requests).toHaveLength(2);
    expect((await proxy.get('/c/a')).cacheStatus).toContain('; hit; ttl=-');
  });

  it('is refused where it is warming', async () => {
    const proxy = await startOnItself();
    const { body } = await proxy.call('POST', '/api/warm', { route: 'warmed', with: [{ x: 'a' }] });
    expect(JSON.stringify(body)).toContain('508');
    expect([await callsOf(proxy.admin), await limitHits(proxy.admin)]).toEqual([1, { 'server.limits.maxHops': 1 }]);
  });

  it('is refused by whichever worker it comes back to, and by the built program', async () => {
    const port = await freePort();
    const served = await launchServe(yamlOf({ port, upstream: `http://127.0.0.1:${port}`, server: ', workers: 2' }));
    for (const [, target, asked] of kinds.slice(6, 11)) {
      for (let time = 0; time < 4; time += 1) {
        const reply = await ask(served.proxy, `${target}${time}`, { ...asked, signal: AbortSignal.timeout(5_000) });
        expect(isLoop(reply, asked.method)).toBe(true);
      }
    }
    await expect.poll(() => callsOf(served.admin)).toBe(20);
    await expect.poll(() => limitHits(served.admin)).toEqual({ 'server.limits.maxHops': 20 });
  });

  it('is foreseen by explain, which shows no mark; and what is stored and fresh answers it', async () => {
    const origin = await startUpstream(answer(200, { 'Cache-Control': 'max-age=60', Vary: 'CDN-Loop' }, 'x'));
    const proxy = await start({ port: 0, upstream: origin.url });
    for (const [, target, { method = 'GET', ...asked }] of kinds) {
      await proxy.get(target.replace('/a', '/first'), { method, ...asked });
      const headers = { ...asked.headers, 'cdn-loop': marksAt(origin) };
      const wanted = { url: target, method, headers, ...(asked.body === undefined ? {} : { body: asked.body }) };
      const explained = await proxy.call('POST', '/api/explain', wanted);
      const foreseen: Explanation = Object(explained.body);
      expect([target, method, foreseen.problem?.code]).toEqual([target, method, 'loop-detected']);
      expect(foreseen.decision).toMatchObject({ would: 'error', fwd: null });
      const calls = origin.requests.length;
      const reply = await proxy.get(target, { method, ...asked, headers });
      expect({ status: reply.status, cacheStatus: reply.cacheStatus }).toEqual(foreseen.sent);
      expect(origin.requests).toHaveLength(calls);
      const [mark = ''] = /[\w-]{12}\.\d/.exec(marksAt(origin)) ?? [];
      expect(mark).not.toBe('');
      const told = [explained.body, reply.headers, reply.text, (await proxy.call('GET', '/api/stored')).body];
      expect(JSON.stringify(told)).not.toContain(mark.slice(0, 12));
    }
    for (const target of ['/c/last', '/h/last']) {
      await proxy.get(target);
      const headers = { 'cdn-loop': marksAt(origin) };
      const reply = await proxy.get(target, { headers });
      expect([reply.status, reply.cacheStatus]).toMatchObject([200, /; hit;/]);
      expect(isLoop(await proxy.get(`${target}/more`, { headers }))).toBe(true);
    }
  });
});

describe('A chain that is meant', () => {
  it('of two routes and listeners of one process is served, and upstream is told of both', async () => {
    const origin = await startUpstream(answer(200, {}, 'x'));
    const [front, back] = [await freePort(), await freePort()];
    const yaml = `
server: { listen: "127.0.0.1:${front}", listeners: { back: { listen: "127.0.0.1:${back}" } } }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams: { back: { origin: "http://127.0.0.1:${back}" }, up: { origin: "${origin.url}" } }
routes:
  - { name: first, match: /one, forward: /two, upstream: back, ttl: 1h }
  - { name: second, match: /two, listener: back, upstream: up, upstreamCacheControl: honour }
`;
    const proxy = await startTestProxy({ yaml });
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    const reply = await ask(`http://127.0.0.1:${front}`, '/one');
    expect([reply.status, reply.text]).toEqual([200, 'x']);
    expect(marksAt(origin)).toMatch(/^forecache;id=([\w-]{12})\.0, forecache;id=\1\.1$/);
    expect(origin.requests[0]?.field('via')).toBe('1.1 forecache');
  });

  it('of proxies is served as far as maxHops says, and collapsed', async () => {
    const gate = Promise.withResolvers<void>();
    const origin = await startUpstream(gated(gate.promise, answer(200, {}, 'x')));
    const near = await start({ port: 0, upstream: origin.url, server: ', limits: { maxHops: 2 }' });
    const middle = await start({ port: 0, upstream: near.origin });
    const far = await start({ port: 0, upstream: middle.origin });
    const asked = [far, far, middle, near].map((proxy) => proxy.get('/c/a'));
    await origin.arrived(1);
    gate.resolve();
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(origin.requests).toHaveLength(1);
    const farthest = await start({ port: 0, upstream: far.origin });
    expect(isLoop(await farthest.get('/c/b'))).toBe(true);
    expect(await limitHits(near.admin)).toEqual({ 'server.limits.maxHops': 1 });
  });
});

describe('A ring of proxies', () => {
  it.each(kinds.filter(([, , { method }]) => method !== 'POST'))(
    'ends where it began: %s',
    async (_what, target, asked) => {
      const [one, other] = [await freePort(), await freePort()];
      const first = await start({ port: one, upstream: `http://127.0.0.1:${other}` });
      const second = await start({ port: other, upstream: `http://127.0.0.1:${one}` });
      const reply = await first.get(target, { ...asked, signal: AbortSignal.timeout(5_000) });
      expect([reply.status, isLoop(reply, asked.method)]).toEqual([508, true]);
      expect([await callsOf(first.admin), await callsOf(second.admin)]).toEqual([1, 1]);
      expect(await limitHits(first.admin)).toEqual({ 'server.limits.maxHops': 1 });
    },
  );
});

describe('What a client says in CDN-Loop', () => {
  it('goes on where it is a mark, and nothing else of it; a relay carries all of it', async () => {
    const origin = await startUpstream(answer(200, {}, 'x'));
    const proxy = await start({ port: 0, upstream: origin.url });
    const mark = 'forecache;id=AAAAAAAAAAAA.7';
    const said = { 'cdn-loop': [`cdn.example; a="b, ${mark}"`, ` forecache;id=short.1,${mark} , evil`] };
    for (const [target, sent] of [
      ['/c/a', /^forecache;id=AAAAAAAAAAAA\.7, forecache;id=[\w-]{12}\.0$/],
      ['/e/a', /^forecache;id=AAAAAAAAAAAA\.7, forecache;id=[\w-]{12}\.3$/],
      ['/r/a', /^cdn\.example; a="b, forecache;id=AAAAAAAAAAAA\.7"/],
    ] as const) {
      expect((await proxy.get(target, { headers: said })).status).toBe(200);
      expect(marksAt(origin)).toMatch(sent);
    }
    expect(origin.requests.at(-1)?.lines.filter(([name]) => name.toLowerCase() === 'cdn-loop')).toHaveLength(3);
    // Nor does it tell requests apart.
    expect((await proxy.get('/c/a')).cacheStatus).toContain('; hit;');
  });

  it('goes with its own request alone, and not with a refresh that it began', async () => {
    const origin = await startUpstream(answer(200, {}, 'x'));
    const routes = '\n  - { name: ruled, match: /c/*, upstream: up, ttl: 100ms, staleWhileRevalidate: 1h }';
    const proxy = await start({ port: await freePort(), upstream: origin.url, routes });
    const mark = 'forecache;id=AAAAAAAAAAAA.7';
    const headers = { 'CDN-Loop': mark };
    await proxy.get('/c/a', { headers });
    await sleep(150);
    expect((await proxy.get('/c/a', { headers })).cacheStatus).toContain('; hit; ttl=-');
    await expect.poll(() => origin.requests.length).toBe(2);
    expect(origin.requests.map((request) => request.field('cdn-loop')?.includes(mark))).toEqual([true, false]);
  });

  it('is for its own request alone: who waits with it is answered, and nothing is stored of it', async () => {
    const gate = Promise.withResolvers<void>();
    const mark = 'forecache;id=AAAAAAAAAAAA.7';
    const origin = await startUpstream(async (request, peer) => {
      const isForged = request.field('cdn-loop')?.includes(mark) === true;
      if (origin.requests.length === 1) await gate.promise;
      return isForged ? peer.respond(508, { 'Cache-Control': 'max-age=600' }, 'forged') : peer.respond(200, {}, 'good');
    });
    const routes = `
  - { name: ruled, match: /c/*, upstream: up, ttl: 1h, statusTtl: { 508: 1h } }`;
    const proxy = await start({ port: 0, upstream: origin.url, routes });
    const forging = proxy.get('/c/a', { headers: { 'cdn-loop': mark } });
    await origin.arrived(1);
    const waiting = [proxy.get('/c/a'), proxy.get('/c/a')];
    await sleep(100);
    gate.resolve();
    expect((await forging).status).toBe(508);
    expect((await Promise.all(waiting)).map(({ text }) => text)).toEqual(['good', 'good']);
    expect((await proxy.get('/c/a')).cacheStatus).toContain('; hit;');
  });

  it.each<readonly [string, Ask]>([
    ['a GET', {}],
    ['a GET with no-cache', { headers: { 'cache-control': 'no-cache' } }],
    ['a HEAD', { method: 'HEAD' }],
  ])('is no reason for a stale answer: %s', async (_what, asked) => {
    const gate = Promise.withResolvers<void>();
    const mark = 'forecache;id=AAAAAAAAAAAA.7';
    const fresh = { 'Cache-Control': 'max-age=0, stale-if-error=3600' };
    const origin = await startUpstream(async (request, peer) => {
      if (origin.requests.length === 1) return peer.respond(200, fresh, 'old');
      if (origin.requests.length === 2) await gate.promise;
      const isForged = request.field('cdn-loop')?.includes(mark) === true;
      return isForged ? peer.respond(508, {}, request.method === 'HEAD' ? '' : 'forged') : peer.respond(200, {}, 'new');
    });
    const proxy = await start({ port: 0, upstream: origin.url });
    expect((await proxy.get('/h/a')).text).toBe('old');
    const forging = proxy.get('/h/a', { ...asked, headers: { ...asked.headers, 'cdn-loop': mark } });
    await origin.arrived(2);
    const waiting = proxy.get('/h/a');
    await sleep(100);
    gate.resolve();
    expect([(await forging).status, (await waiting).text]).toEqual([508, 'new']);
  });

  it('is not what a warming that waited with it comes to', async () => {
    const gate = Promise.withResolvers<void>();
    const origin = await startUpstream(async (request, peer) => {
      if (origin.requests.length > 1) return peer.respond(200, {}, 'new');
      await gate.promise;
      return peer.respond(508, {}, request.field('cdn-loop'));
    });
    const proxy = await start({ port: 0, upstream: origin.url });
    const forging = proxy.get('/w?x=a', { headers: { 'cdn-loop': 'forecache;id=AAAAAAAAAAAA.7' } });
    await origin.arrived(1);
    const warming = proxy.call('POST', '/api/warm', { route: 'warmed', with: [{ x: 'a' }] });
    await sleep(200);
    gate.resolve();
    expect([(await forging).status, JSON.stringify((await warming).body)]).toEqual([
      508,
      expect.not.stringContaining('508'),
    ]);
    expect((await proxy.get('/w?x=a')).cacheStatus).toContain('; hit;');
  });

  it('leaves the next call to one of a fleet', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis[Symbol.asyncDispose]());
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const origin = await startUpstream(async (_request, peer) => {
      const call = origin.requests.length;
      await gates[call - 1]?.promise;
      return call === 1 ? peer.respond(508, {}, 'forged') : peer.respond(200, {}, 'new');
    });
    const more = `store: { redis: { url: "${redis.url}", timeout: 1s, fillLock: 10s } }`;
    const place: Place = { port: 0, upstream: origin.url };
    const fleet: TestProxy[] = [];
    for (let count = 0; count < 3; count += 1) fleet.push(await start(place, more));
    for (const proxy of fleet) await expect.poll(() => gauge(proxy, 'forecache_lease_held')).toBe(1);
    const [first, ...others] = fleet;
    const forging = first?.get('/c/a', { headers: { 'cdn-loop': 'forecache;id=AAAAAAAAAAAA.7' } });
    await origin.arrived(1);
    const waiting = others.map((proxy) => proxy.get('/c/a'));
    for (const proxy of others) await expect.poll(() => gauge(proxy, 'forecache_requests_in_flight')).toBe(1);
    await sleep(300);
    gates[0]?.resolve();
    expect((await forging)?.status).toBe(508);
    await origin.arrived(2);
    await sleep(300);
    gates[1]?.resolve();
    expect((await Promise.all(waiting)).map(({ text }) => text)).toEqual(['new', 'new']);
    expect(origin.requests).toHaveLength(2);
  });

  it('has no proxy on the way give another something stale to store', async () => {
    const origin = await startUpstream((_request, peer) =>
      peer.respond(200, {}, origin.requests.length === 1 ? 'old' : 'new'),
    );
    const short = '\n  - { name: ruled, match: /c/*, upstream: up, ttl: 200ms, staleIfError: 1h }';
    const near = await start({ port: 0, upstream: origin.url, server: ', limits: { maxHops: 2 }', routes: short });
    const middle = await start({ port: 0, upstream: near.origin, routes: short });
    const far = await start({ port: 0, upstream: middle.origin });
    expect((await middle.get('/c/a')).text).toBe('old');
    await sleep(250);
    const forging = far.get('/c/a', { headers: { 'cdn-loop': 'forecache;id=AAAAAAAAAAAA.7' } });
    expect(isLoop(await forging)).toBe(true);
    expect((await far.get('/c/a')).text).toBe('new');
  });
});
