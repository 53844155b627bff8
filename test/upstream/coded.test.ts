import { gzipSync, zstdCompressSync } from 'node:zlib';
import nock from 'nock';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { UpstreamBodyError, type UpstreamAnswer, type UpstreamCall } from '../../src/cache/upstream-ports.ts';
import type { UpstreamConfig } from '../../src/core/config.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { answer, startOrigin, type OriginScript } from '../support/origin.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

async function fetched(
  script: OriginScript,
  call: Partial<UpstreamCall> = {},
  changes: Partial<UpstreamConfig> = {},
): Promise<{ answer: Extract<UpstreamAnswer, { kind: 'response' }>; body: string | UpstreamBodyError }> {
  const origin = await startOrigin(script);
  open.push(origin);
  const upstreams = new Map([['api', upstreamConfig(origin.url, changes)]]);
  const client = createUpstreamClient({ upstreams, clock: systemClock, version: '1' });
  open.push(client);
  const received = await client.fetch(callOf(call), new AbortController().signal);
  if (received.kind === 'failure') throw new Error(received.detail);
  return { answer: received, body: await read(received) };
}

function callOf(changes: Partial<UpstreamCall>): UpstreamCall {
  const canonical = { upstream: 'api', method: 'GET' as const, target: '/x', fields: [] };
  return { canonical, fields: [], decode: true, purpose: 'interactive', ...changes };
}

async function read(received: Extract<UpstreamAnswer, { kind: 'response' }>): Promise<string | UpstreamBodyError> {
  const parts: Buffer[] = [];
  try {
    for await (const part of received.body.chunks()) parts.push(part);
    return Buffer.concat(parts).toString('latin1');
  } catch (error) {
    if (error instanceof UpstreamBodyError) return error;
    throw error;
  }
}

const plain = '{"a":"a fine day in Paris"}';
const coded = (coding: string, body: Buffer, more: Record<string, string> = {}) =>
  answer(200, { 'Content-Type': 'application/json', 'Content-Encoding': coding, ETag: '"v1"', ...more }, body);
const credentials = { query: new Map([['apikey', 'S3CRET']]), headers: new Map<string, string>() };

describe('a coded body', () => {
  test('is decoded; its length is no longer known and its validator weak', async () => {
    const { answer: received, body } = await fetched(coded('gzip', gzipSync(plain), { Vary: 'Accept-Encoding' }));
    expect(body).toBe(plain);
    expect(received.body).toMatchObject({ framed: true, length: undefined });
    expect(received.fields).toEqual([
      ['content-type', 'application/json'],
      ['etag', 'W/"v1"'],
      ['vary', 'Accept-Encoding'],
    ]);
  });

  test('that came although identity was asked for is decoded all the same', async () => {
    const { body } = await fetched(coded('zstd', zstdCompressSync(plain)), {}, { acceptEncoding: 'identity' });
    expect(body).toBe(plain);
  });

  test('is untouched where that was asked for, and where its coding is not known', async () => {
    const bytes = gzipSync(plain);
    const untouched = await fetched(coded('gzip', bytes), { decode: false });
    expect(untouched.body).toBe(bytes.toString('latin1'));
    expect(untouched.answer.fields).toContainEqual(['content-encoding', 'gzip']);
    const unknown = await fetched(coded('compress', Buffer.from('??')));
    expect([unknown.body, unknown.answer.body.length]).toEqual(['??', 2]);
    expect(unknown.answer.fields).toContainEqual(['etag', '"v1"']);
  });

  test('that is only a part of it is untouched', async () => {
    const { answer: received, body } = await fetched(answer(206, { 'Content-Encoding': 'gzip' }, 'part'));
    expect([body, received.fields]).toEqual(['part', [['content-encoding', 'gzip'], ['content-length', '4']]]); // prettier-ignore
  });

  test('without bytes is an empty body', async () => {
    expect((await fetched(coded('gzip', Buffer.alloc(0)))).body).toBe('');
  });

  test.each([
    ['malformed', coded('gzip', Buffer.from('not gzip at all'))],
    ['truncated', coded('gzip', gzipSync(plain).subarray(0, 20))],
    ['too-large', coded('gzip', gzipSync(Buffer.alloc(10_000_000)))],
  ])('that is %s says so', async (failure, script) => {
    const { body } = await fetched(script, {}, { maxBodyBytes: 1_000_000 });
    expect(body).toMatchObject({ failure });
  });

  test('is searched for credentials after it was decoded, errors even where bytes stay untouched', async () => {
    const text = '{"error":"S3CRET is blocked"}';
    const clean = '{"error":"****** is blocked"}';
    const fields = { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' };
    expect((await fetched(answer(200, fields, gzipSync(text)), {}, { credentials })).body).toBe(clean);
    const refused = await fetched(answer(429, fields, gzipSync(text)), { decode: false }, { credentials });
    expect(refused.body).toBe(clean);
  });

  test('in binary is passed byte for byte, whatever it contains', async () => {
    const bytes = Buffer.from([0, 255, 254, ...Buffer.from('S3CRET'), 10, 13]);
    const script = answer(200, { 'Content-Type': 'application/octet-stream' }, bytes);
    expect((await fetched(script, {}, { credentials })).body).toBe(bytes.toString('latin1'));
  });
});

test.each([
  ['W/"v1"', 'W/"v1"'],
  ['"v1"', '"v1"'],
])('a 304 to If-None-Match: %s confirms the validator %s that was asked with', async (asked, confirmed) => {
  const { answer: received } = await fetched(answer(304, { ETag: '"v1"' }), { fields: [['if-none-match', asked]] });
  expect(received.fields).toEqual([['etag', confirmed]]);
  expect(received.body).toMatchObject({ framed: true, length: 0 });
});

test('a 304 for bytes that are left alone has the validator that upstream gave', async () => {
  const call = { fields: [['if-none-match', 'W/"v1"']], decode: false } as const;
  const { answer: received } = await fetched(answer(304, { ETag: '"v1"' }), call);
  expect(received.fields).toEqual([['etag', '"v1"']]);
});

describe('faults of the network', () => {
  beforeAll(() => nock.disableNetConnect());
  afterEach(() => nock.cleanAll());
  afterAll(() => {
    nock.restore();
    nock.enableNetConnect();
  });

  test.each([
    ['ENOTFOUND', 'dns'],
    ['EAI_AGAIN', 'dns'],
    ['ECONNREFUSED', 'connect'],
    ['EHOSTUNREACH', 'connect'],
    ['ETIMEDOUT', 'timeout'],
    ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
    ['CERT_HAS_EXPIRED', 'tls'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'tls'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls'],
  ])('%s is of the kind %s and its text stays inside', async (code, kind) => {
    const error = Object.assign(new Error('connect http://api.example/?apikey=S3CRET failed'), { code });
    nock('http://api.example').get('/x').query(true).replyWithError(error);
    const upstreams = new Map([['api', upstreamConfig('http://api.example', { credentials })]]);
    await using client = createUpstreamClient({ upstreams, clock: systemClock, version: '1' });
    const received = await client.fetch(callOf({}), new AbortController().signal);
    expect(received).toMatchObject({ kind: 'failure', failure: kind });
    expect(JSON.stringify(received)).not.toMatch(/S3CRET|api\.example/);
  });
});
