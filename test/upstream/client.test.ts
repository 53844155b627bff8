import { setImmediate as turnEnd } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';

import type { UpstreamAnswer, UpstreamBody, UpstreamCall, UpstreamResponse } from '../../src/cache/upstream-ports.ts';
import { UpstreamBodyError } from '../../src/cache/upstream-ports.ts';
import type { UpstreamConfig } from '../../src/core/config.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { systemClock } from '../../src/system-clock.ts';
import { FakeClock } from '../support/clock.ts';
import {
  afterInterim,
  answer,
  chunks,
  chunk,
  drip,
  huge,
  inTurn,
  lastChunk,
  silent,
  startOrigin,
  truncated,
  type Framing,
  type Origin,
  type OriginOptions,
  type OriginPeer,
  type OriginScript,
} from '../support/origin.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

/** Time goes on, and its timers have not noticed yet. */
class LateClock extends FakeClock {
  lateMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.lateMs;
  }
}

async function setUp(
  script: OriginScript,
  changes: Partial<UpstreamConfig> = {},
  options: OriginOptions & { readonly clock?: FakeClock } = {},
) {
  const origin = await startOrigin(script, options);
  open.push(origin);
  const config = upstreamConfig(origin.url, changes);
  const clock = options.clock ?? systemClock;
  const client = createUpstreamClient({ upstreams: new Map([['api', config]]), clock, version: '9.9.9' });
  open.push(client);
  const fetch = (call: Partial<UpstreamCall> & { readonly target?: string } = {}, signal?: AbortSignal) =>
    client.fetch(callOf(call), signal ?? new AbortController().signal);
  return { origin, client, fetch };
}

function callOf({ target, ...changes }: Partial<UpstreamCall> & { readonly target?: string }): UpstreamCall {
  return {
    canonical: { upstream: 'api', method: 'GET', target: target ?? '/v1/x?q=1', fields: [] },
    fields: [],
    decode: true,
    purpose: 'interactive',
    ...changes,
  };
}

function response(received: UpstreamAnswer): UpstreamResponse {
  if (received.kind !== 'response') throw new Error(`failed: ${received.failure} (${received.detail})`);
  return received;
}

function failureOf(received: UpstreamAnswer): string {
  return received.kind === 'failure' ? received.failure : `response ${received.status}`;
}

async function read(body: UpstreamBody): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of body.chunks()) parts.push(part);
  return Buffer.concat(parts).toString('latin1');
}

/** The kind of the error with which reading ends; `none` for a normal end. */
async function bodyFailure(body: UpstreamBody): Promise<string> {
  try {
    await read(body);
    return 'none';
  } catch (error) {
    if (error instanceof UpstreamBodyError) return error.failure;
    throw error;
  }
}

/** Answers the first request of each connection and resets at the second. */
const resetSecond: OriginScript = (request, peer) =>
  request.requestOnConnection === 1 ? peer.respond(200, {}, 'x') : peer.reset();

const unasked = 'HTTP/1.1 100 Continue\r\n\r\n';
const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';

function whole(body: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

function byteByByte(bytes: string): OriginScript {
  return async (_request, peer) => {
    for (const byte of Buffer.from(bytes)) await peer.write(Buffer.from([byte]));
  };
}

const ok = answer(200, { 'Content-Type': 'application/json' }, '{"a":1}');

describe('the request that goes upstream', () => {
  test('has the upstream as Host, our User-Agent, Via, Accept and the coding of the configuration', async () => {
    const { origin, fetch } = await setUp(ok);
    await read(response(await fetch()).body);
    const [request] = origin.requests;
    expect(request?.rawHead.split('\r\n')[0]).toBe('GET /v1/x?q=1 HTTP/1.1');
    expect(request?.field('host')).toBe(`127.0.0.1:${origin.port}`);
    expect(request?.field('user-agent')).toBe('forecache/9.9.9');
    expect(request?.field('accept')).toBe('*/*');
    expect(request?.field('accept-encoding')).toBe('gzip');
    expect(request?.field('via')).toBe('1.1 forecache');
  });

  test('keeps the bytes of the target: no dot, slash, percent or bracket is touched', async () => {
    const { origin, fetch } = await setUp(ok);
    const targets = ['//evil/x', '/a%2Fb%252Fc//d', '/a?x={[|]}\'"^`&y=%ff&z=%FE&;=;', '/a?', '/a;b=1?&&'];
    for (const target of targets) {
      const canonical = { upstream: 'api', method: 'GET' as const, target, fields: [] };
      await read(response(await fetch({ canonical })).body);
    }
    expect(origin.requests.map((request) => request.target)).toEqual(targets);
  });

  test('has the keyed fields before the forwarded ones of the same name, and no hop-by-hop field', async () => {
    const { origin, fetch } = await setUp(ok);
    const canonical = { ...callOf({}).canonical, fields: [['accept', 'application/geo+json']] as const };
    const fields = [
      ['accept', 'text/html'],
      ['if-none-match', '"v1"'],
      ['connection', 'close, x-hop'],
      ['x-hop', '1'],
      ['te', 'trailers'],
      ['host', 'evil.example'],
    ] as const;
    await read(response(await fetch({ canonical, fields })).body);
    const names = origin.requests[0]?.lines.map(([name]) => name.toLowerCase()).toSorted();
    expect(origin.requests[0]?.field('accept')).toBe('application/geo+json');
    expect(origin.requests[0]?.field('if-none-match')).toBe('"v1"');
    expect(names).toEqual(
      ['accept', 'accept-encoding', 'connection', 'host', 'if-none-match', 'user-agent', 'via'].toSorted(),
    );
    expect(origin.requests[0]?.field('host')).toBe(`127.0.0.1:${origin.port}`);
  });

  test('carries static fields in place of given ones, and Accept-Encoding as given where bodies stay untouched', async () => {
    const { origin, fetch } = await setUp(ok, { fields: new Map([['user-agent', 'me@example.org']]) });
    await read(
      response(
        await fetch({
          decode: false,
          fields: [
            ['user-agent', 'x'],
            ['accept-encoding', 'br'],
          ],
        }),
      ).body,
    );
    expect(origin.requests[0]?.field('user-agent')).toBe('me@example.org');
    expect(origin.requests[0]?.field('accept-encoding')).toBe('br');
  });

  test('carries the credentials, and none that came under their names in any case or spelling', async () => {
    const { origin, fetch } = await setUp(ok, {
      credentials: { query: new Map([['appid', 's3cr&t']]), headers: new Map([['x-api-key', 'h34der']]) },
    });
    const target = '/w?APPID=theirs&q=a&%61ppid=theirs&AppId';
    await read(response(await fetch({ target, fields: [['x-api-key', 'theirs']] })).body);
    expect(origin.requests[0]?.target).toBe('/w?q=a&appid=s3cr%26t');
    expect(origin.requests[0]?.lines.filter(([name]) => name === 'x-api-key')).toEqual([['x-api-key', 'h34der']]);
  });
});

describe('the response', () => {
  test('comes without hop-by-hop and Connection-nominated fields, names in lower case, lines of a name apart', async () => {
    const fields = { Connection: 'keep-alive, X-Gone', 'X-Gone': '1', 'Keep-Alive': 'timeout=5', 'X-Two': ['a', 'b'] };
    const { fetch } = await setUp(answer(200, fields, 'x'));
    const received = response(await fetch());
    expect(received.fields).toEqual([
      ['x-two', 'a'],
      ['x-two', 'b'],
      ['content-length', '1'],
    ]);
    expect(await read(received.body)).toBe('x');
  });

  test.each([
    ['content-length', 'Content-Length: 3\r\n\r\nabc', true, 3],
    ['chunked', `Transfer-Encoding: chunked\r\n\r\n${chunk('abc').toString()}${lastChunk}`, true, undefined],
    ['close', 'Connection: close\r\n\r\nabc', false, undefined],
  ])('says whether its %s framing proves completeness', async (_name, rest, framed, length) => {
    const { fetch } = await setUp(async (_request, peer) => {
      await peer.write(`HTTP/1.1 200 OK\r\n${rest}`);
      peer.end();
    });
    const { body } = response(await fetch());
    expect({ framed: body.framed, length: body.length }).toEqual({ framed, length });
    expect(await read(body)).toBe('abc');
  });

  test('to HEAD keeps its Content-Length and has no body', async () => {
    const { fetch } = await setUp((_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'));
    const received = response(await fetch({ canonical: { ...callOf({}).canonical, method: 'HEAD' } }));
    expect(received.fields).toEqual([['content-length', '1000']]);
    expect(received.body).toMatchObject({ framed: true, length: 0 });
    expect(await read(received.body)).toBe('');
  });

  test('is never the answer to a redirect', async () => {
    const { origin, fetch } = await setUp(answer(302, { Location: '/elsewhere' }));
    expect(response(await fetch()).status).toBe(302);
    expect(origin.requests).toHaveLength(1);
  });

  test('is what follows interim responses', async () => {
    const { fetch } = await setUp(afterInterim([102, 103, 103], ok));
    const received = response(await fetch());
    expect([received.status, await read(received.body)]).toEqual([200, '{"a":1}']);
  });

  test.each<[string, OriginScript]>([
    ['once', afterInterim([100], ok)],
    ['many times, and other interim responses behind it', afterInterim([100, 100, 100, 102, 103], ok)],
    ['behind another interim response', afterInterim([103, 100], ok)],
    ['between others, again and again', afterInterim([102, 100, 103, 100, 100, 103], ok)],
    ['in one packet with it', (_request, peer) => peer.write(`${unasked}${unasked}${whole('{"a":1}')}`)],
    [
      'in one packet with it and others',
      (_request, peer) => peer.write(`${hints}${unasked}${hints}${whole('{"a":1}')}`),
    ],
    ['byte by byte between others', byteByByte(`${hints}${unasked}${hints}${unasked}${whole('{"a":1}')}`)],
    ['without a reason', (_request, peer) => peer.write(`HTTP/1.1 100\r\n\r\n${whole('{"a":1}')}`)],
    ['byte by byte', byteByByte(`${unasked}${unasked}${whole('{"a":1}')}`)],
  ])('is got where 100 (Continue) that nobody asked for comes before it %s (RFC 9110 §15.2)', async (_how, script) => {
    const { origin, fetch } = await setUp(script, { maxConnections: 1 });
    for (const target of ['/v1/x?q=1', '/v1/x?q=2', '/v1/x?q=3']) {
      const received = response(await fetch({ target }));
      expect([received.status, await read(received.body)]).toEqual([200, '{"a":1}']);
    }
    expect(origin.requests).toHaveLength(3);
    expect(new Set(origin.requests.map(({ connection }) => connection)).size).toBe(1);
  });

  test('may hold what would be 100 (Continue) at another place', async () => {
    const body = `${unasked}${hints}${unasked}`;
    const half = whole(body).length - body.length;
    const { fetch } = await setUp(async (_request, peer) => {
      await peer.write(hints + whole(body).slice(0, half));
      await peer.write(body);
    });
    for (const target of ['/1', '/2']) expect(await read(response(await fetch({ target })).body)).toBe(body);
  });

  test.each<[string, string, string]>([
    ['is cut in its head', 'HTTP/1.1 100 Conti', 'reset'],
    ['is all that comes', unasked, 'reset'],
    [
      'has a head past the limit',
      `HTTP/1.1 100 Continue\r\nX: ${'a'.repeat(20_000)}\r\n\r\n${whole('{}')}`,
      'malformed',
    ],
    ['comes past the limit of a head', `${unasked.repeat(1000)}${whole('{}')}`, 'malformed'],
    ['is no status code', `HTTP/1.1 1000 Continue\r\n\r\n${whole('{}')}`, 'malformed'],
    [
      'comes behind a switch that nobody asked for',
      `HTTP/1.1 101 Switching\r\n\r\n${unasked}${whole('{}')}`,
      'malformed',
    ],
    ['comes behind a head that ends otherwise', `HTTP/1.1 103 Hints\n\n${unasked}${whole(unasked)}`, 'malformed'],
    ['is cut behind another interim response', `${hints}HTTP/1.1 100 Conti`, 'reset'],
  ])('is none where 100 (Continue) %s', async (_how, bytes, failure) => {
    const { fetch } = await setUp(async (_request, peer) => {
      await peer.write(bytes);
      peer.end();
    });
    expect(failureOf(await fetch())).toBe(failure);
  });

  test('arrives whole when it comes byte by byte', async () => {
    const { fetch } = await setUp(drip('{"slow":"but complete"}'));
    expect(await read(response(await fetch()).body)).toBe('{"slow":"but complete"}');
  });

  test('waits upstream while nobody reads it, and arrives whole when somebody does', async () => {
    const total = 32 * 1024 * 1024;
    let sent = 0;
    const { fetch } = await setUp(
      huge(total, 'content-length', (bytes) => (sent = bytes)),
      {
        maxBodyBytes: 64 * 1024 * 1024,
      },
    );
    const { body } = response(await fetch());
    // The connection fills up to what kernel and queue hold; then it must stand still.
    let before = -1;
    const stands = (): boolean => {
      const same = sent === before;
      before = sent;
      return same;
    };
    await expect.poll(stands, { interval: 100 }).toBe(true);
    expect(sent).toBeLessThan(total / 2);
    let received = 0;
    for await (const part of body.chunks()) received += part.length;
    expect(received).toBe(total);
  });
});

describe('a chunked body that its reader holds up', () => {
  // Of a read in whose middle it has to stop the parser gives back what it has not looked at.
  test.each([1, 17, 500, 4096, 8192])('arrives whole where its chunks have %d bytes', async (size) => {
    const total = Math.min(size * 3000, 2_000_000);
    const content = Buffer.from(Uint8Array.from({ length: total }, (_none, at) => (at * 31 + (at >> 12)) & 0xff));
    const pieces = Array.from({ length: Math.ceil(total / size) }, (_none, at) =>
      content.subarray(at * size, (at + 1) * size),
    );
    const { fetch } = await setUp(chunks(pieces));
    const { body } = response(await fetch());
    const got: Buffer[] = [];
    for await (const part of body.chunks()) {
      got.push(part);
      // Whatever may come while nobody reads has come.
      for (let step = 0; step < 5; step += 1) await turnEnd();
    }
    expect(Buffer.concat(got).equals(content)).toBe(true);
  });
});

describe('answers that come in one turn of the loop', () => {
  test('are handed on together and in their order, whole: each step of those who wait is done for all before the next of any', async () => {
    const names = ['a', 'b', 'c', 'd'];
    let peers: OriginPeer[] = [];
    const { fetch } = await setUp((_request, peer) => {
      peers.push(peer);
      if (peers.length < names.length) return;
      // In one go, so that all of it has come when the loop looks for what has.
      for (const one of peers) void one.respond(200, {}, 'whole');
      peers = [];
    });
    const steps = async (): Promise<readonly string[]> => {
      const noted: string[] = [];
      const called = names.map(async (name) => {
        const received = response(await fetch());
        const gathered = received.body.gathered?.(100);
        noted.push(`${name} ${gathered instanceof Promise ? 'in part' : Buffer.concat(gathered ?? []).toString()}`);
        await Promise.resolve();
        noted.push(`${name} done`);
      });
      await Promise.all(called);
      return noted;
    };
    // A busy kernel may bring some of it later; handed on one by one they are never noted like this.
    await expect.poll(steps).toEqual([...names.map((name) => `${name} whole`), ...names.map((name) => `${name} done`)]);
  });
});

describe('an incomplete body', () => {
  test.each<[Framing, 'fin' | 'rst', string]>([
    ['content-length', 'fin', 'truncated'],
    ['content-length', 'rst', 'reset'],
    ['chunked', 'fin', 'truncated'],
    ['chunked', 'rst', 'reset'],
  ])('of %s framing, cut by %s, is an error: %s', async (framing, how, expected) => {
    const { fetch } = await setUp(truncated(framing, how));
    const received = await fetch();
    expect(received.kind === 'failure' ? received.failure : await bodyFailure(received.body)).toBe(expected);
  });

  test.each<['content-length' | 'chunked', 'fin' | 'rst']>([
    ['content-length', 'rst'],
    ['chunked', 'rst'],
    ['chunked', 'fin'],
  ])('of %s framing on a connection that closes, cut by %s, is an error too (trap 2)', async (framing, how) => {
    const line = framing === 'chunked' ? 'Transfer-Encoding: chunked' : 'Content-Length: 1000';
    const { fetch } = await setUp(async (_request, peer) => {
      await peer.write(`HTTP/1.1 200 OK\r\nConnection: close\r\n${line}\r\n\r\n`);
      await peer.write(framing === 'chunked' ? chunk('x'.repeat(400)) : 'x'.repeat(400));
      if (how === 'rst') peer.reset();
      else peer.end();
    });
    expect(['truncated', 'reset']).toContain(await bodyFailure(response(await fetch()).body));
  });

  test.each(['fin', 'rst'] as const)('that is close-delimited and cut by %s never counts as framed', async (how) => {
    const { fetch } = await setUp(truncated('close', how));
    const received = await fetch();
    expect(received.kind === 'failure' || !received.body.framed).toBe(true);
  });

  test.each([
    ['without any framing', ''],
    ['in a transfer coding that nobody knows', 'Transfer-Encoding: cuneiform\r\n'],
    ['in one whose name begins as a known one', 'Transfer-Encoding: gzipped\r\n'],
  ])('that ends with its connection counts as complete where framing is lenient: %s', async (_, line) => {
    const { fetch } = await setUp(
      async (_request, peer) => {
        await peer.write(`HTTP/1.1 200 OK\r\n${line}\r\nabc`);
        peer.end();
      },
      { framing: 'lenient' },
    );
    const { body, fields } = response(await fetch());
    expect(body.framed).toBe(true);
    expect(fields.map(([name]) => name)).not.toContain('transfer-encoding');
    expect(await read(body)).toBe('abc');
  });

  test.each(['strict', 'lenient'] as const)(
    'that would end with its connection and is cut by a reset is an error where framing is %s (RFC 9112 §8)',
    async (framing) => {
      const { fetch } = await setUp(truncated('close', 'rst'), { framing });
      const received = await fetch();
      const failure = received.kind === 'failure' ? received.failure : await bodyFailure(received.body);
      expect(failure).toBe('reset');
    },
  );

  test('in a coding beside chunked stays malformed where framing is lenient: what is left of it is not known', async () => {
    const { fetch } = await setUp(
      (_request, peer) => peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'),
      { framing: 'lenient' },
    );
    expect(await fetch()).toMatchObject({ kind: 'failure', failure: 'malformed' });
  });

  test.each(['gzip', 'x-gzip', 'GZIP', 'compress', 'X-Compress', 'deflate', 'cuneiform, gzip', 'gzip;level=9'])(
    'in the transfer coding %s is malformed where framing is lenient: what comes is certainly coded (RFC 9112 §7.2)',
    async (coding) => {
      const { fetch } = await setUp(
        async (_request, peer) => {
          await peer.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\n\r\nabc`);
          peer.end();
        },
        { framing: 'lenient' },
      );
      expect(failureOf(await fetch())).toBe('malformed');
    },
  );

  test('of chunks that are no chunks is malformed', async () => {
    const { fetch } = await setUp((_request, peer) =>
      peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n'),
    );
    expect(await bodyFailure(response(await fetch()).body)).toBe('malformed');
  });
});

describe('a response that is no correct HTTP', () => {
  test.each([
    ['junk', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['both framings', `HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n${lastChunk}`],
    ['a transfer coding that was not asked for', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc'],
    ['a length that is no number', 'HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\na'],
    ['a head past the limit', `HTTP/1.1 200 OK\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['a control in a field', 'HTTP/1.1 200 OK\r\nX-Bad: a\x01b\r\nContent-Length: 0\r\n\r\n'],
    ['a switch that nobody asked for', 'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
    ['a status below 100', 'HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n'],
  ])('fails as malformed: %s', async (_name, bytes) => {
    const { fetch } = await setUp(async (_request, peer) => {
      await peer.write(bytes);
      peer.end();
    });
    expect(failureOf(await fetch())).toBe('malformed');
  });
});

describe('limits', () => {
  test('a declared length past maxBodyBytes fails before the body; exactly maxBodyBytes passes', async () => {
    const { fetch } = await setUp(inTurn(answer(200, {}, 'x'.repeat(1001)), answer(200, {}, 'x'.repeat(1000))), {
      maxBodyBytes: 1000,
    });
    expect(failureOf(await fetch())).toBe('too-large');
    expect(await read(response(await fetch()).body)).toHaveLength(1000);
  });

  test.each<Framing>(['chunked', 'close'])(
    'an endless %s body is cut off and its connection ended',
    async (framing) => {
      const { origin, fetch } = await setUp(huge(1e12, framing), { maxBodyBytes: 1024 * 1024 });
      expect(await bodyFailure(response(await fetch()).body)).toBe('too-large');
      await expect.poll(() => origin.openConnections).toBe(0);
    },
  );

  test('no more than maxConnections calls are under way at once', async () => {
    const gate = Promise.withResolvers<void>();
    const { origin, fetch } = await setUp(
      async (_request, peer) => {
        await gate.promise;
        await peer.respond(200, {}, 'x');
      },
      { maxConnections: 2 },
    );
    const all = Promise.all(Array.from({ length: 6 }, async () => read(response(await fetch()).body)));
    await origin.arrived(2);
    gate.resolve();
    expect(await all).toEqual(Array.from({ length: 6 }, () => 'x'));
    expect([origin.peakConcurrency, origin.connections]).toEqual([2, 2]);
  });
});

describe('time', () => {
  test('a silent upstream fails as timeout after headersTimeoutMs', async () => {
    const { fetch } = await setUp(silent, { headersTimeoutMs: 200 });
    expect(failureOf(await fetch())).toBe('timeout');
  });

  test('a body that stands still fails as timeout after bodyTimeoutMs', async () => {
    const { fetch } = await setUp((_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'), {
      bodyTimeoutMs: 200,
    });
    expect(await bodyFailure(response(await fetch()).body)).toBe('timeout');
  });

  test('the total timeout ends a head that does not come', async () => {
    const clock = new FakeClock();
    const { origin, fetch } = await setUp(silent, { totalTimeoutMs: 3000 }, { clock });
    const pending = fetch();
    await origin.arrived(1);
    clock.advance(2999);
    clock.advance(1);
    expect(failureOf(await pending)).toBe('timeout');
    await expect.poll(() => origin.openConnections).toBe(0);
  });

  test('the total timeout ends a body that drips on for ever', async () => {
    const clock = new FakeClock();
    const { origin, fetch } = await setUp(
      async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
      },
      { totalTimeoutMs: 3000 },
      { clock },
    );
    const { body } = response(await fetch());
    const failing = bodyFailure(body);
    clock.advance(3000);
    expect(await failing).toBe('timeout');
    await expect.poll(() => origin.openConnections).toBe(0);
  });

  test('waiting for a connection counts, and a call that gave up is never sent', async () => {
    const clock = new FakeClock();
    const { origin, fetch } = await setUp(
      (_request, peer) => peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
      { totalTimeoutMs: 3000, maxConnections: 1 },
      { clock },
    );
    const { body } = response(await fetch());
    // Passed on as it comes: from here on only its pauses are limited.
    body.streamed();
    const waiting = fetch();
    clock.advance(3000);
    expect(await waiting).toMatchObject({ kind: 'failure', failure: 'busy', attempts: 0 });
    body.cancel();
    await expect.poll(() => origin.openConnections).toBe(0);
    expect(origin.requests).toHaveLength(1);
  });

  test('the time of a request is when it was sent, however long it waited for a connection or for another answer to break', async () => {
    const clock = new FakeClock();
    const startMs = clock.nowMs();
    const gate = Promise.withResolvers<void>();
    let seen = 0;
    const { origin, fetch } = await setUp(
      async (request, peer) => {
        await gate.promise;
        seen += 1;
        if (seen === 2) clock.advance(2000);
        await resetSecond(request, peer);
      },
      { totalTimeoutMs: 60_000, maxConnections: 1 },
      { clock },
    );
    const [sent, waiting] = [fetch(), fetch()];
    await origin.arrived(1);
    clock.advance(3000);
    gate.resolve();
    const first = response(await sent);
    expect([first.requestTimeMs, first.responseTimeMs]).toEqual([startMs, startMs + 3000]);
    await read(first.body);
    // Its connection had served one, is reset, and it is sent once more on another.
    const second = response(await waiting);
    expect([second.requestTimeMs, second.attempts]).toEqual([startMs + 5000, 2]);
  });

  test('a call whose time is over is not sent any more, nor once more, though the timer that ends it is late', async () => {
    const clock = new LateClock();
    const gate = Promise.withResolvers<void>();
    const { origin, fetch } = await setUp(
      async (_request, peer) => {
        await gate.promise;
        await peer.respond(200, {}, 'ok');
      },
      { totalTimeoutMs: 3000, maxConnections: 1 },
      { clock },
    );
    const [sent, waiting] = [fetch(), fetch()];
    await origin.arrived(1);
    clock.lateMs = 3000;
    gate.resolve();
    expect(response(await sent).status).toBe(200);
    expect(await waiting).toMatchObject({ kind: 'failure', failure: 'busy', attempts: 0 });
    clock.lateMs = 0;
    origin.script((_request, peer) => {
      clock.lateMs = 3000;
      peer.reset();
    });
    // The kept connection breaks.
    expect(await fetch()).toMatchObject({ kind: 'failure', failure: 'reset', attempts: 1, unsent: undefined });
    expect(origin.requests).toHaveLength(2);
  });

  test('a call whose time is over when its connection is made is not sent, though the timer that ends it is late', async () => {
    const clock = new LateClock();
    const { origin, fetch } = await setUp(ok, { totalTimeoutMs: 3000, maxConnections: 1 }, { clock });
    const late = fetch();
    clock.lateMs = 3000;
    expect(await late).toMatchObject({ kind: 'failure', failure: 'timeout', attempts: 1, unsent: true });
    clock.lateMs = 0;
    // The place is free again.
    expect(response(await fetch()).status).toBe(200);
    expect(origin.requests).toHaveLength(1);
  });

  test('a call whose time is over together with that of the one it waits for was never sent', async () => {
    const clock = new FakeClock();
    const { origin, fetch } = await setUp(silent, { totalTimeoutMs: 3000, maxConnections: 1 }, { clock });
    const calls = [fetch(), fetch(), fetch()];
    await origin.arrived(1);
    clock.advance(3000);
    const [sent, ...waited] = await Promise.all(calls);
    expect(sent).toMatchObject({ failure: 'timeout', attempts: 1 });
    for (const one of waited) expect(one).toMatchObject({ failure: 'busy', attempts: 0 });
    // The connection is free again.
    origin.script(ok);
    expect(response(await fetch()).status).toBe(200);
    expect(origin.requests).toHaveLength(2);
  });

  test('a call that waits for a connection gets it when another gives up', async () => {
    const clock = new FakeClock();
    const { origin, fetch } = await setUp(silent, { totalTimeoutMs: 3000, maxConnections: 1 }, { clock });
    const first = fetch();
    await origin.arrived(1);
    clock.advance(1000);
    const second = fetch();
    clock.advance(2000);
    expect(failureOf(await first)).toBe('timeout');
    origin.script(ok);
    expect(response(await second).status).toBe(200);
  });
});

describe('an abort', () => {
  test('before the call sends nothing', async () => {
    const { origin, fetch } = await setUp(ok);
    expect(failureOf(await fetch({}, AbortSignal.abort()))).toBe('aborted');
    expect(origin.connections).toBe(0);
  });

  test('while the head is awaited ends the connection', async () => {
    const { origin, fetch } = await setUp(silent);
    const controller = new AbortController();
    const pending = fetch({}, controller.signal);
    await origin.arrived(1);
    controller.abort();
    expect(failureOf(await pending)).toBe('aborted');
    await expect.poll(() => origin.openConnections).toBe(0);
  });

  test('in the body ends reading and the connection', async () => {
    const { origin, fetch } = await setUp(huge(1e12, 'chunked'), { maxBodyBytes: 1e13 });
    const controller = new AbortController();
    const { body } = response(await fetch({}, controller.signal));
    const failing = bodyFailure(body);
    controller.abort();
    expect(await failing).toBe('aborted');
    await expect.poll(() => origin.openConnections).toBe(0);
  });

  test('of a call that nobody waited for when it was made costs no connection, kept or new', async () => {
    const { origin, fetch } = await setUp(answer(200, {}, 'x'), { maxConnections: 1 });
    const gone = { whenGone: (end: () => void) => end() };
    expect(await fetch(gone)).toMatchObject({ failure: 'aborted', attempts: 0 });
    await read(response(await fetch()).body);
    expect(await fetch(gone)).toMatchObject({ failure: 'aborted', attempts: 0 });
    await read(response(await fetch()).body);
    expect(origin.requests.map((request) => request.requestOnConnection)).toEqual([1, 2]);
    expect(origin.connections).toBe(1);
  });

  test('of a waiting call leaves the slot to the next', async () => {
    const { origin, fetch } = await setUp(silent, { maxConnections: 1 });
    const first = new AbortController();
    const holding = fetch({}, first.signal);
    await origin.arrived(1);
    const second = new AbortController();
    const waiting = fetch({}, second.signal);
    const third = fetch();
    second.abort();
    expect(failureOf(await waiting)).toBe('aborted');
    origin.script(ok);
    first.abort();
    expect(failureOf(await holding)).toBe('aborted');
    expect(response(await third).status).toBe(200);
  });

  test('by cancel, before or during reading, ends the connection', async () => {
    const { origin, fetch } = await setUp(huge(1e12, 'chunked'), { maxBodyBytes: 1e13 });
    response(await fetch()).body.cancel();
    const { body } = response(await fetch());
    for await (const part of body.chunks()) {
      expect(part.length).toBeGreaterThan(0);
      break;
    }
    await expect.poll(() => origin.openConnections).toBe(0);
  });
});

describe('connections', () => {
  test('that are refused fail as connect, unknown hosts as dns', async () => {
    const origin = await startOrigin(ok);
    const port = origin.port;
    await origin.close();
    const upstreams = new Map([
      ['api', upstreamConfig(`http://127.0.0.1:${port}`)],
      ['nowhere', upstreamConfig('http://no-such-host.invalid')],
    ]);
    await using client = createUpstreamClient({ upstreams, clock: systemClock, version: '1' });
    const { signal } = new AbortController();
    expect(failureOf(await client.fetch(callOf({}), signal))).toBe('connect');
    const elsewhere = callOf({ canonical: { ...callOf({}).canonical, upstream: 'nowhere' } });
    expect(failureOf(await client.fetch(elsewhere, signal))).toBe('dns');
  });

  test('that are reset before an answer fail as reset', async () => {
    const { origin, fetch } = await setUp((_request, peer) => peer.reset());
    expect(failureOf(await fetch())).toBe('reset');
    // The connection was new: the request may have been acted upon, and it was not a stale connection's fault.
    expect(origin.requests).toHaveLength(1);
  });

  test('are kept and used again', async () => {
    const { origin, fetch } = await setUp(ok, { maxConnections: 1 });
    for (let count = 0; count < 3; count++) await read(response(await fetch()).body);
    expect([origin.connections, origin.requests.length]).toEqual([1, 3]);
  });

  test('that were kept and are reset at the next request are replaced by a new one, once (trap 3)', async () => {
    const { origin, fetch } = await setUp(resetSecond, { maxConnections: 1 });
    await read(response(await fetch()).body);
    expect(await read(response(await fetch()).body)).toBe('x');
    expect(origin.requests.map((request) => request.connection)).toEqual([1, 1, 2]);
  });

  test('that fail again at the second try are given up', async () => {
    const script = inTurn(ok, (_request, peer) => peer.reset());
    const { origin, fetch } = await setUp(script, { maxConnections: 1 });
    await read(response(await fetch()).body);
    expect(failureOf(await fetch())).toBe('reset');
    expect(origin.requests).toHaveLength(3);
  });

  test.each<[string, (origin: Origin) => void]>([
    ['are reset', (origin) => origin.resetAll()],
    ['bring what is no answer', (origin) => origin.sendAll('\0\u{1}\u{2}')],
    ['bring an answer that nobody asked for', (origin) => origin.sendAll(whole('late'))],
    ['are ended', (origin) => origin.endAll()],
  ])('that %s while a request waits for them are replaced, and nothing was sent on them', async (_how, end) => {
    const { origin, fetch } = await setUp(ok, { maxConnections: 1 });
    await read(response(await fetch()).body);
    // Behind the phase of the loop in which bytes come: what is dispatched now waits for them first.
    await turnEnd();
    end(origin);
    const received = response(await fetch());
    expect([await read(received.body), received.attempts]).toEqual(['{"a":1}', 1]);
    expect(origin.requests.map((request) => request.connection)).toEqual([1, 2]);
  });

  test('that end after the first byte of an answer are not tried again', async () => {
    const { origin, fetch } = await setUp(
      inTurn(ok, async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nX-Par');
        peer.end();
      }),
      { maxConnections: 1 },
    );
    await read(response(await fetch()).body);
    expect(failureOf(await fetch())).toBe('reset');
    expect(origin.requests).toHaveLength(2);
  });
});

describe('secrets', () => {
  const credentials = {
    query: new Map([['apikey', 'K3Y/v+lue']]),
    headers: new Map([['authorization', 'Bearer t0k3n-xyz']]),
  };

  test('are taken out of fields, raw and encoded', async () => {
    const fields = {
      Location: 'https://customer.example//v1?apikey=K3Y%2Fv%2Blue&x=1',
      'X-Cache-Key': '/w?apikey=K3Y/v+lue',
      'X-Token': 'you sent t0k3n-xyz',
    };
    const { fetch } = await setUp(answer(303, fields, ''), { credentials });
    const received = response(await fetch());
    expect(received.fields.slice(0, 3)).toEqual([
      ['location', 'https://customer.example//v1?apikey=***&x=1'],
      ['x-cache-key', '/w?apikey=***'],
      ['x-token', 'you sent ***'],
    ]);
  });

  test('are taken out of text bodies, also where they are spread over chunks; the length stays true', async () => {
    const { fetch } = await setUp(
      async (_request, peer) => {
        await peer.write('HTTP/1.1 429 Too Many\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n');
        for (const part of ['{"id":"K3', 'Y/v+l', 'ue","K3Y/v":"rest"', '}']) await peer.write(part);
      },
      { credentials },
    );
    const { body } = response(await fetch());
    expect(body.length).toBe(30);
    expect((await read(body)).slice(0, 30)).toBe('{"id":"*********","K3Y/v":"res');
  });

  test('never reach a failure', async () => {
    const { fetch } = await setUp((_request, peer) => peer.write('HTTP/1.1 200 K3Y/v+lue\r\nK3Y/v+lue\r\n\r\n'), {
      credentials,
    });
    expect(JSON.stringify(await fetch())).not.toContain('K3Y');
  });
});
