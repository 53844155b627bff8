import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { answer, type Origin, startOrigin } from '../support/origin.ts';
import { startTestProxy, type TestProxy, yamlFor } from '../support/proxy.ts';

const query = '{ location: { type: text, fold: true, alias: q, required: true }, days: { type: integer, default: 7 } }';
const routes = `
  - { name: ruled, match: /ruled, forward: /v1, upstream: api, ttl: 1h, query: ${query}, unknownQuery: reject }
  - { name: honoured, match: /honoured, upstream: api, upstreamCacheControl: honour, query: ${query}, unknownQuery: drop }
  - { name: plain, match: /plain, upstream: api, upstreamCacheControl: honour }
  - { name: live, match: /live, upstream: api, cache: off, query: ${query}, unknownQuery: reject }
`;
const cookie = { headers: { cookie: 'session=1' } };

describe('a request that its fields keep from the store', () => {
  let origin: Origin;
  let proxy: TestProxy;

  beforeEach(async () => {
    origin = await startOrigin(answer(200));
    proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
  });

  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await origin.close();
  });

  const sent = (): readonly string[] => origin.requests.map(({ method, target }) => `${method} ${target}`);

  it.each([
    ['a Cookie', cookie.headers],
    ['Authorization', { authorization: 'Bearer x' }],
  ])('because of %s has the target of one that does not', async (_what, headers) => {
    await proxy.get('/ruled?q=New++YORK', { headers });
    await proxy.get('/ruled?q=New++YORK', { headers, method: 'HEAD' });
    await proxy.get('/ruled?q=New++YORK');
    const target = '/v1?days=7&location=new%20york';
    expect(sent()).toEqual([`GET ${target}`, `HEAD ${target}`, `GET ${target}`]);
  });

  it('because of a condition that only upstream can check, likewise', async () => {
    await proxy.get('/honoured?q=LIMA&x=1', { headers: { 'if-match': '"1"' } });
    expect(sent()).toEqual(['GET /honoured?days=7&location=lima']);
  });

  it.each(['/ruled?location=a&utm=1', '/ruled', '/ruled?location=a&days=x', '/ruled?location=%FF'])(
    'is refused as one that does not is: %s',
    async (target) => {
      const refused = await proxy.get(target);
      const relayed = await proxy.get(target, cookie);
      expect([relayed.status, relayed.text]).toEqual([400, refused.text]);
      expect(origin.requests).toHaveLength(0);
    },
  );

  it('keeps its query byte for byte on a route without rules', async () => {
    await proxy.get('/plain?b=%7e&&a=+', cookie);
    expect(sent()).toEqual(['GET /plain?b=%7e&&a=+']);
  });

  it('and whatever the route does not cache at all, or any other method, speaks to upstream in its own words', async () => {
    await proxy.get('/live?b=%7e', cookie);
    await proxy.get('/ruled?b=%7e', { method: 'POST', ...cookie });
    expect(sent()).toEqual(['GET /live?b=%7e', 'POST /v1?b=%7e']);
  });
});
