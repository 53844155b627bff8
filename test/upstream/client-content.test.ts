import { afterEach, describe, expect, test } from 'vitest';

import type { UpstreamAnswer } from '../../src/cache/upstream-ports.ts';
import type { FieldLines } from '../../src/core/fields.ts';
import type { ContentMethod } from '../../src/core/route.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { answer, type OriginScript, startOrigin } from '../support/origin.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

interface Sent {
  readonly type?: string;
  readonly bytes?: Uint8Array;
  /** Keyed ones. */
  readonly keyed?: FieldLines;
  readonly fields?: FieldLines;
}

async function setUp(script: OriginScript) {
  const origin = await startOrigin(script);
  open.push(origin);
  const upstreams = new Map([['api', upstreamConfig(origin.url, { maxConnections: 1 })]]);
  const client = createUpstreamClient({ upstreams, clock: systemClock, version: '1' });
  open.push(client);
  const send = async (method: ContentMethod | 'GET', sent: Sent = {}): Promise<UpstreamAnswer> => {
    const { type = 'application/json', bytes = Buffer.from('{"a":"é"}'), keyed = [], fields = [] } = sent;
    const content = method === 'GET' ? undefined : { type, bytes };
    const canonical = { upstream: 'api', method, target: '/x', fields: keyed, content };
    const call = { canonical, fields, decode: true, purpose: 'interactive' } as const;
    const received = await client.fetch(call, new AbortController().signal);
    // Read to its end, so that the connection is kept.
    if (received.kind === 'response') await Array.fromAsync(received.body.chunks());
    return received;
  };
  return { origin, send };
}

const ok = answer(200, {}, 'x');

/** Answers the first request of each connection and resets at the second. */
const resetSecond: OriginScript = (request, peer) =>
  request.requestOnConnection === 1 ? peer.respond(200, {}, 'x') : peer.reset();

describe('a call with content', () => {
  test.each(['QUERY', 'POST'] as const)('carries it with its length and its type, as a %s', async (method) => {
    const { origin, send } = await setUp(ok);
    expect(await send(method)).toMatchObject({ kind: 'response', status: 200 });
    const [request] = origin.requests;
    expect([request?.method, request?.body.toString()]).toEqual([method, '{"a":"é"}']);
    expect([request?.field('content-length'), request?.field('content-type')]).toEqual(['10', 'application/json']);
    expect(request?.field('transfer-encoding')).toBeUndefined();
  });

  test('that is empty has a length of 0, and no type where there is none', async () => {
    const { origin, send } = await setUp(ok);
    await send('POST', { type: '', bytes: new Uint8Array() });
    const [request] = origin.requests;
    expect([request?.field('content-length'), request?.field('content-type')]).toEqual(['0', undefined]);
  });

  test('says nothing of how it came: neither its type nor its digests', async () => {
    const { origin, send } = await setUp(ok);
    const came: FieldLines = [
      ['content-type', 'text/plain'],
      ['content-digest', 'sha-256=:AA==:'],
      ['content-md5', 'AA=='],
      ['content-encoding', 'gzip'],
      ['content-length', '5'],
    ];
    await send('QUERY', { fields: [...came, ['x-own', '1']], keyed: [['content-type', 'Application/JSON']] });
    const names = origin.requests[0]?.lines.filter(([name]) => /^(?:content|x)-/i.test(name));
    expect(names?.map(([name, value]) => `${name.toLowerCase()}: ${value}`).toSorted()).toEqual([
      'content-length: 10',
      'content-type: application/json',
      'x-own: 1',
    ]);
  });

  test('is sent once more as a QUERY where a kept connection is reset (RFC 10008 §2)', async () => {
    const { origin, send } = await setUp(resetSecond);
    await send('GET');
    expect(await send('QUERY')).toMatchObject({ kind: 'response', attempts: 2 });
    expect(origin.requests.map(({ method, connection }) => `${method} ${connection}`)).toEqual([
      'GET 1',
      'QUERY 1',
      'QUERY 2',
    ]);
    expect(origin.requests[2]?.body.toString()).toBe('{"a":"é"}');
  });

  test('is never sent twice as a POST, and never on a connection that may close under it (RFC 9110 §9.2.2)', async () => {
    const { origin, send } = await setUp(resetSecond);
    await send('GET');
    expect(await send('POST')).toMatchObject({ kind: 'response', attempts: 1 });
    expect(await send('POST')).toMatchObject({ kind: 'response', attempts: 1 });
    expect(origin.requests.map(({ method, connection }) => `${method} ${connection}`)).toEqual([
      'GET 1',
      'POST 2',
      'POST 3',
    ]);
    origin.script((_request, peer) => peer.reset());
    expect(await send('POST')).toMatchObject({ kind: 'failure', failure: 'reset', attempts: 1 });
    expect(origin.requests).toHaveLength(4);
  });
});
