import { describe, expect, it } from 'vitest';

import { head, startStage, type Stage } from '../support/hostile.ts';
import { afterInterim, answer, inTurn, type OriginScript } from '../support/origin.ts';

const routes = `
  - name: honoured
    match: /h/*
    upstream: api
    upstreamCacheControl: honour
    forwardHeaders: ["*", cookie]
    storeErrors: all
    storeFields: all
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }`;

function stageOf(script: OriginScript, upstream = 'timeout: 5s'): Promise<Stage> {
  return startStage({ routes, script, upstream });
}

const last = (path = '/h/x', method = 'GET', ...lines: readonly string[]): string =>
  head(`${method} ${path} HTTP/1.1`, 'Host: api.test', 'Connection: close', ...lines);

/** All bytes of the proxy's side of a connection that it closes. */
async function bytesOf(stage: Stage, sent: string): Promise<string> {
  using connection = await stage.open();
  await connection.send(sent);
  await connection.ended();
  return connection.received.toString('latin1');
}

const fresh = { 'Cache-Control': 'max-age=60' };

/** Script: begins to answer, and ends. */
const broken: OriginScript = async (_request, peer) => {
  await peer.write('HTTP/1.1 20');
  peer.end();
};

/** Script: an interim response, and no other. */
const afterwards: OriginScript = async (_request, peer) => {
  await peer.write('HTTP/1.1 103 Early Hints\r\n\r\n');
  peer.reset();
};

describe('an honour route', () => {
  it.each([102, 103, 110, 199])('passes on an interim response of upstream with the status %d', async (status) => {
    await using stage = await stageOf(afterInterim([status], answer(200, fresh, 'content')));
    const text = await bytesOf(stage, last());
    expect(text).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status} [A-Za-z ]+\\r\\nlink: </style\\.css>; rel=preload\\r\\n\\r\\nHTTP/1\\.1 200 `),
    );
    // Neither it nor its fields are stored.
    const stored = await bytesOf(stage, last());
    expect(stored).toMatch(/^HTTP\/1\.1 200 /);
    expect(stored).toContain('forecache; hit;');
    expect(stored).not.toContain('style.css');
  });

  it('passes on interim responses as they come, before upstream has answered', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    await using stage = await stageOf(
      afterInterim([103], async (_request, peer) => {
        await gate;
        await peer.respond(200, fresh, 'content');
      }),
    );
    using connection = await stage.open();
    await connection.send(last());
    await expect.poll(() => connection.received.toString('latin1')).toContain('\r\n\r\n');
    expect(connection.received.toString('latin1')).toMatch(/^HTTP\/1\.1 103 /);
    open();
    expect((await connection.reply()).text).toBe('content');
  });

  it('passes on the head of a stream as it comes, before any of its content', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    await using stage = await stageOf(async (_request, peer) => {
      await peer.write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n',
      );
      await gate;
      await peer.write('8\r\ndata: 1\n\r\n0\r\n\r\n');
    });
    using connection = await stage.open();
    await connection.send(last());
    await expect.poll(() => connection.received.toString('latin1')).toContain('\r\n\r\n');
    expect(connection.received.toString('latin1')).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\n$/);
    open();
    expect((await connection.reply()).text).toBe('data: 1\n');
  });

  it('gives up on an upstream that sends interim responses and nothing else', async () => {
    await using stage = await stageOf((_request, { socket }) => {
      const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 20);
      socket.once('close', () => clearInterval(timer));
    }, 'timeout: 400ms');
    expect((await stage.get('/h/x')).status).toBe(504);
  });

  it('tells a client of HTTP/1.0 the final answer alone', async () => {
    await using stage = await stageOf(afterInterim([103], answer(200, fresh, 'content')));
    expect(await bytesOf(stage, head('GET /h/x HTTP/1.0', 'Host: api.test'))).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('asks for no content that a client expects to be asked for, where there is none', async () => {
    await using stage = await stageOf(afterInterim([103], answer(200, fresh, 'content')));
    const text = await bytesOf(stage, last('/h/x', 'POST', 'Expect: 100-continue', 'Content-Length: 2') + 'ab');
    expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 103 .*HTTP\/1\.1 200 /s);
    expect(stage.origin.requests[0]?.body.toString()).toBe('ab');
  });

  it.each([201, 299, 301, 307, 404, 499, 500, 503, 599])(
    'passes on and stores a response of status %d with explicit freshness, byte for byte',
    async (status) => {
      const fields = {
        ...fresh,
        'Content-Encoding': 'x-made-up',
        'X-Own': ['1', '2'],
        'Server-Base-Url': 'http://a/',
        ETag: 'without-quotes',
        'Clear-Site-Data': '"cookies"',
        'CDN-Cache-Control': 'max-age=60',
        'Set-Cookie': ['a=1', 'b=2'],
      };
      const body = Buffer.from([0, 255, 31, 139, 8, 10, 13]);
      await using stage = await stageOf(answer(status, fields, body));
      const [fetched, stored] = [await stage.converse(last()), await stage.converse(last())];
      expect(stage.origin.requests).toHaveLength(1);
      for (const { replies } of [fetched, stored]) {
        const [reply] = replies;
        expect([reply?.status, reply?.body]).toEqual([status, body]);
        const lines = reply?.lines.map(([name, value]) => `${name}: ${value}`) ?? [];
        for (const [name, value] of Object.entries(fields)) {
          for (const one of [value].flat()) expect(lines).toContain(`${name.toLowerCase()}: ${one}`);
        }
      }
      expect(stored.replies[0]?.field('cache-status')).toContain('forecache; hit');
    },
  );

  it('passes on and stores a status that no class of HTTP has', async () => {
    await using stage = await stageOf(answer(999, fresh, 'content'));
    for (const status of ['fwd=uri-miss; stored', 'hit']) {
      const text = await bytesOf(stage, last());
      expect(text).toMatch(/^HTTP\/1\.1 999 .*content$/s);
      expect(text).toContain(`forecache; ${status}`);
    }
  });

  it('sends the client’s end-to-end fields and query upstream as they are', async () => {
    await using stage = await stageOf(answer(200, {}, 'content'));
    const fields = [
      'Pragma: foo',
      'Cache-Control: nothing-to-see-here',
      'Req-Num: 1',
      'Test-ID: ab-cd',
      'X-Two: 1',
      'X-Two: 2',
    ];
    await stage.converse(last('/h/x?b=%7e&a=1&&a=+', 'GET', ...fields, 'Keep-Alive: 5', 'TE: trailers'));
    const [request] = stage.origin.requests;
    expect(request?.target).toBe('/h/x?b=%7e&a=1&&a=+');
    const lines = request?.lines.map(([name, value]) => `${name.toLowerCase()}: ${value}`) ?? [];
    expect(lines).toEqual(expect.arrayContaining(fields.map((line) => line.replace(/^[^:]+/, (n) => n.toLowerCase()))));
    expect(lines.some((line) => /^(?:keep-alive|te):/.test(line))).toBe(false);
  });

  it('sends a HEAD and conditions upstream, and passes a 304 on without content', async () => {
    await using stage = await stageOf((request, peer) =>
      request.field('if-none-match') === undefined
        ? peer.write('HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\n')
        : peer.write('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'),
    );
    for (let count = 0; count < 2; count += 1) {
      const { replies, rest } = await stage.converse(last('/h/x', 'GET', 'If-None-Match: "1"'));
      expect([replies[0]?.status, replies[0]?.field('etag'), rest.length]).toEqual([304, '"1"', 0]);
    }
    expect(stage.origin.connections).toBe(1);
    const { replies } = await stage.converse(last('/h/x', 'HEAD'), { methods: ['HEAD'] });
    expect([replies[0]?.status, replies[0]?.field('content-length')]).toEqual([200, '7']);
    await stage.converse(last('/h/x', 'GET', 'If-None-Match: "1"'));
    expect(stage.origin.requests.map(({ method }) => method)).toEqual(['GET', 'GET', 'HEAD', 'GET']);
    // Behind a HEAD upstream may send content all the same, which must never be read as the next answer.
    expect(stage.origin.connections).toBe(2);
  });

  it('passes on a part of what is not stored', async () => {
    await using stage = await stageOf(answer(206, { ...fresh, 'Content-Range': 'bytes 1-2/9' }, 'bc'));
    const { replies } = await stage.converse(last('/h/x', 'GET', 'Range: bytes=1-2'));
    expect([replies[0]?.status, replies[0]?.field('content-range'), replies[0]?.text]).toEqual([
      206,
      'bytes 1-2/9',
      'bc',
    ]);
    expect(await stage.stored()).toEqual([]);
  });

  it('asks once only where upstream has begun to answer, and says 502 itself', async () => {
    const first = answer(200, fresh, 'content');
    await using stage = await stageOf(inTurn(first, broken, first, afterwards));
    const seen: (readonly [number, string | undefined])[] = [];
    for (const path of ['/h/1', '/h/2', '/h/3', '/h/4']) {
      const { status, headers } = await stage.get(path);
      seen.push([status, headers['content-type']]);
    }
    const problem = [502, 'application/problem+json'];
    expect(seen).toEqual([[200, undefined], problem, [200, undefined], problem]);
    expect(stage.origin.requests.map(({ target }) => target)).toEqual(['/h/1', '/h/2', '/h/3', '/h/4']);
  });
});

describe('a ruled route', () => {
  it('keeps interim responses to itself', async () => {
    await using stage = await stageOf(afterInterim([103], answer(200, {}, 'content')));
    expect(await bytesOf(stage, last('/c/x'))).toMatch(/^HTTP\/1\.1 200 /);
  });
});
