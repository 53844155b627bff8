import { brotliCompressSync, deflateSync, gunzipSync, gzipSync, constants, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { encoders } from '../support/encoders.ts';
import { get, head, startStage, type StageOptions } from '../support/hostile.ts';
import { chunk, lastChunk, type OriginScript } from '../support/origin.ts';

const secret = 'k3y-s3cr3t-1234567890';
const stars = '*'.repeat(secret.length);
const upstream = 'credentials: { query: { apikey: "${KEY}" } }';
const staged = (script: OriginScript, more: Partial<StageOptions> = {}) =>
  startStage({ script, upstream, env: { KEY: secret }, ...more });

/** Of each kind of route: by its rule, by upstream's word, relayed. */
const kinds = ['c', 'h', 'r'] as const;
/** Those that could pass on what a client asks for of codings and parts. */
const open = ['h', 'r'] as const;

const echoed = `{"next":"/list?page=2&apikey=${secret}"}`;
const clean = `{"next":"/list?page=2&apikey=${stars}"}`;

const coders: ReadonlyMap<string, (body: Buffer) => Buffer> = new Map([
  ['gzip', (body) => gzipSync(body)],
  ['deflate', (body) => deflateSync(body)],
  ['br', (body) => brotliCompressSync(body)],
  ['zstd', (body) => zstdCompressSync(body)],
]);

function coded(names: string, text: string): Buffer {
  let body: Buffer = Buffer.from(text);
  for (const name of names.split(', ')) body = coders.get(name)?.(body) ?? body;
  return body;
}

describe('Echoes of the proxy’s own credentials: content codings', () => {
  it.each(['gzip', 'deflate', 'br', 'zstd', 'gzip, br'])(
    'a 200 in %s that nobody asked for → without coding, masked, for every client and from store',
    async (coding) => {
      await using stage = await staged((_request, peer) =>
        peer.respond(
          200,
          {
            'Content-Type': 'application/json',
            'Content-Encoding': coding,
            'Cache-Control': 'max-age=600',
            'Content-Digest': 'sha-256=:AAAA:',
            'Accept-Ranges': 'bytes',
            Vary: 'Accept-Encoding',
            ETag: '"v1"',
          },
          coded(coding, echoed),
        ),
      );
      for (const kind of kinds) {
        for (const accepted of ['gzip, deflate, br, zstd', 'identity', 'identity;q=0, *']) {
          const { replies } = await stage.converse(get(`/${kind}/x`, `Accept-Encoding: ${accepted}`));
          const [reply] = replies;
          expect([kind, reply?.status, reply?.text]).toEqual([kind, 200, clean]);
          const field = (name: string): string | undefined => reply?.field(name);
          expect([field('content-encoding'), field('content-digest')]).toEqual([undefined, undefined]);
          // Ranges of what is stored can be had from the proxy.
          expect(field('accept-ranges')).toBe(kind === 'r' ? undefined : 'bytes');
          expect([field('vary'), field('etag')]).toEqual(['Accept-Encoding', 'W/"v1"']);
        }
      }
      // What the client would take makes no difference to upstream, and so none in the store.
      expect(stage.asked().filter((target) => target.startsWith('/h/'))).toHaveLength(1);
      await stage.sound();
    },
  );

  it.each(['compress', 'dcb', 'x-unheard-of', 'gzip, gzip, gzip, gzip, gzip'])(
    'a 200 in %s, which cannot be taken off → 502',
    async (coding) => {
      await using stage = await staged((_request, peer) =>
        peer.respond(200, { 'Content-Type': 'application/json', 'Content-Encoding': coding }, coded(coding, echoed)),
      );
      for (const kind of kinds) {
        const { replies, rest } = await stage.converse(get(`/${kind}/x`));
        expect([kind, replies.map(({ status }) => status), rest.length]).toEqual([kind, [502], 0]);
      }
      await stage.sound();
    },
  );

  it('a Content-Encoding that names a charset → masked as it is', async () => {
    await using stage = await staged((_request, peer) =>
      peer.respond(200, { 'Content-Type': 'application/json', 'Content-Encoding': 'UTF-8' }, echoed),
    );
    for (const kind of kinds) {
      const { replies } = await stage.converse(get(`/${kind}/x`));
      expect([kind, replies.map(({ text }) => text)]).toEqual([kind, [clean]]);
    }
  });

  it.each(open)(
    'a client of /%s that asks for codings and parts → upstream is asked for the plain whole',
    async (kind) => {
      await using stage = await staged((_request, peer) => peer.respond(200, { 'Content-Type': 'text/plain' }, echoed));
      const lines = ['Accept-Encoding: br', 'accept-encoding: gzip', 'Range: bytes=0-3', 'If-Range: "v"', 'A-IM: gzip'];
      for (const asked of [lines, []]) {
        for (const method of ['GET', 'HEAD', 'POST']) {
          const more = method === 'POST' ? ['Content-Length: 2'] : [];
          const text = head(`${method} /${kind}/x HTTP/1.1`, 'Host: a', 'Connection: close', ...asked, ...more);
          const { replies } = await stage.converse(method === 'POST' ? `${text}hi` : text, { methods: [method] });
          expect([method, replies.map(({ status }) => status)]).toEqual([method, [200]]);
        }
      }
      expect(stage.origin.requests).toHaveLength(6);
      for (const request of stage.origin.requests) {
        const sent = request.lines.filter(([name]) => /^(?:accept-encoding|range|if-range|a-im)$/i.test(name));
        expect(sent.map(([, value]) => value)).toEqual(['identity']);
      }
    },
  );

  it.each(open)('a HEAD on /%s of what is coded → the fields of the GET', async (kind) => {
    await using stage = await staged((_request, peer) =>
      peer.write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: 42\r\nETag: "v1"\r\n\r\n',
      ),
    );
    const asked = head(`HEAD /${kind}/x HTTP/1.1`, 'Host: a', 'Connection: close');
    const [reply] = (await stage.converse(asked, { methods: ['HEAD'] })).replies;
    expect([reply?.status, reply?.field('etag')]).toEqual([200, 'W/"v1"']);
    expect([reply?.field('content-encoding'), reply?.field('content-length')]).toEqual([undefined, undefined]);
  });

  it.each(open)(
    'a client of /%s that has the decoded form and asks again → 304 that confirms its tag',
    async (kind) => {
      await using stage = await staged((request, peer) =>
        request.field('if-none-match') === 'W/"v1"'
          ? peer.respond(304, { ETag: '"v1"' })
          : peer.respond(
              200,
              { 'Content-Encoding': 'gzip', ETag: '"v1"', 'Cache-Control': 'no-store' },
              gzipSync(echoed),
            ),
      );
      const [first] = (await stage.converse(get(`/${kind}/x`))).replies;
      const tag = first?.field('etag') ?? '';
      const [second] = (await stage.converse(get(`/${kind}/x`, `If-None-Match: ${tag}`))).replies;
      expect([first?.text, tag, second?.status, second?.field('etag')]).toEqual([clean, 'W/"v1"', 304, 'W/"v1"']);
    },
  );

  it('a coded stream of events on a relayed route → each event as it comes', async () => {
    const over = Promise.withResolvers<void>();
    await using stage = await staged(async (_request, peer) => {
      await peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n');
      await peer.write('Transfer-Encoding: chunked\r\n\r\n');
      await peer.write(chunk(gzipSync(`data: ${secret}\n\n`, { finishFlush: constants.Z_SYNC_FLUSH })));
      await over.promise;
    });
    using connection = await stage.open();
    await connection.send(get('/r/events'));
    await expect.poll(() => connection.received.toString('latin1')).toContain(`data: ${stars}\n\n`);
    over.resolve();
  });
});

describe('Echoes of the proxy’s own credentials: parts', () => {
  const half = echoed.indexOf(secret) + 10;
  const ranged: OriginScript = (request, peer) => {
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.field('range') ?? '') ?? [];
    if (request.field('range') === undefined) return peer.respond(200, { 'Content-Type': 'application/json' }, echoed);
    const part = echoed.slice(Number(from), to === '' ? undefined : Number(to) + 1);
    const fields = {
      'Content-Type': 'application/json',
      'Content-Range': `bytes ${from}-${to || echoed.length - 1}/${echoed.length}`,
    };
    return peer.respond(206, fields, part);
  };

  it.each(open)('the two halves of a credential by Range on /%s → the whole, masked, each time', async (kind) => {
    await using stage = await staged(ranged);
    for (const range of [`bytes=0-${half - 1}`, `bytes=${half}-`]) {
      const { replies } = await stage.converse(get(`/${kind}/x`, `Range: ${range}`));
      expect(replies.map(({ status, text }) => [status, text])).toEqual([[200, clean]]);
    }
  });

  it.each(kinds)('a 206 on /%s that nobody asked for → 502', async (kind) => {
    await using stage = await staged((_request, peer) =>
      peer.respond(
        206,
        { 'Content-Type': 'text/plain', 'Content-Range': `bytes 0-9/${secret.length}` },
        secret.slice(0, 10),
      ),
    );
    for (const lines of [[], ['Range: bytes=0-9'], ['Range: bytes=0-9', 'Cookie: a=1']]) {
      const { replies, rest } = await stage.converse(get(`/${kind}/x`, ...lines));
      expect([replies.map(({ status }) => status), rest.length]).toEqual([[502], 0]);
      expect(replies[0]?.text).not.toContain(secret.slice(0, 10));
    }
    await stage.sound();
  });

  it('Range on routes of an upstream without credentials → upstream sees it, the client its 206', async () => {
    await using stage = await startStage({ script: ranged });
    for (const kind of open) {
      const { replies } = await stage.converse(get(`/${kind}/x`, 'Range: bytes=0-3', 'Accept-Encoding: br'));
      expect(replies.map(({ status, text }) => [status, text])).toEqual([[206, echoed.slice(0, 4)]]);
      expect(stage.origin.requests.at(-1)?.field('accept-encoding')).toBe('br');
    }
  });
});

describe('Echoes of the proxy’s own credentials: as encoders write them', () => {
  const key = 'Zm9v+YmFy&YmF6/cXV4==';
  const types = ['application/json', 'application/octet-stream'];

  it.each([...encoders])('a value as it comes from %s → masked in content and fields', async (_name, encode) => {
    const spelt = encode(key);
    await using stage = await staged(
      async (request, peer) => {
        const type = types.find((one) => request.target.includes(one));
        await peer.write(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nX-Echo: k=${spelt}!\r\n`);
        await peer.write('Transfer-Encoding: chunked\r\n\r\n');
        // Cut within what stands for one character, wherever there is such.
        const at = Math.max(spelt.search(/[%&\\]/), 3) + 2;
        for (const piece of [`k=${spelt.slice(0, at)}`, `${spelt.slice(at)}!`]) await peer.write(chunk(piece));
        await peer.write(lastChunk);
      },
      { env: { KEY: key } },
    );
    for (const kind of kinds) {
      for (const type of types) {
        const [reply] = (await stage.converse(get(`/${kind}/${type}`))).replies;
        const expected = `k=${'*'.repeat(spelt.length)}!`;
        expect([kind, type, reply?.text, reply?.field('x-echo')]).toEqual([kind, type, expected, 'k=***!']);
      }
    }
  });
});

describe('Echoes of the proxy’s own credentials: several that have bytes in common', () => {
  it.each([
    [
      'begins with',
      'acme-prod-9f8e7d6c5b4a',
      ['bad key acme-prod', '-9f8e7d6c5b4a!'],
      'bad key **********************!',
    ],
    ['has within it', 'x9-acme-prod-9f8e', ['bad key x9-acme-prod', '-9f8e!'], 'bad key *****************!'],
    ['begins with the end of', 'prod-9f8e7d6c', ['bad key acme-prod', '-9f8e7d6c!'], 'bad key ******************!'],
  ])(
    'a value that %s another, the content cut behind that → every byte of both masked',
    async (_how, key, pieces, masked) => {
      await using stage = await staged(
        async (_request, peer) => {
          await peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n');
          await peer.write(`X-Echo: ${pieces.join('')}\r\n\r\n`);
          for (const piece of pieces) {
            await peer.write(chunk(piece));
            await new Promise((resolve) => void setTimeout(resolve, 50));
          }
          await peer.write(lastChunk);
        },
        {
          upstream: 'credentials: { query: { user: acme-prod, apikey: "${KEY}" } }',
          env: { KEY: key },
        },
      );
      for (const kind of kinds) {
        const [reply] = (await stage.converse(get(`/${kind}/x`))).replies;
        expect([kind, reply?.text, reply?.field('x-echo')]).toEqual([kind, masked, 'bad key ***!']);
      }
      await stage.sound();
    },
  );
});

describe('Echoes of the proxy’s own credentials: types of content', () => {
  it.each([
    'application/x-ndjson',
    'application/ndjson',
    'application/jsonl',
    'application/jsonlines',
    'application/json-seq',
    'application/geo+json-seq',
    'application/csv',
    'application/graphql',
    'application/protobuf',
    'application/octet-stream',
    'application/pdf',
    'image/png',
    'multipart/mixed; boundary=b',
    'no/type/at all',
  ])('content of type %s → masked, all other bytes as they came', async (type) => {
    const before = Buffer.from([0x89, 0, 255, 254, 13, 10, 26]);
    const behind = Buffer.from([0, 1, 2, 128, 255]);
    await using stage = await staged((_request, peer) =>
      peer.respond(200, { 'Content-Type': type }, Buffer.concat([before, Buffer.from(echoed), behind])),
    );
    for (const kind of kinds) {
      const { replies } = await stage.converse(get(`/${kind}/x`));
      expect(replies.map(({ body }) => body)).toEqual([Buffer.concat([before, Buffer.from(clean), behind])]);
    }
  });

  it('content without a type, coded or not → masked', async () => {
    await using stage = await staged((request, peer) =>
      request.target.includes('coded')
        ? peer.respond(200, { 'Content-Encoding': 'gzip' }, gzipSync(echoed))
        : peer.respond(200, {}, echoed),
    );
    for (const kind of kinds) {
      for (const path of ['plain', 'coded']) {
        const { replies } = await stage.converse(get(`/${kind}/${path}`));
        expect([kind, path, replies.map(({ text }) => text)]).toEqual([kind, path, [clean]]);
      }
    }
  });

  it('a coded answer of an upstream without credentials → byte for byte as it came', async () => {
    await using stage = await startStage({
      script: (_request, peer) => peer.respond(200, { 'Content-Encoding': 'gzip', ETag: '"v1"' }, gzipSync(echoed)),
    });
    for (const kind of open) {
      const [reply] = (await stage.converse(get(`/${kind}/x`, 'Accept-Encoding: gzip'))).replies;
      expect([reply?.field('content-encoding'), reply?.field('etag')]).toEqual(['gzip', '"v1"']);
      expect(gunzipSync(reply?.body ?? Buffer.alloc(0)).toString()).toBe(echoed);
    }
  });
});
