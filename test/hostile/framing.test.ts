import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, head, startStage, told, type Stage } from '../support/hostile.ts';

/** Behind each attack comes a whole second request: whoever reads the first one wrongly answers it or sends it upstream. */
const smuggled = get('/r/smuggled');
const post = (...lines: readonly string[]): string => head('POST /r/x HTTP/1.1', 'Host: api.test', ...lines);
const chunked = (content: string): string => post('Transfer-Encoding: chunked') + content;

let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

/** What came of an attack: the answers, what else was sent, and what of it reached upstream. */
async function outcomeOf(bytes: string): Promise<unknown> {
  const before = stage.asked().length;
  const { replies, rest } = await stage.converse(bytes);
  return {
    answers: replies.map((reply) => [reply.status, reply.field('content-type'), reply.field('cache-control')]),
    rest: rest.toString('latin1'),
    upstream: stage.asked().slice(before),
  };
}

/** One problem that nobody may store, and nothing else. */
function refusedWith(status: number): unknown {
  return { answers: [[status, 'application/problem+json', 'no-store']], rest: '', upstream: [] };
}

describe('Request smuggling: content framed twice or wrongly', () => {
  it.each<[input: string, bytes: string]>([
    ['two Content-Length lines that differ', `${post('Content-Length: 0', 'Content-Length: 44')}${smuggled}`],
    ['two Content-Length lines that agree', `${post('Content-Length: 3', 'Content-Length: 3')}abc${smuggled}`],
    ['a Content-Length that is a list', `${post('Content-Length: 3, 3')}abc${smuggled}`],
    ['a Content-Length with a plus', `${post('Content-Length: +3')}abc${smuggled}`],
    ['a Content-Length below zero', `${post('Content-Length: -3')}abc${smuggled}`],
    ['a Content-Length in hexadecimal', `${post('Content-Length: 0x3')}abc${smuggled}`],
    ['a Content-Length with a fraction', `${post('Content-Length: 3.0')}abc${smuggled}`],
    ['a Content-Length with a space inside', `${post('Content-Length: 1 3')}abc${smuggled}`],
    ['a Content-Length past 2^64', `${post('Content-Length: 18446744073709551619')}abc${smuggled}`],
    ['an empty Content-Length', `${post('Content-Length:')}${smuggled}`],
    [
      'Content-Length and Transfer-Encoding',
      `${post('Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n${smuggled}`,
    ],
    [
      'Transfer-Encoding and Content-Length',
      `${post('Transfer-Encoding: chunked', 'Content-Length: 5')}0\r\n\r\n${smuggled}`,
    ],
    ['chunked twice on one line', `${post('Transfer-Encoding: chunked, chunked')}0\r\n\r\n${smuggled}`],
    ['chunked on two lines', `${post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}0\r\n\r\n${smuggled}`],
    ['chunked, then identity', `${post('Transfer-Encoding: chunked, identity')}0\r\n\r\n${smuggled}`],
    [
      'a coding before chunked that nobody takes off',
      `${post('Transfer-Encoding: gzip, chunked')}0\r\n\r\n${smuggled}`,
    ],
    ['Transfer-Encoding: identity', `${post('Transfer-Encoding: identity')}${smuggled}`],
    ['Transfer-Encoding: xchunked', `${post('Transfer-Encoding: xchunked')}0\r\n\r\n${smuggled}`],
    ['Transfer-Encoding: chunked with a parameter', `${post('Transfer-Encoding: chunked;q=1')}0\r\n\r\n${smuggled}`],
    ['Transfer-Encoding: "chunked" in quotes', `${post('Transfer-Encoding: "chunked"')}0\r\n\r\n${smuggled}`],
    ['a vertical tab before chunked', `${post('Transfer-Encoding: \x0bchunked')}0\r\n\r\n${smuggled}`],
    ['a no-break space before chunked', `${post('Transfer-Encoding: \xa0chunked')}0\r\n\r\n${smuggled}`],
    ['an empty Transfer-Encoding', `${post('Transfer-Encoding:')}0\r\n\r\n${smuggled}`],
    ['Transfer-Encoding with a space before the colon', `${post('Transfer-Encoding : chunked')}0\r\n\r\n${smuggled}`],
    ['Content-Length with a space before the colon', `${post('Content-Length : 3')}abc${smuggled}`],
    ['chunked content in HTTP/1.0', `${head('POST /r/x HTTP/1.0', 'Transfer-Encoding: chunked')}0\r\n\r\n${smuggled}`],
  ])('%s → 400 and the connection closed, nothing upstream', async (_input, bytes) => {
    expect(await outcomeOf(bytes)).toEqual(refusedWith(400));
    await stage.sound();
  });

  it('GET and HEAD with content on a cached route → 400 and the connection closed, the content never read as a request', async () => {
    for (const method of ['GET', 'HEAD']) {
      for (const target of ['/c/x', '/h/x']) {
        const asked = stage.asked();
        const request = head(`${method} ${target} HTTP/1.1`, 'Host: api.test', `Content-Length: ${smuggled.length}`);
        const { replies, rest } = await stage.converse(request + smuggled, { methods: [method] });
        expect(replies.map((reply) => reply.status)).toEqual([400]);
        expect(rest).toHaveLength(0);
        expect(stage.asked()).toEqual(asked);
      }
    }
    await stage.sound();
  });

  it('a request behind correctly framed content → answered as the second one, each upstream as it was sent', async () => {
    const before = stage.origin.requests.length;
    const content = '0\r\n\r\nGET /r/inner HTTP/1.1\r\n\r\n';
    const { replies } = await stage.converse(post(`Content-Length: ${content.length}`) + content + get('/r/second'));
    expect(replies.map((reply) => reply.text)).toEqual([told('POST', '/r/x'), told('GET', '/r/second')]);
    const seen = stage.origin.requests.slice(before);
    // Side by side, each on a connection of its own.
    expect(Object.fromEntries(seen.map((one) => [one.target, one.body.toString()]))).toEqual({
      '/r/x': content,
      '/r/second': '',
    });
    expect(seen).toHaveLength(2);
  });
});

describe('Request smuggling: chunks', () => {
  it.each<[input: string, bytes: string]>([
    ['a chunk size with 0x', chunked(`0x3\r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a chunk size with a plus', chunked(`+3\r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a chunk size below zero', chunked(`-3\r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a chunk size past 2^64', chunked(`10000000000000003\r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['an empty chunk size', chunked(`\r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a space before the chunk size', chunked(` 3\r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a space behind the chunk size', chunked(`3 \r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a chunk size ended by LF alone', chunked(`3\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a chunk extension with LF in it', chunked(`3;a\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a chunk extension with CR in it', chunked(`3;a\rb\r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a chunk longer than its size', chunked(`2\r\nabc\r\n0\r\n\r\n${smuggled}`)],
    ['a chunk ended by LF alone', chunked(`3\r\nabc\n0\r\n\r\n${smuggled}`)],
    ['a last chunk ended by LF alone', chunked(`3\r\nabc\r\n0\n\n${smuggled}`)],
    ['an endless chunk extension', chunked(`3;${'a'.repeat(64 * 1024)}\r\nabc\r\n0\r\n\r\n${smuggled}`)],
  ])(
    '%s → the connection closed, no second request upstream, what was begun there broken off',
    async (_input, bytes) => {
      const before = stage.origin.requests.length;
      const { replies, rest } = await stage.converse(bytes);
      // The head was relayed already; whether its answer is a 400 of the parser or a 502 of the relay is timing.
      expect(replies.length).toBeLessThanOrEqual(1);
      for (const reply of replies) expect([400, 413, 502]).toContain(reply.status);
      expect(rest).toHaveLength(0);
      // The origin counts complete requests alone.
      expect(stage.origin.requests.slice(before).map((one) => one.target)).toEqual([]);
      await stage.sound();
    },
  );

  it.each(['Content-Length: 99', 'Transfer-Encoding: chunked', 'Host: evil.test', 'X: a\rb', 'X y: z', ' folded'])(
    'a trailer section with %j → either dropped or the connection closed, never upstream',
    async (line) => {
      const before = stage.origin.requests.length;
      const content = `3\r\nabc\r\n0\r\n${line}\r\n\r\n`;
      const { replies, rest } = await stage.converse(post('Transfer-Encoding: chunked') + content + smuggled);
      expect(rest).toHaveLength(0);
      const seen = stage.origin.requests.slice(before);
      expect(seen.filter((one) => /evil|: 99|trailer|folded|X:/i.test(one.rawHead))).toEqual([]);
      expect(seen.filter((one) => one.target === '/r/x').length).toBeLessThanOrEqual(1);
      expect(replies.length).toBeLessThanOrEqual(2);
      await stage.sound();
    },
  );

  it('chunk extensions and trailers that name credentials and hosts → none of them upstream', async () => {
    const before = stage.origin.requests.length;
    const { replies } = await stage.converse(
      `${post('Transfer-Encoding: chunked', 'Trailer: X-Evil', 'Connection: close')}3;evil="a;b"\r\nabc\r\n0;evil\r\n` +
        'X-Forwarded-Host: evil.test\r\nAuthorization: evil\r\n\r\n',
    );
    expect(replies.map((reply) => reply.status)).toEqual([200]);
    const [seen, ...more] = stage.origin.requests.slice(before);
    expect(more).toEqual([]);
    expect(seen?.body.toString()).toBe('abc');
    expect(seen?.rawHead).not.toMatch(/evil|trailer/i);
    expect(seen?.field('host')).toBe(`127.0.0.1:${stage.origin.port}`);
    await stage.sound();
  });

  it('Transfer-Encoding in another case → framed like chunked, and sent upstream as plain chunked', async () => {
    const before = stage.origin.requests.length;
    const { replies } = await stage.converse(
      `${post('TRANSFER-ENCODING: cHuNkEd', 'Connection: close')}3\r\nabc\r\n0\r\n\r\n`,
    );
    expect(replies.map((reply) => reply.status)).toEqual([200]);
    const [seen] = stage.origin.requests.slice(before);
    expect(seen?.body.toString()).toBe('abc');
    expect(seen?.lines.filter(([name]) => name.toLowerCase() === 'transfer-encoding')).toEqual([
      [expect.any(String), 'chunked'],
    ]);
  });
});

describe('Request smuggling: line ends, folding and other versions', () => {
  it.each<[input: string, bytes: string]>([
    ['lines ended by LF alone', `GET /c/x HTTP/1.1\nHost: api.test\n\n${smuggled}`],
    ['one field line ended by LF alone', `GET /c/x HTTP/1.1\r\nHost: api.test\nX: y\r\n\r\n${smuggled}`],
    ['a request line ended by LF alone', `GET /c/x HTTP/1.1\nHost: api.test\r\n\r\n${smuggled}`],
    ['lines ended by CR alone', `GET /c/x HTTP/1.1\rHost: api.test\r\r${smuggled}`],
    ['a head ended by LF LF', `GET /c/x HTTP/1.1\r\nHost: api.test\n\n${smuggled}`],
    ['a head ended by CR LF LF', `GET /c/x HTTP/1.1\r\nHost: api.test\r\n\n${smuggled}`],
    ['CR inside a value', `GET /c/x HTTP/1.1\r\nHost: api.test\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n${smuggled}`],
    ['CR before the colon', `GET /c/x HTTP/1.1\r\nHost: api.test\r\nX\r: a\r\n\r\n${smuggled}`],
    ['NUL inside a value', `GET /c/x HTTP/1.1\r\nHost: api.test\r\nX: a\0b\r\n\r\n${smuggled}`],
    ['a control character inside a value', `GET /c/x HTTP/1.1\r\nHost: api.test\r\nX: a\x01b\r\n\r\n${smuggled}`],
    ['a folded field value', `POST /r/x HTTP/1.1\r\nHost: api.test\r\nX: a\r\n b\r\n\r\n${smuggled}`],
    [
      'a folded Transfer-Encoding',
      `POST /r/x HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      'a Content-Length folded under another field',
      `POST /r/x HTTP/1.1\r\nHost: api.test\r\nX: a\r\n\tContent-Length: 3\r\n\r\n${smuggled}`,
    ],
    ['a first field line that begins with a space', `GET /c/x HTTP/1.1\r\n Host: api.test\r\n\r\n${smuggled}`],
    ['a field name with a space', `GET /c/x HTTP/1.1\r\nHost: api.test\r\nX Y: a\r\n\r\n${smuggled}`],
    ['a field line without a colon', `GET /c/x HTTP/1.1\r\nHost: api.test\r\nXY\r\n\r\n${smuggled}`],
    ['an empty field name', `GET /c/x HTTP/1.1\r\nHost: api.test\r\n: a\r\n\r\n${smuggled}`],
    ['a field name that is no token', `GET /c/x HTTP/1.1\r\nHost: api.test\r\nX(): a\r\n\r\n${smuggled}`],
    ['a field name in UTF-8', `GET /c/x HTTP/1.1\r\nHost: api.test\r\nX\xc3\xa4: a\r\n\r\n${smuggled}`],
    ['a request line with tabs', `GET\t/c/x\tHTTP/1.1\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['a request line that begins with a space', ` GET /c/x HTTP/1.1\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['a space in the target', `GET /c/x y HTTP/1.1\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['something behind the version', `GET /c/x HTTP/1.1 x\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['a method in lower case', `get /c/x HTTP/1.1\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['a method that nobody knows', `EVIL /c/x HTTP/1.1\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['HTTP/0.9, no version', `GET /c/x\r\n\r\n${smuggled}`],
    ['HTTP/0.9, named', `GET /c/x HTTP/0.9\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['HTTP/1.10', `GET /c/x HTTP/1.10\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['HTTP/2.0 in the request line', `GET /c/x HTTP/2.0\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['the preface of HTTP/2', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${smuggled}`],
    ['http in lower case', `GET /c/x http/1.1\r\nHost: api.test\r\n\r\n${smuggled}`],
    ['a TLS handshake', `\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03${'\0'.repeat(64)}`],
    ['a response', `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n${smuggled}`],
  ])('%s → 400 and the connection closed, nothing upstream', async (_input, bytes) => {
    expect(await outcomeOf(bytes)).toEqual(refusedWith(400));
    await stage.sound();
  });

  it('TRACE, CONNECT and OPTIONS * → 405, 405 and 400, none relayed', async () => {
    expect(await outcomeOf(head('TRACE /r/x HTTP/1.1', 'Host: api.test', 'Cookie: secret'))).toEqual(refusedWith(405));
    await stage.sound();
    expect(await outcomeOf(head('CONNECT evil.test:443 HTTP/1.1', 'Host: evil.test:443') + smuggled)).toEqual(
      refusedWith(405),
    );
    await stage.sound();
    expect(await outcomeOf(head('OPTIONS * HTTP/1.1', 'Host: api.test'))).toEqual(refusedWith(400));
    await stage.sound();
  });

  it('an expectation that nobody knows → 417 and the connection closed', async () => {
    expect(await outcomeOf(post('Content-Length: 3', 'Expect: 200-ok'))).toEqual(refusedWith(417));
    await stage.sound();
  });

  it('Upgrade: h2c → ignored, no word of it upstream, the request answered as HTTP/1.1', async () => {
    for (const route of ['c', 'h', 'r']) {
      const target = `/${route}/switch`;
      const { replies, rest } = await stage.converse(
        head(
          `GET ${target} HTTP/1.1`,
          'Host: api.test',
          'Connection: Upgrade, HTTP2-Settings, close',
          'Upgrade: h2c',
          'HTTP2-Settings: AAMAAABkAAQAAP__',
        ),
      );
      expect(replies.map((reply) => [reply.status, reply.text])).toEqual([[200, told('GET', target)]]);
      expect(rest).toHaveLength(0);
      const seen = stage.origin.requests.find((one) => one.target === target);
      expect(seen?.rawHead).not.toMatch(/upgrade|http2-settings|h2c/i);
    }
    await stage.sound();
  });

  it('a WebSocket handshake that upstream declines, a request behind it → one answer, the connection closed', async () => {
    const before = stage.origin.requests.length;
    const handshake = head(
      'GET /r/ws HTTP/1.1',
      'Host: api.test',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    );
    const { replies, rest } = await stage.converse(handshake + smuggled);
    expect(replies.map((reply) => reply.status)).toEqual([200]);
    expect(rest).toHaveLength(0);
    expect(stage.origin.requests.slice(before).map((one) => one.target)).toEqual(['/r/ws']);
    await stage.sound();
  });

  it('a WebSocket handshake with content → refused, the content never upstream', async () => {
    const before = stage.origin.requests.length;
    for (const framing of [`Content-Length: ${smuggled.length}`, 'Transfer-Encoding: chunked']) {
      const handshake = head(
        'GET /r/ws HTTP/1.1',
        'Host: api.test',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        framing,
      );
      const { replies } = await stage.converse(handshake + smuggled);
      expect(replies).toHaveLength(1);
      expect(replies[0]?.status).toBeGreaterThanOrEqual(400);
    }
    expect(stage.origin.requests.slice(before)).toEqual([]);
    await stage.sound();
  });

  it('a malformed request between two well-formed ones in one packet → the first answered, the second refused, the third not read', async () => {
    const before = stage.origin.requests.length;
    const { replies } = await stage.converse(
      head('GET /c/first HTTP/1.1', 'Host: api.test') + head('GET /c/second HTTP/1.1', 'Host: a', 'Host: b') + smuggled,
    );
    expect(replies.slice(0, 1).map((reply) => reply.text)).toEqual([told('GET', '/c/first')]);
    expect(replies.slice(1).map((reply) => reply.status)).toEqual([400]);
    expect(stage.origin.requests.slice(before).map((one) => one.target)).toEqual(['/c/first']);
    await stage.sound();
  });

  it('two spaces in the request line → read as one, upstream gets a correct request line', async () => {
    const { replies } = await stage.converse(head('GET  /c/spaces  HTTP/1.1', 'Host: api.test', 'Connection: close'));
    expect(replies.map((reply) => reply.status)).toEqual([200]);
    const seen = stage.origin.requests.find((one) => one.target === '/c/spaces');
    expect(seen?.rawHead).toMatch(/^GET \/c\/spaces HTTP\/1\.1\r\n/);
  });

  it('every byte of a request in a packet of its own → read as one request', async () => {
    const bytes = get('/c/bytewise').split('');
    const { replies } = await stage.converse(bytes);
    expect(replies.map((reply) => reply.text)).toEqual([told('GET', '/c/bytewise')]);
  });
});
