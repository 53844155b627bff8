import { expect, it, onTestFinished } from 'vitest';

import type { Explanation } from '../../src/cache/operations.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';
import { StillClock } from '../support/still-clock.ts';

const routes = `
  - name: honoured
    match: /h/*
    upstream: api
    upstreamCacheControl: honour
    forwardHeaders: ["*"]
    storeErrors: all
  - { name: ruled, match: /r/*, upstream: api, ttl: 1h, statusTtl: { 404: 1m } }
`;

interface Explained {
  readonly answer: {
    readonly stored: boolean;
    readonly key: string | null;
    readonly sent: { readonly status: number | null; readonly cacheStatus: string } | null;
  };
  readonly stored: { readonly key: string } | null;
  readonly upstream: { readonly method: string } | null;
}

type Fields = Readonly<Record<string, string>>;

/** The proxy in front of an origin that always answers so; `explain` asks what it would do with that. */
async function start(status: number, fields: Fields) {
  const origin = await startOrigin(answer(status, fields, 'content'));
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes), clock: new StillClock() });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  return {
    origin,
    proxy,
    explain: async (asked: object): Promise<Explained> => {
      const { body } = await proxy.call('POST', '/api/explain', { ...asked, response: { status, headers: fields } });
      const explained: Explained = Object(body);
      return explained;
    },
  };
}

const minute = 'max-age=60';

it.each<[string, { readonly method?: string; readonly headers?: Fields }, number, Fields]>([
  ['/h/a', {}, 200, { 'cache-control': minute }],
  ['/h/a', {}, 200, { 'cache-control': 'private, max-age=60' }],
  ['/h/a', {}, 200, { 'cache-control': minute, vary: 'x-a' }],
  ['/h/a', { headers: { 'x-a': '1' } }, 200, { 'cache-control': minute, vary: 'x-a' }],
  ['/h/a', {}, 200, { 'cache-control': minute, vary: '*' }],
  ['/h/a', {}, 404, { 'cache-control': minute }],
  ['/h/a', {}, 503, { 'cache-control': minute }],
  ['/h/a', {}, 599, { 'cache-control': minute }],
  ['/h/a', {}, 999, { 'cache-control': minute }],
  ['/h/a', {}, 200, { 'cache-control': minute, 'cache-status': 'edge; hit' }],
  ['/h/a', { method: 'DELETE' }, 200, { 'cache-status': 'edge; hit' }],
  ['/r/a', {}, 200, { 'cache-status': 'edge; hit' }],
  ['/h/a', {}, 200, {}],
  ['/h/a', {}, 200, { etag: '"1"' }],
  ['/h/a', { headers: { authorization: 'Basic YTph' } }, 200, { 'cache-control': minute }],
  ['/h/a', { headers: { authorization: 'Basic YTph' } }, 200, { 'cache-control': `public, ${minute}` }],
  ['/h/a', { headers: { cookie: 'a=1' } }, 200, { 'cache-control': minute }],
  ['/h/a', { headers: { 'cache-control': 'no-store' } }, 200, { 'cache-control': minute }],
  ['/h/a', { headers: { 'cache-control': 'only-if-cached' } }, 200, { 'cache-control': minute }],
  ['/h/a', { headers: { 'if-none-match': '"1"' } }, 200, { 'cache-control': minute, etag: '"1"' }],
  ['/h/a', { headers: { 'if-none-match': '"1"' } }, 304, { 'cache-control': minute, etag: '"1"' }],
  ['/h/a', { method: 'HEAD' }, 200, { 'cache-control': minute }],
  ['/h/a', { method: 'DELETE' }, 200, { 'cache-control': minute }],
  ['/h/a', { method: 'POST' }, 200, { 'cache-control': minute, 'content-location': '/h/a' }],
  ['/r/a', {}, 200, { 'cache-control': 'no-store' }],
  ['/r/a', {}, 404, {}],
  ['/r/a', {}, 500, {}],
  ['/r/a', {}, 206, {}],
  ['/r/a', {}, 304, {}],
])('explain foresees what becomes of %s %j answered %i %j', async (url, asked, status, fields) => {
  const { proxy, explain } = await start(status, fields);
  const { answer: foreseen, stored: before } = await explain({ url, ...asked });
  expect(before).toBeNull();
  const reply = await proxy.get(url, asked);
  expect({ status: reply.status, cacheStatus: reply.cacheStatus }).toEqual(foreseen.sent);
  const get = { url, ...asked, method: 'GET' };
  await expect.poll(async () => (await explain(get)).stored?.key ?? null).toBe(foreseen.key);
  expect(foreseen.stored).toBe(foreseen.key !== null);
});

it('explain calls nobody, stores nothing and makes nothing invalid', async () => {
  const { origin, proxy, explain } = await start(200, { 'cache-control': minute });
  await explain({ url: '/h/a' });
  await explain({ url: '/h/a', method: 'DELETE' });
  expect(origin.requests).toHaveLength(0);
  const metrics = async (): Promise<unknown> => (await proxy.call('GET', '/metrics')).body;
  await proxy.get('/h/a');
  const before = await metrics();
  await explain({ url: '/h/a', method: 'DELETE' });
  await explain({ url: '/h/a' });
  expect(counted(await metrics())).toEqual(counted(before));
  expect((await proxy.get('/h/a')).cacheStatus).toBe('forecache; hit; ttl=60; detail=memory');
  expect(origin.requests).toHaveLength(1);
});

/** What counts requests, calls and stored responses. */
function counted(metrics: unknown): readonly string[] {
  const lines = String(metrics).split('\n');
  const found = lines.filter((line) => /^forecache_(?:requests|upstream|store|stored|purge|limit)/.test(line));
  expect(found.length).toBeGreaterThan(5);
  return found;
}

const sizes = `
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, maxStoredBytes: 1KiB }
  - { name: ruled, match: /r/*, upstream: api, ttl: 1h, maxStoredBytes: 1KiB }
`;

it.each<[string, string, number, Fields]>([
  ['GET', '/h/a', 1024, { 'cache-control': minute }],
  ['GET', '/h/a', 1025, { 'cache-control': minute }],
  ['HEAD', '/h/a', 1025, { 'cache-control': minute }],
  ['GET', '/r/a', 1024, {}],
  ['GET', '/r/a', 1025, {}],
  ['HEAD', '/r/a', 1025, {}],
  ['POST', '/h/a', 1024, { 'cache-control': minute, 'content-location': '/h/a' }],
  ['POST', '/h/a', 1025, { 'cache-control': minute, 'content-location': '/h/a' }],
])(
  'explain foresees what becomes of %s %s answered with %i bytes of content and %j',
  async (method, url, bytes, more) => {
    const headers = { ...more, 'content-length': String(bytes) };
    const origin = await startOrigin(answer(200, headers, 'x'.repeat(bytes)));
    onTestFinished(() => origin.close());
    const proxy = await startTestProxy({ yaml: yamlFor(origin.url, sizes), clock: new StillClock() });
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    const explain = async (asked: object): Promise<Explanation> =>
      Object((await proxy.call('POST', '/api/explain', { url, ...asked })).body);
    const { answer: foreseen } = await explain({ method, response: { status: 200, headers } });
    const reply = await proxy.get(url, { method });
    expect({ status: reply.status, cacheStatus: reply.cacheStatus }).toEqual(foreseen?.sent);
    await expect.poll(async () => (await explain({ method: 'GET' })).stored?.key ?? null).toBe(foreseen?.key);
    const results = String((await proxy.call('GET', '/metrics')).body).matchAll(
      /^forecache_storage_total\{.*result="([^"]+)"\} 1$/gm,
    );
    expect(Array.from(results, ([, result]) => result)).toEqual([foreseen?.token ?? 'stored']);
  },
);

it.each([
  ['GET', '/r/a'],
  ['HEAD', '/r/a'],
  ['HEAD', '/h/a'],
  ['DELETE', '/r/a'],
  ['OPTIONS', '/h/a'],
])('explain foresees by which method upstream is asked for %s %s', async (method, url) => {
  const { origin, proxy, explain } = await start(200, { 'cache-control': minute });
  const { upstream } = await explain({ url, method });
  await proxy.get(url, { method });
  expect(origin.requests.map((request) => request.method)).toEqual([upstream?.method]);
});
