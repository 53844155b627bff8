import { METHODS } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createExplainer } from '../../src/cache/explain.ts';
import type { Explanation, ExplainRequest } from '../../src/cache/operations.ts';
import { graphqlReaderFor } from '../../src/graphql-reader.ts';
import { createAnswerReader } from '../../src/upstream/answer-reader.ts';
import { StoreSetUp, sha256 } from '../support/operations.ts';
import { routeOf } from '../support/policy.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const routes = [
  routeOf({}, { name: 'graphql', match: '/graphql', content: { methods: ['POST'], as: 'graphql', maxBytes: 200 } }),
  routeOf({}, { name: 'search', match: '/search', content: { methods: ['QUERY'], as: 'auto', maxBytes: 20 } }),
];

async function explained(request: ExplainRequest): Promise<Explanation> {
  const at = new StoreSetUp(routes);
  onTestFinished(() => at[Symbol.dispose]());
  const { table, store, clock } = at;
  const listeners = [{ name: 'default', host: '127.0.0.1', port: 8080 }];
  const methods = new Set(METHODS);
  const answers = createAnswerReader(new Map([['weather', upstreamConfig('https://weather.test')]]));
  const ground = { table, store, clock, sha256, methods, upstreams: new Map(), listeners: () => listeners };
  const explainer = createExplainer({ ...ground, answers, graphql: await graphqlReaderFor(routes) });
  const answer = await explainer.explain({ headers: { 'Content-Type': 'application/json' }, ...request });
  if (!answer.ok) throw new Error(answer.error.detail);
  return answer.value;
}

describe('a request with content is explained', () => {
  test('by what it is keyed as, without a word of it', async () => {
    const body = '{"query":"{ secretly }"}';
    const answer = await explained({ url: '/graphql', method: 'POST', body });
    expect(answer).toMatchObject({ method: 'POST', route: 'graphql', decision: { would: 'miss', fwd: 'uri-miss' } });
    expect(answer.key).toMatch(/^graphql\|\/graphql\|#POST=[0-9a-f]{64}$/);
    expect(answer.steps.find((step) => step.part === 'content')).toEqual({
      part: 'content',
      name: 'POST',
      before: 'application/json, 24 bytes',
      after: `application/json, 22 bytes, #${answer.key?.slice(-64) ?? ''}`,
      rule: 'GraphQL query, canonical',
    });
    expect(JSON.stringify(answer)).not.toContain('secretly');
    const other = await explained({ url: '/graphql', method: 'POST', body: '{"query":"{secretly,}"}' });
    expect(other.key).toBe(answer.key);
  });

  test('as relayed where it may do more than read', async () => {
    const { decision, key, upstream } = await explained({
      url: '/graphql?x=1',
      method: 'POST',
      body: '{"query":"mutation{a}"}',
    });
    expect(decision).toEqual({
      would: 'relayed',
      fwd: 'method',
      reason: expect.stringMatching(/§9\.2\.1\): it is a mutation$/) as unknown,
    });
    expect([key, upstream?.target]).toEqual([null, '/graphql?x=1']);
  });

  test('as relayed where its type is not read, or its method not named', async () => {
    const headers = { 'content-type': 'multipart/form-data' };
    const typed = await explained({ url: '/graphql', method: 'POST', headers, body: 'x' });
    expect(typed.decision).toMatchObject({
      would: 'relayed',
      fwd: 'bypass',
      reason: expect.stringContaining('type') as unknown,
    });
    const unnamed = await explained({ url: '/search', method: 'POST', body: '{}' });
    expect(unnamed.decision).toMatchObject({ would: 'relayed', fwd: 'method' });
  });

  test.each([
    ['content-invalid', 400, { body: '{' }],
    ['content-too-large', 413, { body: `"${'x'.repeat(19)}"` }],
    ['content-type-missing', 400, { body: '{}', headers: {} }],
    ['content-coding-unsupported', 415, { body: '{}', headers: { 'content-encoding': 'br' } }],
  ])('as refused with %s', async (code, status, request) => {
    const answer = await explained({ url: '/search', method: 'QUERY', ...request });
    expect(answer).toMatchObject({ problem: { code, status }, decision: { would: 'rejected' } });
  });

  test('as relayed where it is a POST that is too long, unless no length says so', async () => {
    const long = { url: '/graphql', method: 'POST', body: `"${'x'.repeat(199)}"` };
    expect((await explained(long)).decision).toMatchObject({ would: 'relayed', fwd: 'bypass' });
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
    expect(await explained({ ...long, headers })).toMatchObject({ problem: { code: 'content-too-large' } });
  });

  test('up to exactly the length that is read', async () => {
    const answer = await explained({ url: '/search', method: 'QUERY', body: `"${'x'.repeat(18)}"` });
    expect(answer.decision.would).toBe('miss');
  });

  test('as refused where a GET has it', async () => {
    const answer = await explained({ url: '/search', body: '{}' });
    expect(answer).toMatchObject({ problem: { code: 'content-not-allowed' } });
  });
});
