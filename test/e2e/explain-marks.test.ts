import { describe, expect, it, onTestFinished } from 'vitest';

import type { Explanation } from '../../src/cache/operations.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';

const mark = 'forecache;id=AAAAAAAAAAAA.7';
const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 1h, staleIfError: 1d, retain: 2d, statusTtl: { 503: 1m, 508: 1m } }
  - { name: behind, match: /b/*, upstream: api, ttl: 1h, staleWhileRevalidate: 1d, retain: 2d, statusTtl: { 503: 1m, 508: 1m } }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, staleIfError: 1d }`;

/** What explain says of an error, and what comes of it, of something that is stored and stale. */
async function seen(target: string, status: number, marks?: string) {
  const origin = await startOrigin(answer(200, { 'Cache-Control': 'max-age=3600' }, 'old'));
  onTestFinished(() => origin.close());
  const proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  await proxy.get(target);
  await proxy.call('POST', '/api/purge', { all: true, soft: true });
  origin.script(answer(status, {}, 'bad'));
  const headers = marks === undefined ? {} : { 'cdn-loop': marks };
  const wanted = { url: target, headers };
  const foreseen: Explanation = Object((await proxy.call('POST', '/api/explain', wanted)).body);
  const supposed: Explanation = Object(
    (await proxy.call('POST', '/api/explain', { ...wanted, response: { status } })).body,
  );
  const { status: sent, cacheStatus } = await proxy.get(target, { headers });
  expect(supposed.answer?.sent).toEqual({ status: sent, cacheStatus });
  const failure = foreseen.notes.filter((note) => note.topic === 'failure').map(({ text }) => text);
  return { sent, failure, token: supposed.answer?.token, reason: supposed.answer?.reason };
}

describe('explain of an error that something stale is stored for', () => {
  it.each(['/c/a', '/h/a'])('says that a 508 to a request with marks of its own is passed on (%s)', async (target) => {
    const { sent, failure, token, reason } = await seen(target, 508, mark);
    expect([sent, token]).toEqual([508, 'status']);
    expect(reason).toMatch(/about the way of this request alone.*RFC 8586/u);
    expect(failure).toContainEqual(expect.stringMatching(/^but if that is a 508: passed on: /u));
  });

  it.each([
    ['/c/a', 503, mark],
    ['/c/a', 508, 'other'],
    ['/c/a', 508, undefined],
    ['/h/a', 508, undefined],
  ])('says that what is stored is served in its place: %s, %i, %s', async (target, status, marks) => {
    const { sent, failure, reason } = await seen(target, status, marks);
    expect(sent).toBe(200);
    expect(reason).toMatch(/^what is stored is served in its place: within stale-if-error/u);
    expect(failure).toContainEqual(expect.stringMatching(/^if upstream answers 5xx or 429: what is stored, stale/u));
    expect(failure).toHaveLength(marks === mark ? 3 : 2);
  });

  it.each([
    [503, undefined],
    [508, mark],
  ])('says that a refresh which gets it leaves what is stored: %i', async (status, marks) => {
    const { sent, token, reason } = await seen('/b/a', status, marks);
    expect([sent, token]).toEqual([200, 'status']);
    expect(reason).toMatch(/^a refresh behind a stale answer that fails/u);
  });
});
