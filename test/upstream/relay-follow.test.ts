import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';

import type { RelayedHead, RelayTap } from '../../src/cache/handled.ts';
import type { RelayPlan } from '../../src/cache/relay-types.ts';
import type { UpstreamConfig } from '../../src/core/config.ts';
import type { FieldLines } from '../../src/core/fields.ts';
import { FakeClock } from '../support/clock.ts';
import { answer, chunk, huge, lastChunk, startOrigin, truncated, type OriginScript } from '../support/origin.ts';
import { cacheOffRoute } from '../support/relay-route.ts';
import { rawClient, startRelayHost, type RelayHostOptions } from '../support/relay-host.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

async function setUp(
  script: OriginScript,
  plan: Partial<RelayPlan>,
  more: { readonly config?: Partial<UpstreamConfig>; readonly clock?: RelayHostOptions['clock'] } = {},
) {
  const origin = await startOrigin(script);
  open.push(origin);
  const config = upstreamConfig(origin.url, more.config);
  const host = await startRelayHost({ config, plan, ...(more.clock === undefined ? {} : { clock: more.clock }) });
  open.push(host);
  return { origin, host };
}

const post = 'POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi';

const headOnly: OriginScript = async (_request, peer) => {
  await peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
};

const hinting: OriginScript = async (_request, peer) => {
  await peer.write('HTTP/1.1 100 Continue\r\n\r\n');
  await peer.write('HTTP/1.1 103 Early Hints\r\nLink: </S3CRET>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n');
  await peer.write('HTTP/1.1 102 Processing\r\n\r\n');
  await peer.respond(200, {}, 'done');
};

const tagging: OriginScript = async (_request, peer) => {
  await peer.write('HTTP/1.1 103 Early Hints\r\nSurrogate-Key: a\r\nLink: </a>\r\nCache-Tag: b\r\n\r\n');
  await peer.respond(200, {}, 'done');
};

const manyInterims: OriginScript = async (_request, peer) => {
  for (let count = 0; count < 17; count += 1) await peer.write('HTTP/1.1 102 Processing\r\n\r\n');
  await peer.respond(200, {}, 'done');
};

/** Hears an answer as something that stores it would. */
class Listener implements RelayTap {
  heard = '';
  readonly ends: boolean[] = [];

  chunk(bytes: Uint8Array): void {
    this.heard += Buffer.from(bytes).toString();
  }

  end(complete: boolean): void {
    this.ends.push(complete);
  }
}

describe('what follows the head of a relayed answer', () => {
  test('is told its status, its end-to-end fields without secrets, and both times', async () => {
    const clock = new FakeClock();
    const heads: RelayedHead[] = [];
    const script: OriginScript = (_request, peer) => {
      clock.advance(1500);
      const fields = { Connection: 'X-Hop', 'X-Hop': '1', 'X-Key': 'S3CRET', Location: '/made' };
      return peer.respond(201, fields, 'made');
    };
    const { host } = await setUp(
      script,
      { onHead: (head) => (heads.push(head), { ready: undefined, tap: undefined }) },
      { clock, config: { credentials: { query: new Map(), headers: new Map([['x-key', 'S3CRET']]) } } },
    );
    const sentMs = clock.nowMs();
    using client = await rawClient(host.port, post);
    await client.ended;
    expect(heads).toEqual([
      {
        status: 201,
        fields: [
          ['x-key', '***'],
          ['location', '/made'],
          ['content-length', '4'],
        ],
        requestTimeMs: sentMs,
        responseTimeMs: sentMs + 1500,
      },
    ]);
  });

  test('holds the head back until what the answer made invalid is gone', async () => {
    const { promise: ready, resolve: settle } = Promise.withResolvers<void>();
    let told = 0;
    const onHead: RelayPlan['onHead'] = () => ((told += 1), { ready, tap: undefined });
    const { host } = await setUp(answer(200, {}, 'done'), { onHead });
    using client = await rawClient(host.port, post);
    await expect.poll(() => told).toBe(1);
    // Whatever was on its way would have come with a later request on the same host.
    await rawClient(host.port, 'BAD\r\n\r\n').then((other) => other.ended);
    expect(client.received).toBe('');
    settle();
    await client.ended;
    expect(client.received).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\ndone$/);
  });

  test('holds up upstream, too, while it holds the head back, so that content takes bounded memory', async () => {
    const { promise: ready, resolve: settle } = Promise.withResolvers<void>();
    const total = 48 * 1024 * 1024;
    const sent = { bytes: 0 };
    const script = huge(total, 'content-length', (bytes) => (sent.bytes = bytes));
    const { host } = await setUp(script, { onHead: () => ({ ready, tap: undefined }) });
    using client = await rawClient(host.port, 'GET /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    // As much as the kernel takes has left when nothing has for a while.
    let before = -1;
    while (sent.bytes === 0 || sent.bytes !== before) {
      before = sent.bytes;
      await delay(150);
    }
    expect(sent.bytes).toBeLessThan(total / 2);
    settle();
    await client.ended;
    expect(sent.bytes).toBe(total);
    expect(client.received.length).toBeGreaterThan(total);
  });

  test('is not timed as upstream’s silence while it holds the head back', async () => {
    const clock = new FakeClock();
    const { promise: ready, resolve: settle } = Promise.withResolvers<void>();
    let told = 0;
    const onHead: RelayPlan['onHead'] = () => ((told += 1), { ready, tap: undefined });
    const { host } = await setUp(answer(200, {}, 'done'), { onHead }, { clock });
    using client = await rawClient(host.port, post);
    await expect.poll(() => told).toBe(1);
    clock.advance(24 * 3_600_000);
    settle();
    await client.ended;
    expect(client.received).toMatch(/ 200 OK\r\n[^]*done$/);
    expect(host.results.map(({ failure }) => failure)).toEqual([undefined]);
  });

  test('an answer that breaks off while it is held back is a 502', async () => {
    const { promise: ready, resolve: settle } = Promise.withResolvers<void>();
    const tap = new Listener();
    let told = 0;
    const onHead: RelayPlan['onHead'] = () => ((told += 1), { ready, tap });
    const { host, origin } = await setUp(truncated('content-length', 'rst'), { onHead });
    using client = await rawClient(host.port, post);
    await expect.poll(() => told).toBe(1);
    await expect.poll(() => origin.openConnections).toBe(0);
    settle();
    await client.ended;
    expect(client.received).toMatch(/^HTTP\/1\.1 502 /);
    await expect.poll(() => tap.ends).toEqual([false]);
    expect(tap.heard).toBe('');
  });

  test('a client that goes while its answer is held back ends the call', async () => {
    const { promise: ready, resolve: settle } = Promise.withResolvers<void>();
    const tap = new Listener();
    let told = 0;
    const onHead: RelayPlan['onHead'] = () => ((told += 1), { ready, tap });
    const { host, origin } = await setUp(headOnly, { onHead });
    using client = await rawClient(host.port, post);
    await expect.poll(() => told).toBe(1);
    client.socket.resetAndDestroy();
    await host.ended(1);
    settle();
    await expect.poll(() => origin.openConnections).toBe(0);
    await expect.poll(() => tap.ends).toEqual([false]);
    expect(host.results.map(({ aborted }) => aborted)).toEqual([true]);
    expect(host.uncaught).toEqual([]);
  });

  test.each([
    ['with a length', answer(200, {}, 'content'), true],
    [
      'in chunks',
      async (_request, peer) => {
        await peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
        for (const part of [chunk('con'), chunk('tent'), lastChunk]) await peer.write(part);
      },
      true,
    ],
    // A reset may have cut it without a sign (RFC 9112 §8).
    ['that ends with its connection', truncated('close', 'fin', 'content'), false],
    ['that breaks off in chunks', truncated('chunked', 'fin', 'content'), false],
    ['that is shorter than it says', truncated('content-length', 'fin', 'content'), false],
  ] satisfies readonly (readonly [string, OriginScript, boolean])[])(
    'hears the content %s, and whether it is whole',
    async (_what, script, complete) => {
      const tap = new Listener();
      const { host } = await setUp(script, { onHead: () => ({ ready: undefined, tap }) });
      using client = await rawClient(host.port, post);
      await client.ended;
      await expect.poll(() => tap.ends).toEqual([complete]);
      expect(tap.heard).toBe('content');
    },
  );
});

describe('interim responses to a relayed request (RFC 9110 §15.2)', () => {
  test('are given on as they come, end-to-end fields only, without secrets; 100 is of the hop', async () => {
    const heard: (readonly [number, FieldLines])[] = [];
    const { host } = await setUp(
      hinting,
      { onInterim: (status, fields) => void heard.push([status, fields]) },
      { config: { credentials: { query: new Map([['key', 'S3CRET']]), headers: new Map() } } },
    );
    using client = await rawClient(host.port, post);
    await client.ended;
    expect(heard).toEqual([
      [103, [['link', '</***>']]],
      [102, []],
    ]);
    expect(client.received).toMatch(/^HTTP\/1\.1 200 OK/);
  });

  test('are given on without the fields that name tags for the route', async () => {
    const heard: FieldLines[] = [];
    const route = { ...cacheOffRoute, tagsFrom: ['surrogate-key', 'cache-tag'] } as const;
    const { host } = await setUp(tagging, { route, onInterim: (_status, fields) => void heard.push(fields) });
    using client = await rawClient(host.port, post);
    await client.ended;
    expect(heard).toEqual([[['link', '</a>']]]);
  });

  test('are 16 at most, further ones are dropped', async () => {
    let heard = 0;
    const { host } = await setUp(manyInterims, { onInterim: () => void (heard += 1) });
    using client = await rawClient(host.port, post);
    await client.ended;
    expect(heard).toBe(16);
    expect(client.received).toContain('done');
  });
});

describe('content that was collected already', () => {
  test('goes upstream in place of the request’s, with its length', async () => {
    const { origin, host } = await setUp((request, peer) => peer.respond(200, {}, request.body), {
      content: Buffer.from('{"query":"mutation"}'),
    });
    using client = await rawClient(
      host.port,
      'POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    );
    await client.ended;
    expect(client.received).toMatch(/\{"query":"mutation"\}$/);
    const [request] = origin.requests;
    expect([request?.field('content-length'), request?.field('transfer-encoding')]).toEqual(['20', undefined]);
    expect(request?.field('content-type')).toBe('application/json');
    expect(origin.requests).toHaveLength(1);
  });

  test('that is larger than content may be is a 413', async () => {
    const { origin, host } = await setUp(answer(200), { content: Buffer.alloc(11), maxBodyBytes: 10 });
    using client = await rawClient(host.port, post);
    await client.ended;
    expect(client.received).toMatch(/^HTTP\/1\.1 413 /);
    expect(origin.requests).toEqual([]);
  });
});
