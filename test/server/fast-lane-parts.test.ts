import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { ProxyResponse, Repeat } from '../../src/cache/ports.ts';
import type { RequestRecord } from '../../src/core/outcome.ts';
import { AnswerWriter, isRepeatable, repeatsOf } from '../../src/server/fast-lane-answer.ts';
import { type HeadFacts, KnownHeads, SeenHeads } from '../../src/server/fast-lane-heads.ts';
import { chunkOf, KnownTails } from '../../src/server/fast-lane-tails.ts';
import { keepAliveReserveMs, toldKeepAliveMs } from '../../src/server/keep-alive.ts';
import { metaOfHit, ofTail as tailOf } from '../support/fast-lane.ts';
import { head } from '../support/hostile.ts';
import { openRaw } from '../support/raw.ts';

const date = ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'] as const;

function response(parts: Partial<ProxyResponse> = {}): ProxyResponse {
  const bytes = Buffer.from('{"a":1}');
  return {
    status: 200,
    fields: [date, ['content-length', '7']],
    body: { kind: 'bytes', bytes },
    meta: metaOfHit,
    ...parts,
  };
}

function sized(size: number): ProxyResponse {
  const bytes = Buffer.alloc(size, 'x');
  return response({ body: { kind: 'bytes', bytes }, fields: [date, ['content-length', String(size)]] });
}

/** What `node:http` sends for it. */
async function sentByNode(answer: ProxyResponse, method: string, keepAliveMs: number): Promise<string> {
  const server = createServer({ keepAliveTimeout: keepAliveMs }, (_req, res) => {
    res.writeHead(answer.status, answer.fields.flat());
    res.end(answer.body.kind === 'bytes' ? answer.body.bytes : undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  using connection = await openRaw(`http://127.0.0.1:${address.port}`);
  await connection.send(head(`${method} / HTTP/1.1`, 'Host: a'));
  const reply = await connection.reply(method);
  return `${reply.head}\r\n${reply.body.toString('latin1')}`;
}

/** With Age and `ttl`, which each answer that can be repeated has. */
function labelled(answer: ProxyResponse): ProxyResponse {
  return { ...answer, fields: [['age', '12'], ...answer.fields, ['cache-status', 'forecache; hit; ttl=345']] };
}

function repeatOf(age: number, ttl: number): Repeat {
  const at = () => ({ ageSeconds: age, ttlSeconds: ttl, sinceMs: 0, untilMs: 0, lastMs: 0 });
  return { ageLine: 0, ttlFrom: 'forecache; hit; ttl='.length, madeOf: undefined, at, again: () => true };
}

function written(answer: ProxyResponse, keepAliveMs: number): string {
  const repeat = repeatOf(12, 345);
  const wire = new AnswerWriter({ keepAliveMs }).wireOf(answer, repeat);
  expect(wire.turnTo(0, repeat)).toBe(true);
  return wire.first.toString('latin1') + (wire.rest?.deref()?.toString('latin1') ?? '');
}

describe('The bytes of an answer', () => {
  it.each<[string, ProxyResponse, string, number]>([
    ['with content', response(), 'GET', 5000],
    ['with less than a second of keep-alive', response(), 'GET', 900],
    ['without a keep-alive timeout', response(), 'GET', 0],
    ['of a status without a name', response({ status: 299 }), 'GET', 5000],
    [
      'with bytes that are no ASCII',
      response({ fields: [date, ['x-a', 'ÿ\tz'], ['content-length', '7']] }),
      'GET',
      5000,
    ],
    [
      'with a field twice',
      response({ fields: [['set-cookie', 'a'], ['set-cookie', 'b'], date, ['content-length', '7']] }),
      'GET',
      5000,
    ],
    ['to HEAD', response({ body: { kind: 'none' } }), 'HEAD', 5000],
    ['to HEAD without a length', response({ body: { kind: 'none' }, fields: [date] }), 'HEAD', 5000],
    ['304', response({ status: 304, body: { kind: 'none' }, fields: [date, ['etag', '"a"']] }), 'GET', 5000],
    ['204', response({ status: 204, body: { kind: 'none' }, fields: [date] }), 'GET', 5000],
    [
      'of no content',
      response({ body: { kind: 'bytes', bytes: Buffer.alloc(0) }, fields: [date, ['content-length', '0']] }),
      'GET',
      5000,
    ],
  ])('%s are those of node:http', async (_what, answer, method, keepAliveMs) => {
    const whole = labelled(answer);
    expect(isRepeatable(method, whole)).toBe(true);
    expect(written(whole, keepAliveMs)).toBe(await sentByNode(whole, method, keepAliveMs));
  });

  it('are made once for each repeat', () => {
    const writer = new AnswerWriter({ keepAliveMs: 5000 });
    const repeat = repeatOf(1, 1);
    const small = labelled(sized(16_384));
    expect(writer.wireOf(small, repeat)).toBe(writer.wireOf(small, repeat));
    expect(new AnswerWriter({ keepAliveMs: 5000 }).wireOf(small, repeat)).toBe(repeat.madeOf);
  });

  it.each<[string, ProxyResponse, string]>([
    ['without a date', response({ fields: [['content-length', '7']] }), 'GET'],
    ['without a length', response({ fields: [date] }), 'GET'],
    ['with another length', response({ fields: [date, ['content-length', '8']] }), 'GET'],
    ['with two lengths', response({ fields: [date, ['content-length', '7'], ['content-length', '7']] }), 'GET'],
    ['without content that has to have some', response({ body: { kind: 'none' } }), 'GET'],
    ['with content that must not have any', response({ status: 304 }), 'GET'],
    ['to HEAD with content', response(), 'HEAD'],
    ['to POST', response(), 'POST'],
    ['that is interim', response({ status: 103, body: { kind: 'none' } }), 'GET'],
    [
      'that is streamed',
      response({ body: { kind: 'stream', chunks: none(), length: 7, cancel: () => undefined } }),
      'GET',
    ],
    ...['connection', 'Keep-Alive', 'transfer-encoding', 'trailer', 'upgrade', 'expect', 'content-disposition'].map(
      (name): [string, ProxyResponse, string] => [
        `with ${name}`,
        response({ fields: [date, [name, 'x'], ['content-length', '7']] }),
        'GET',
      ],
    ),
  ])('%s are left to node:http', (_what, answer, method) => {
    expect(isRepeatable(method, answer)).toBe(false);
  });
});

async function* none(): AsyncGenerator<Buffer> {
  yield Buffer.alloc(7);
}

function known(): HeadFacts {
  const repeat = repeatOf(1, 1);
  const wire = new AnswerWriter({ keepAliveMs: 5000 }).wireOf(labelled(response()), repeat);
  const asked = { method: 'GET', traceId: undefined, listener: 'default' };
  return { repeat, wire, ...asked, status: 200, meta: metaOfHit, repeats: undefined };
}

describe('Known heads', () => {
  it('that nobody asks for while others come are forgotten', () => {
    const heads = new KnownHeads(100_000);
    heads.remember(Buffer.from('cold'), known());
    for (let index = 0; index < 1000; index += 1) heads.remember(Buffer.from(`GET /flood/${index} HTTP/1.1`), known());
    expect(heads.find(Buffer.from('cold'))).toBeUndefined();
  });

  it('that are forgotten are gone, and remembered twice count once', () => {
    const heads = new KnownHeads(100_000);
    for (let round = 0; round < 5000; round += 1) heads.remember(Buffer.from('same'), known());
    expect(heads.size).toBe(1);
    for (let index = 0; index < 10; index += 1) heads.remember(Buffer.from(`GET /flood/${index} HTTP/1.1`), known());
    expect(heads.find(Buffer.from('same'))).toBeDefined();
    const same = heads.find(Buffer.from('same'));
    if (same !== undefined) heads.forget(same);
    expect(heads.find(Buffer.from('same'))).toBeUndefined();
  });

  it('are told apart by each byte, also where no hash looks at it', () => {
    const text = `GET /a HTTP/1.1\r\nHost: a\r\nX: ${'0123456789'.repeat(150)}\r\n\r\n`;
    const heads = new KnownHeads(100_000);
    const one = known();
    heads.remember(Buffer.from(text), one);
    expect(heads.find(Buffer.from(text))?.wire).toBe(one.wire);
    for (let index = 0; index < text.length; index += 1) {
      const other = Buffer.from(text);
      other[index] = (other[index] ?? 0) ^ 1;
      expect(heads.find(other)).toBeUndefined();
    }
    expect(heads.find(Buffer.from(text.slice(1)))).toBeUndefined();
    expect(heads.find(Buffer.from(`${text} `))).toBeUndefined();
  });

  it('are all known when hundreds differ in a few characters of a long request line', () => {
    for (const before of [0, 40, 85, 90, 100, 200, 1000]) {
      const heads = new KnownHeads(10_000_000);
      const all = Array.from({ length: 200 }, (_none, index) =>
        Buffer.from(
          `GET /${'a'.repeat(before)}?page=${String(index).padStart(3, '0')}&b=${'b'.repeat(100)} HTTP/1.1\r\n\r\n`,
        ),
      );
      for (const one of all) heads.remember(one, known());
      expect(all.filter((one) => heads.find(one) !== undefined)).toHaveLength(200);
    }
  });

  it('are known four at a time where they are alike in all that is hashed, the latest ones', () => {
    const heads = new KnownHeads(10_000_000);
    // More of them than words are hashed behind the request line: nine of ten places are not.
    const alike = Array.from({ length: 400 }, (_none, index) => {
      const one = Buffer.from(`GET /a HTTP/1.1\r\nX: ${'x'.repeat(4000)}\r\n\r\n`);
      one[20 + 10 * index] = 0x79;
      return one;
    });
    for (const one of alike) heads.remember(one, known());
    const found = alike.filter((one) => heads.find(one) !== undefined);
    expect(found.length).toBeLessThan(60);
    expect(heads.size).toBe(found.length);
    for (const one of found) {
      const kept = heads.find(one);
      if (kept !== undefined) heads.forget(kept);
      expect(heads.find(one)).toBeUndefined();
      // To forget twice is to forget.
      if (kept !== undefined) heads.forget(kept);
    }
    expect([heads.size, heads.bytes]).toEqual([0, 0]);
  });

  it('are kept as they were when they were remembered', () => {
    const heads = new KnownHeads(100_000);
    const given = Buffer.from('GET /a HTTP/1.1');
    heads.remember(given, known());
    given.fill(0);
    expect(heads.find(Buffer.from('GET /a HTTP/1.1'))).toBeDefined();
  });
});

const parts = (url: string, ...rawHeaders: string[]) => ({ url, rawHeaders });

describe('Heads that were seen', () => {
  it('are told from those that come once', () => {
    const seen = new SeenHeads();
    expect(seen.again(parts('/a', 'Host', 'x'))).toBe(false);
    expect(seen.again(parts('/a', 'Host', 'x'))).toBe(true);
    expect(seen.again(parts('/a', 'Host', 'y'))).toBe(false);
    expect(seen.again(parts('/b', 'Host', 'x'))).toBe(false);
    expect(seen.again(parts('/a', 'host', 'x'))).toBe(false);
  });

  it('are all told when some hundreds come in turn', () => {
    const seen = new SeenHeads();
    const heads = Array.from({ length: 200 }, (_none, index) => parts(`/item/${index}`, 'Host', 'x'));
    for (const one of heads) seen.again(one);
    expect(heads.filter((one) => seen.again(one))).toHaveLength(200);
  });

  it('are mistaken for each other in less than one of a thousand', () => {
    const seen = new SeenHeads();
    let wrong = 0;
    for (let index = 0; index < 100_000; index += 1) if (seen.again(parts(`/item/${index}`, 'Host', 'x'))) wrong += 1;
    expect(wrong).toBeLessThan(100);
  });
});

describe('What is behind the target of a head', () => {
  const text = `GET /a HTTP/1.1\r\nHost: a\r\nX: ${'0123456789'.repeat(20)}\r\n\r\n`;

  it('is known for any target, and by each of its bytes', () => {
    const tails = new KnownTails();
    tails.remember(Buffer.from(text), '/a', tailOf);
    const from = text.indexOf(' ', 4);
    for (const target of ['/', '/a', '/b?c=d', `/${'x'.repeat(300)}`]) {
      const found = tails.find(Buffer.from(text.replace('/a', target)));
      expect(found?.bytes.toString()).toBe(text.slice(from));
    }
    for (let index = from; index < text.length; index += 1) {
      const other = Buffer.from(text);
      other[index] = (other[index] ?? 0) ^ 1;
      expect(tails.find(other)).toBeUndefined();
    }
    expect(tails.find(Buffer.from(text.slice(0, -1)))).toBeUndefined();
    expect(tails.find(Buffer.from(`${text} `))).toBeUndefined();
    expect(tails.find(Buffer.from(text.replace('GET', 'PUT')))).toBeUndefined();
    expect(tails.find(Buffer.from(text.replace('/a', 'a')))).toBeUndefined();
    expect(tails.find(Buffer.from('GET /nothing-behind-it'))).toBeUndefined();
  });

  it('makes with the target all bytes of the head once more, whatever is given to the parser for it', () => {
    const tails = new KnownTails();
    const first = text.replace('X: 0', 'X: \u00ff\t');
    tails.remember(Buffer.from(first, 'latin1'), '/a', tailOf);
    for (const target of ['/', '/a', '/%c3%a9?~=[]|', `/${'x'.repeat(300)}`]) {
      const given = Buffer.from(first.replace('/a', target), 'latin1');
      const found = tails.find(given);
      expect(found && chunkOf(found, target)).toEqual(given);
    }
  });

  it('is kept as it was, once', () => {
    const tails = new KnownTails();
    const given = Buffer.from(text);
    for (let round = 0; round < 3; round += 1) tails.remember(given, '/a', tailOf);
    const found = tails.find(given);
    given.fill(0);
    expect(tails.find(Buffer.from(text))).toBe(found);
  });

  it.each([
    ['with another target than the parser has told of', text, '/b'],
    ['of no path', text.replace('/a', '*'), '*'],
    ['of another version', text.replace('/1.1', '/1.0'), '/a'],
    ['with two spaces before it', text.replace(' HTTP', '  HTTP'), '/a'],
    ['of another method', text.replace('GET', 'HEAD'), '/a'],
  ])('is not kept %s', (_what, head_, target) => {
    const tails = new KnownTails();
    tails.remember(Buffer.from(head_), target, tailOf);
    expect(tails.find(Buffer.from(head_))).toBeUndefined();
    expect(tails.find(Buffer.from(text))).toBeUndefined();
  });

  it('gives way to one that comes where it was not asked for since the last one came', () => {
    const tails = new KnownTails();
    const all = Array.from({ length: 3000 }, (_none, index) => Buffer.from(text.replace('X: 0', `X: ${index}`)));
    for (const one of all.slice(0, 1000)) tails.remember(one, '/a', tailOf);
    const late = all.slice(1000);
    let kept = 0;
    for (const one of late) {
      tails.remember(one, '/a', tailOf);
      if (tails.find(one) === undefined) tails.remember(one, '/a', tailOf);
      if (tails.find(one) !== undefined) kept += 1;
    }
    expect(kept).toBe(late.length);
  });
});

describe('What clients are told of the keep-alive timeout', () => {
  it.each([
    [65_000, 64_000],
    [2000, 1000],
    [1000, 500],
    [3, 2],
  ])('of %i ms leaves some to the server', (keepAliveMs, told) => {
    expect(toldKeepAliveMs(keepAliveMs)).toBe(told);
    expect(toldKeepAliveMs(keepAliveMs) + keepAliveReserveMs(keepAliveMs)).toBe(keepAliveMs);
  });
});

describe('whom the sendings of an answer are told', () => {
  it('is asked once for each listener in turn, with a record like theirs', () => {
    const asked: string[] = [];
    const observer = {
      repeats: ({ listener, bytesSent, outcome }: RequestRecord) => {
        asked.push(`${listener} ${bytesSent} ${outcome}`);
        return { repeated: () => {} };
      },
    };
    const answer = labelled(response());
    const text = new AnswerWriter({ keepAliveMs: 5000 }).textOf(answer);
    if (text === undefined) throw new Error('no text');
    const request = {
      method: 'GET',
      path: '/',
      query: undefined,
      host: 'a',
      absolute: false,
      fields: [],
      hasContent: false,
    };
    for (const listener of ['one', 'one', 'two', 'one'])
      repeatsOf({ observer }, { ...request, listener }, answer, text);
    expect(asked).toEqual(['one 7 hit', 'two 7 hit', 'one 7 hit']);
  });
});
