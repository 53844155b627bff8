import { expect, it, onTestFinished } from 'vitest';

import type { Explanation } from '../../src/cache/operations.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startTestProxy } from '../support/proxy.ts';

const yaml = (origin: string): string => `
server:
  listen: 127.0.0.1:0
  limits: { maxTargetBytes: 256, maxHeaderFields: 20, maxBodyBytes: 1KiB }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams: { api: { origin: "${origin}" } }
routes:
  - { name: files, match: /files/*, upstream: api, ttl: 1h }
`;

const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, 'a']));

it.each<
  [
    string,
    { readonly method?: string; readonly headers?: Record<string, string>; readonly body?: string },
    string,
    string?,
  ]
>([
  [`/files/${'a'.repeat(250)}`, {}, 'target-too-long'],
  [`/none/${'a'.repeat(251)}`, {}, 'target-too-long'],
  [`/files/${'a'.repeat(250)}`, { headers: { expect: '200-ok' } }, 'expectation-failed'],
  ['/files/a', { headers: many(30) }, 'too-many-fields'],
  ['/files/a', { headers: { expect: '200-ok' } }, 'expectation-failed'],
  ['/files/a', { headers: { 'transfer-encoding': 'gzip' } }, 'framing-invalid'],
  ['/files/a', { method: 'POST', body: 'a'.repeat(1025) }, 'content-too-large'],
  ['/files/a', { method: 'PUT', body: 'a'.repeat(1025) }, 'content-too-large'],
  ['/files/a', { method: 'DELETE', headers: { via: Array(9).fill('1.1 forecache').join() } }, 'loop-detected', 'error'],
])('explain foresees that %s %j is refused: %s', async (url, asked, code, would = 'rejected') => {
  const origin = await startOrigin(answer(200));
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({ yaml: yaml(origin.url) });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  const foreseen: Explanation = Object((await proxy.call('POST', '/api/explain', { url, ...asked })).body);
  const reply = await proxy.get(url, asked);
  expect({ status: reply.status, cacheStatus: reply.cacheStatus }).toEqual(foreseen.sent);
  const { detail } = Object(foreseen.problem);
  expect(JSON.parse(reply.text)).toMatchObject({ type: `urn:forecache:problem:${code}`, detail });
  expect(foreseen).toMatchObject({ decision: { would, fwd: null }, problem: { code }, notes: [] });
  expect(origin.requests).toEqual([]);
});

it('explain foresees that what is just within the limits is not refused', async () => {
  const origin = await startOrigin(answer(200));
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({ yaml: yaml(origin.url) });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  const asked = { url: `/files/${'a'.repeat(249)}`, headers: { expect: '100-Continue', ...many(18) } };
  const post = { url: '/files/a', method: 'POST', body: 'a'.repeat(1024) };
  for (const one of [asked, post]) {
    expect((await proxy.call('POST', '/api/explain', one)).body).toMatchObject({ problem: null });
  }
});
