import { describe, expect, it } from 'vitest';

import { ParsedRequests, read, warm } from '../support/fast-lane.ts';
import { head, startStage, told } from '../support/hostile.ts';
import { samples } from '../support/metrics.ts';

const host = 'Host: api.test';
const known = head('GET /c/known HTTP/1.1', host);

interface Outcome {
  readonly text: string;
  /** Bytes that came behind the answer. */
  readonly left: number;
  readonly asked: readonly string[];
}

/** What comes of the pieces, each sent in a packet of its own behind a known head. */
async function outcomeOf(pieces: readonly string[]): Promise<Outcome> {
  await using stage = await startStage();
  using parsed = new ParsedRequests(stage.url);
  using connection = await stage.open();
  await warm(connection, parsed, known);
  for (const piece of pieces) {
    await connection.send(piece);
    await read();
  }
  const { text } = await connection.reply();
  await read();
  await stage.sound();
  return { text, left: connection.received.length, asked: stage.asked() };
}

/** Of what is read as one request with that piece at its head. */
function asOne(first = ''): Outcome {
  return { text: told(first.startsWith('POST') ? 'POST' : 'GET', '/r/x'), left: 0, asked: ['/c/known', '/r/x'] };
}

describe('Known heads where they are no requests', () => {
  it.each<[input: string, pieces: readonly string[]]>([
    ['as content of a known length', [head('POST /r/x HTTP/1.1', host, `Content-Length: ${known.length}`), known]],
    [
      'as a chunk of content',
      [
        head('POST /r/x HTTP/1.1', host, 'Transfer-Encoding: chunked'),
        `${known.length.toString(16)}\r\n`,
        known,
        '\r\n0\r\n\r\n',
      ],
    ],
    [
      'as two halves of content',
      [head('POST /r/x HTTP/1.1', host, `Content-Length: ${2 * known.length}`), known, known],
    ],
    ['as a field value that the packet before began', ['GET /r/x HTTP/1.1\r\nX-Value: ', known]],
  ])('%s, in a packet of its own → read as what it is, one answer, none from store', async (_input, pieces) => {
    expect(await outcomeOf(pieces)).toEqual(asOne(pieces[0]));
  });

  it('behind half a request line → 400 and the end, no answer from store', async () => {
    await using stage = await startStage();
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await warm(connection, parsed, known);
    await connection.send('GET /r/');
    await read();
    await connection.send(known);
    expect((await connection.reply()).status).toBe(400);
    await connection.ended();
    expect(connection.received).toHaveLength(0);
    await stage.sound();
  });

  it('behind a request that is answered before its content has come → content, no request', async () => {
    await using stage = await startStage({
      // Answers at once, and reads on.
      script: (request, peer) => peer.respond(200, {}, request.target),
      server: 'limits: { maxBodyBytes: 10KiB }',
    });
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await warm(connection, parsed, known);
    await connection.send(head('POST /r/x HTTP/1.1', host, 'Content-Length: 1000000'));
    expect((await connection.reply()).status).toBe(413);
    await connection.send(known);
    await connection.ended();
    expect(connection.received).toHaveLength(0);
    await stage.sound();
  });

  it('thousands of heads that come once each → each parsed, and a known one stays known', async () => {
    await using stage = await startStage();
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await warm(connection, parsed, known);
    const before = parsed.count;
    for (let index = 0; index < 2000; index += 1) {
      await connection.send(head('GET /c/known HTTP/1.1', host, `X: ${index}`));
      await connection.reply();
    }
    expect(parsed.count - before).toBe(2000);
    await connection.send(known);
    await connection.reply();
    expect(parsed.count - before).toBe(2000);
    await stage.sound();
  });
});

/** With a target that nobody has sent, and with what is known to be behind one. */
const unknown = head('GET /c/unknown HTTP/1.1', host);

describe('New targets where they are no requests', () => {
  it.each<[input: string, pieces: readonly string[]]>([
    ['as content of a known length', [head('POST /r/x HTTP/1.1', host, `Content-Length: ${unknown.length}`), unknown]],
    [
      'as a chunk of content',
      [
        head('POST /r/x HTTP/1.1', host, 'Transfer-Encoding: chunked'),
        `${unknown.length.toString(16)}\r\n`,
        unknown,
        '\r\n0\r\n\r\n',
      ],
    ],
    ['as a field value that the packet before began', ['GET /r/x HTTP/1.1\r\nX-Value: ', unknown]],
  ])('%s, in a packet of its own → read as what it is, nothing is asked for', async (_input, pieces) => {
    expect(await outcomeOf(pieces)).toEqual(asOne(pieces[0]));
  });

  it('behind half a request line → 400 and the end, nothing is asked for', async () => {
    await using stage = await startStage();
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await warm(connection, parsed, known);
    await connection.send('GET /r/');
    await read();
    await connection.send(unknown);
    expect((await connection.reply()).status).toBe(400);
    await connection.ended();
    expect(connection.received).toHaveLength(0);
    expect(stage.asked()).toEqual(['/c/known']);
    await stage.sound();
  });

  it.each<[input: string, target: string]>([
    ['a line end and a second head in the target', `/c/a HTTP/1.1\r\n${host}\r\n\r\nGET /c/b`],
    ['a line end and a field in the target', '/c/a HTTP/1.1\r\nX-Tenant: a\r\nX-Rest: '],
    ['a bare CR in the target', '/c/a\rb'],
    ['a bare LF in the target', '/c/a\nb'],
    ['a space in the target', '/c/a b'],
    ['a NUL in the target', '/c/a\0b'],
  ])('%s → what the parser makes of it, the same on a fresh connection', async (_input, target) => {
    const answers: string[] = [];
    const asked: (readonly string[])[] = [];
    for (const isWarm of [true, false]) {
      await using stage = await startStage();
      using parsed = new ParsedRequests(stage.url);
      using connection = await stage.open();
      if (isWarm) await warm(connection, parsed, known);
      const before = stage.asked().length;
      await connection.send(head(`GET ${target} HTTP/1.1`, host));
      await read();
      // A client that has ended gets no more of what it has asked for.
      await expect.poll(async () => (await samples(stage.admin)).get('forecache_requests_in_flight')).toBe(0);
      await read();
      connection.socket.end();
      await connection.ended();
      answers.push(connection.received.toString('latin1').replaceAll(/\r\ndate: [^\r]*/gi, ''));
      asked.push(stage.asked().slice(before));
      await stage.sound();
    }
    expect(answers[0]).toBe(answers[1]);
    expect(asked[0]).toEqual(asked[1]);
  });

  it('thousands of fields behind them that come once each → each parsed, and a known tail stays known', async () => {
    await using stage = await startStage();
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await warm(connection, parsed, known);
    const before = parsed.count;
    for (let index = 0; index < 2000; index += 1) {
      await connection.send(head('GET /c/known HTTP/1.1', host, `X: ${index}`));
      await connection.reply();
    }
    expect(parsed.count - before).toBe(2000);
    // Waited for, as it is not there.
    await connection.send(unknown);
    expect((await connection.reply()).text).toBe(told('GET', '/c/unknown'));
    expect(parsed.count - before).toBe(2000);
    await connection.send(unknown);
    await connection.reply();
    expect(parsed.count - before).toBe(2000);
    await stage.sound();
  });
});
