import {
  array,
  assert as assertProperty,
  asyncProperty,
  constantFrom,
  integer,
  nat,
  oneof,
  record,
  string,
  tuple,
  uint8Array,
  type Arbitrary,
} from 'fast-check';
import { describe, expect, it } from 'vitest';
import { echo, get, head, startStage } from '../support/hostile.ts';
import { type Conversation, type RawEnd, readReplies } from '../support/raw.ts';

/** What parsers stumble over. */
const tokens = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '"',
  '\\',
  '%',
  '%00',
  '%2e%2e',
  '..',
  '/',
  '//',
  '?',
  '#',
  '@',
  '|',
  '\x7f',
  '\x80',
  '\xff',
  '\x0b',
  '{',
  '}',
  '<',
  '0',
  '-1',
  '+',
  '0x',
  '99999999999999999999',
  'HTTP/1.1',
  'HTTP/0.9',
  'http://',
  'Host: a\r\n',
  'Content-Length: 3\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: x\r\n',
  'Connection: close\r\n',
  'Connection: upgrade\r\nUpgrade: websocket\r\n',
  'Expect: 100-continue\r\n',
  'Range: bytes=0-\r\n',
  'If-None-Match: *\r\n',
  'Cookie: a\r\n',
  '0\r\n\r\n',
  '\r\n\r\n',
  'GET ',
  'POST ',
  '__proto__',
  'a'.repeat(300),
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  '304',
  '204',
  'Content-Encoding: gzip\r\n',
  'Vary: *\r\n',
  'Vary: a\r\n',
  'Cache-Control: max-age=9\r\n',
  'Set-Cookie: a\r\n',
  'ETag: "a"\r\n',
];

interface Edit {
  readonly what: 'insert' | 'delete' | 'replace' | 'double' | 'cut';
  /** Where, of the whole length, in thousandths. */
  readonly at: number;
  readonly size: number;
  readonly token: string;
}

const edit: Arbitrary<Edit> = record({
  what: constantFrom('insert', 'delete', 'replace', 'double', 'cut'),
  at: nat(1000),
  size: integer({ min: 1, max: 12 }),
  token: oneof(constantFrom(...tokens), string({ unit: 'binary-ascii', maxLength: 4 })),
});

function edited(text: string, { what, at, size, token }: Edit): string {
  const index = Math.floor((text.length * at) / 1000);
  const [before, after] = [text.slice(0, index), text.slice(index)];
  switch (what) {
    case 'insert':
      return before + token + after;
    case 'delete':
      return before + after.slice(size);
    case 'replace':
      return before + token + after.slice(token.length);
    case 'double':
      return before + after.slice(0, size * 8) + after;
    case 'cut':
      return before;
  }
}

function mutated(bases: readonly string[]): Arbitrary<Buffer> {
  return tuple(constantFrom(...bases), array(edit, { minLength: 1, maxLength: 4 })).map(([base, edits]) =>
    Buffer.from(edits.reduce(edited, base), 'latin1'),
  );
}

const requests = [
  get('/c/x?a=1'),
  get('/h/x', 'Accept: a', 'User-Agent: b', 'Accept-Language: c'),
  get('/r/x'),
  get('http://localhost/c/x'),
  head('HEAD /c/x HTTP/1.1', 'Host: api.test', 'Connection: close'),
  head('GET /c/x HTTP/1.0', 'Connection: keep-alive'),
  head('GET /c/1 HTTP/1.1', 'Host: a') + get('/h/2'),
  `${head('POST /r/x HTTP/1.1', 'Host: a', 'Content-Length: 5')}abcde${get('/c/x')}`,
  `${head('POST /r/x HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\n\r\n${get('/c/x')}`,
  get('/c/x', 'Range: bytes=0-3', 'If-Range: "a"', 'If-None-Match: "a", W/"b"', 'Cache-Control: no-cache'),
  get('/h/x', 'Cookie: a=b', 'Authorization: Basic YQ=='),
  head(
    'GET /r/ws HTTP/1.1',
    'Host: a',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ),
];

const requestBytes = oneof(
  { weight: 8, arbitrary: mutated(requests) },
  { weight: 1, arbitrary: uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
);

const responses = [
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n5\r\n{"ok"\r\n6\r\n:true}\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"ok":true}',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nVary: Accept\r\nETag: "a"\r\nCache-Control: max-age=9, private="x"\r\n\r\nab',
  'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 302 Found\r\nLocation: /c/y\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nExpires: Mon, 23 Nov 2099 12:00:00 GMT\r\n\r\nno',
  'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nab',
  'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x02\x00\x6d\x48\x83\x9e\x02\x00\x00\x00',
];

const upstreamBytes = record({
  bytes: mutated(responses),
  end: constantFrom('fin', 'rst', 'stay'),
  kind: constantFrom('c', 'h', 'r'),
});

const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, statusTtl: { 404: 1m } }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, ttl: 10m }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;

/** The request line and field lines of a correct request; our own origin reads more than that. */
const sentHead = /^[A-Z-]+ \/[!-~]* HTTP\/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\u0080-\u00ff]*\r\n)+$/;

describe('Fuzzing', () => {
  it('2000 mutated requests and random bytes, twenty connections at once → each connection ends, answers are strictly framed, upstream gets correct requests alone, the probe is served beside them', async () => {
    await using stage = await startStage({ routes });
    const seen = new Map<number, number>();
    await assertProperty(
      asyncProperty(array(requestBytes, { minLength: 20, maxLength: 20, size: 'max' }), async (cases) => {
        const connections = await Promise.all(cases.map(() => stage.open()));
        await Promise.all(connections.map((connection, index) => connection.send(cases[index] ?? '')));
        // Served while they are open, which also gives them time to be answered.
        await stage.sound();
        for (const [index, connection] of connections.entries()) {
          connection.socket.end();
          // Rejects where the connection stays open.
          const end = await connection.ended();
          connection[Symbol.dispose]();
          // Throws where an answer is not what a sender may send.
          const { replies } = readAnswers(cases[index] ?? Buffer.alloc(0), connection.received, end);
          for (const { status } of replies) {
            expect(status).toBeLessThan(500);
            seen.set(status, (seen.get(status) ?? 0) + 1);
          }
        }
      }),
      { seed: 20_261_123, numRuns: 100, endOnFailure: true },
    );
    for (const request of stage.origin.requests) expect(request.rawHead).toMatch(sentHead);
    // The cases reach both the parser's refusals and what lies behind it.
    expect(seen.get(400)).toBeGreaterThan(400);
    expect(seen.get(200)).toBeGreaterThan(200);
    expect(stage.asked().length).toBeGreaterThan(100);
  }, 60_000);

  it('500 mutated answers of upstream → each request is answered or cut, nothing incomplete is stored, the probe is served in between', async () => {
    // Short, for the cases in which upstream's answer lacks an end.
    await using stage = await startStage({ routes, upstream: 'timeout: 100ms' });
    let cases = 0;
    await assertProperty(
      asyncProperty(upstreamBytes, async ({ bytes, end, kind }) => {
        cases += 1;
        const target = `/${kind}/fuzz/${cases}`;
        stage.origin.script(async (request, peer) => {
          if (request.target.startsWith('/probe/')) return echo(request, peer);
          await peer.write(bytes);
          if (end === 'fin') peer.end();
          if (end === 'rst') peer.reset();
          return undefined;
        });
        const { replies } = await stage.converse(get(target));
        expect(replies.length).toBeLessThanOrEqual(1);
        const stored = (await stage.stored()).filter((key) => key.includes(`/fuzz/${cases}`));
        expect([target, stored.length === 0 || isWhole(bytes)]).toEqual([target, true]);
        if (cases % 25 === 0) await stage.sound();
      }),
      { seed: 20_261_124, numRuns: 500, endOnFailure: true },
    );
    await stage.sound();
  }, 60_000);
});

/** A HEAD that is refused for its form is answered with content: what method it has is not known then. */
function readAnswers(request: Buffer, bytes: Buffer, end: RawEnd): Omit<Conversation, 'end'> {
  const atEnd = end === 'fin';
  if (!request.includes('HEAD ')) return readReplies(bytes, { atEnd });
  try {
    return readReplies(bytes, { atEnd, methods: Array.from({ length: 9 }, () => 'HEAD') });
  } catch {
    return readReplies(bytes, { atEnd });
  }
}

/** Whether the bytes hold a whole answer by their own framing; what this reader is too strict for is not judged. */
function isWhole(bytes: Buffer): boolean {
  try {
    return readReplies(bytes, { atEnd: false }).replies.length > 0;
  } catch {
    return true;
  }
}
