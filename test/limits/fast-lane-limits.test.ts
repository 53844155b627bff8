import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';

import type { ProxyResponse, Repeat } from '../../src/cache/ports.ts';
import { type AnswerText, AnswerWriter } from '../../src/server/fast-lane-answer.ts';
import { type HeadFacts, KnownHeads } from '../../src/server/fast-lane-heads.ts';
import { MAX_PIECE_BYTES, Piece } from '../../src/server/fast-lane-piece.ts';
import { lanesOf } from '../../src/server/fast-lane-lanes.ts';
import { KnownTails } from '../../src/server/fast-lane-tails.ts';
import { metaOfHit, ofTail, ParsedRequests, warm, warmHead } from '../support/fast-lane.ts';
import { head, startStage } from '../support/hostile.ts';
import { limitHits } from '../support/metrics.ts';

/** A request head of so many bytes. */
function padded(bytes: number): string {
  const bare = head('GET /c/long HTTP/1.1', 'Host: api.test', 'X-Pad: ').length;
  return head('GET /c/long HTTP/1.1', 'Host: api.test', `X-Pad: ${'p'.repeat(bytes - bare)}`);
}

function answer(bytes: number): ProxyResponse {
  return {
    status: 200,
    fields: [
      ['age', '1'],
      ['content-length', String(bytes)],
      ['cache-status', 'forecache; hit; ttl=5'],
    ],
    body: { kind: 'bytes', bytes: Buffer.alloc(bytes, 'x') },
    meta: metaOfHit,
  };
}

const listener = (name: string) => ({ name, host: '127.0.0.1', port: 0 });

const bytes = (index: number): Buffer => Buffer.from(`GET /flood/${String(index).padStart(5, '0')} HTTP/1.1\r\n\r\n`);

const at = () => ({ ageSeconds: 1, ttlSeconds: 5, sinceMs: 0, untilMs: Infinity, lastMs: Infinity });

function repeat(): Repeat {
  return { ageLine: 0, ttlFrom: 'forecache; hit; ttl='.length, madeOf: undefined, at, again: () => true };
}

const writer = new AnswerWriter({ keepAliveMs: 5000 });

function facts(size: number, of = repeat()): HeadFacts {
  const given = answer(size);
  const asked = { method: 'GET', traceId: undefined, listener: 'a' };
  return { repeat: of, wire: writer.wireOf(given, of), ...asked, status: 200, meta: given.meta, repeats: undefined };
}

describe('The fast lane', () => {
  it('answers a head of exactly 4 KiB without parsing it, and parses one that is a byte longer each time', async () => {
    await using stage = await startStage();
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await warmHead(connection, parsed, padded(4096));
    for (let round = 0; round < 12; round += 1) {
      const before = parsed.count;
      await connection.send(padded(4097));
      expect((await connection.reply()).status).toBe(200);
      expect(parsed.count - before).toBe(1);
    }
    await warm(connection, parsed, padded(4096));
  });

  it('keeps known heads and their answers within its bytes, and those that are asked for outlive any flood', () => {
    const most = 1_000_000;
    const heads = new KnownHeads(most);
    const hot = Buffer.from('GET /hot HTTP/1.1\r\n\r\n');
    heads.remember(hot, facts(1000));
    const each = bytes(0).length + 601 + 900 + facts(1000).wire.first.length;
    let lost = 0;
    let largest = 0;
    for (let index = 0; index < 5000; index += 1) {
      heads.remember(bytes(index), facts(1000));
      if (heads.find(hot) === undefined) lost += 1;
      largest = Math.max(largest, heads.bytes);
      expect(heads.size).toBeLessThanOrEqual(Math.ceil(most / each));
    }
    expect(lost).toBe(0);
    expect(largest).toBeLessThanOrEqual(most);
    expect(largest).toBeGreaterThan(most - each);
  });

  it.each([
    { tierMib: 0.0625, mostMib: 2 },
    { tierMib: 16, mostMib: 2 },
    { tierMib: 24, mostMib: 3 },
    { tierMib: 256, mostMib: 32 },
    { tierMib: 1024, mostMib: 32 },
  ])(
    'keeps known heads of all listeners within an eighth of the memory tier, and within 2 and 32 MiB in any case: $tierMib MiB',
    ({ tierMib, mostMib }) => {
      const each = 16_000;
      const lanes = [...lanesOf([listener('a'), listener('b')], 5000, tierMib * 2 ** 20).values()];
      const most = (mostMib * 2 ** 20) / lanes.length;
      for (const { known } of lanes) {
        for (let index = 0; index < (2 * most) / each; index += 1) known.remember(bytes(index), facts(each));
        expect(known.bytes).toBeLessThanOrEqual(most);
        expect(known.bytes).toBeGreaterThan(most - each - 4000);
      }
    },
  );

  it('holds an answer of several heads once, until the last of them goes', () => {
    const heads = new KnownHeads(1_000_000);
    const shared = repeat();
    for (let index = 0; index < 3; index += 1) heads.remember(bytes(index), facts(10_000, shared));
    expect(heads.bytes).toBe(3 * (bytes(0).length + 601) + 900 + facts(10_000, shared).wire.first.length);
    for (let index = 0; index < 3; index += 1) {
      const known = heads.find(bytes(index));
      expect(shared.madeOf).toBe(known?.wire);
      if (known !== undefined) heads.forget(known);
    }
    expect([heads.bytes, heads.size, shared.madeOf]).toEqual([0, 0, undefined]);
  });

  it('counts an answer that two listeners send where each of them holds it', () => {
    const shared = repeat();
    const lanes = [...lanesOf([listener('a'), listener('b')], 5000).values()];
    const asked = { method: 'GET', traceId: undefined, listener: 'a', status: 200, repeats: undefined };
    const remember = (index: number): void => {
      const given = answer(10_000);
      for (const { known, writer: own } of lanes) {
        known.remember(bytes(index), { repeat: shared, wire: own.wireOf(given, shared), ...asked, meta: given.meta });
      }
    };
    for (let index = 0; index < 5; index += 1) remember(index);
    const held = lanes.map(({ known }) => known.bytes);
    expect(Math.min(...held)).toBeGreaterThan(10_000);
    for (const { known } of lanes) {
      for (let index = 0; index < 5; index += 1) {
        const one = known.find(bytes(index));
        if (one !== undefined) known.forget(one);
      }
    }
    expect(lanes.map(({ known }) => [known.bytes, known.size])).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it('keeps the answer of a head that is remembered anew', () => {
    const heads = new KnownHeads(1_000_000);
    const shared = repeat();
    for (let round = 0; round < 3; round += 1) heads.remember(bytes(0), facts(1000, shared));
    expect(shared.madeOf).toBe(heads.find(bytes(0))?.wire);
    expect(heads.bytes).toBe(bytes(0).length + 601 + 900 + facts(1000, shared).wire.first.length);
  });

  it('lets one of eight heads in once its bytes are taken', () => {
    const heads = new KnownHeads(100_000);
    let index = 0;
    while (heads.isOpen()) heads.remember(bytes((index += 1)), facts(1000));
    const isOpen = Array.from({ length: 80 }, () => heads.isOpen());
    expect(isOpen.filter(Boolean)).toHaveLength(10);
  });

  it('gives 32 heads that were used another round for one that comes, and lets the next one go', () => {
    const one = facts(10);
    const each = bytes(0).length + 601;
    const heads = new KnownHeads(900 + one.wire.first.length + 40 * each);
    for (let index = 0; index < 40; index += 1) heads.remember(bytes(index), one);
    for (let index = 0; index < 40; index += 1) expect(heads.find(bytes(index))).toBeDefined();
    heads.remember(bytes(40), one);
    expect(Array.from({ length: 41 }, (_none, index) => heads.find(bytes(index)) === undefined).indexOf(true)).toBe(32);
  });

  it('copies a body of exactly 16 KiB behind its head, and none that is a byte longer', () => {
    const [small, large] = [facts(16_384).wire, facts(16_385).wire];
    expect(small.rest).toBeUndefined();
    expect(small.first.length).toBeGreaterThan(16_384);
    expect(large.first.length).toBeLessThan(200);
    expect(large.length).toBe(16_385);
    expect(large.rest).toBeDefined();
  });

  it('answers a new target with a head of exactly 4 KiB, and parses one that is a byte longer', async () => {
    await using stage = await startStage({ routes: spelt, server: 'limits: { maxTargetBytes: 8KiB }' });
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await warm(connection, parsed, head('GET /s HTTP/1.1', 'Host: api.test'));
    const beside = head('GET /s?x= HTTP/1.1', 'Host: api.test').length;
    for (const [size, count] of [
      [4096, 0],
      [4097, 1],
      [4096, 0],
    ] as const) {
      const before = parsed.count;
      await connection.send(head(`GET /s?x=${'x'.repeat(size - beside)} HTTP/1.1`, 'Host: api.test'));
      expect([size, (await connection.reply()).status, parsed.count - before]).toEqual([size, 200, count]);
    }
  });

  // The empty line is not counted.
  it.each([
    ['maxTargetBytes: 1KiB', 1024, 414, 'server.limits.maxTargetBytes'],
    [
      'maxHeaderBytes: 2KiB',
      2050 - head('GET  HTTP/1.1', 'Host: api.test').length,
      431,
      'server.limits.maxHeaderBytes',
    ],
  ])(
    'answers a new target up to exactly %s, and leaves one that is a byte longer to be refused',
    async (limits, most, status, option) => {
      await using stage = await startStage({ routes: spelt, server: `limits: { ${limits} }` });
      using parsed = new ParsedRequests(stage.url);
      using connection = await stage.open();
      await warm(connection, parsed, head('GET /s HTTP/1.1', 'Host: api.test'));
      const before = parsed.count;
      await connection.send(head(`GET ${sized(most)} HTTP/1.1`, 'Host: api.test'));
      expect([(await connection.reply()).status, parsed.count - before]).toEqual([200, 0]);
      await connection.send(head(`GET ${sized(most + 1)} HTTP/1.1`, 'Host: api.test'));
      expect([(await connection.reply()).status, parsed.count - before]).toEqual([status, 1]);
      expect(await limitHits(stage.admin)).toEqual({ [option]: 1 });
    },
  );

  it('keeps 256 tails at most, and those that are asked for outlive what comes once', () => {
    const tails = new KnownTails();
    const hot = tailed('hot');
    tails.remember(hot, '/a', ofTail);
    const all: Buffer[] = [];
    for (let index = 0; index < 5000; index += 1) {
      const one = tailed(`flood ${index}`);
      all.push(one);
      tails.remember(one, '/a', ofTail);
      // Used again and again; what comes finds a place that was not.
      expect(tails.find(hot)).toBeDefined();
    }
    const kept = all.filter((one) => tails.find(one) !== undefined).length;
    expect(kept).toBeLessThan(256);
    expect(kept).toBeGreaterThan(200);
  });

  it('keeps no tail of more than 2 KiB, nor of more than 40 fields', () => {
    const tails = new KnownTails();
    const least = tailed('').length - 'GET /a'.length;
    for (const size of [2048, 2049]) tails.remember(tailed('x'.repeat(size - least)), '/a', ofTail);
    expect([2048, 2049].map((size) => tails.find(tailed('x'.repeat(size - least))) !== undefined)).toEqual([
      true,
      false,
    ]);
    for (const count of [40, 41]) {
      const fields = Array.from({ length: count }, () => ['x', 'y'] as const);
      const request = { ...ofTail.head.request, fields };
      tails.remember(tailed(`${count}`), '/a', { ...ofTail, head: { ...ofTail.head, request } });
    }
    expect([40, 41].map((count) => tails.find(tailed(`${count}`)) !== undefined)).toEqual([true, false]);
  });

  it('keeps the head of an answer to a new target up to exactly 2 KiB, and puts a longer one together each time', () => {
    const date = ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'] as const;
    const textOf = (field: string): [AnswerText | undefined, ProxyResponse] => {
      const given = answer(1000);
      const response = { ...given, fields: [date, ['x', field] as const, ...given.fields] };
      return [writer.textOf(response), response];
    };
    const beside = textOf('')[0]?.head.length ?? 0;
    const [[kept, ofKept], [made, ofMade]] = [textOf('x'.repeat(2048 - beside)), textOf('x'.repeat(2049 - beside))];
    expect([kept?.head.length, made?.head.length]).toEqual([2048, 2049]);
    expect([writer.textOf(ofKept) === kept, writer.textOf(ofMade) === made]).toEqual([true, false]);
  });

  it('keeps the head that answers from Redis have in common up to 2 KiB, with the Age and ttl of each second', () => {
    const date = ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'] as const;
    const textOf = (length: number) => {
      const given = answer(1000);
      const fields = [date, ['x', 'x'.repeat(length)] as const, ...given.fields];
      const same = { ready: undefined as object | undefined, ageLine: 2, ttlFrom: 20, ageSeconds: 1, ttlSeconds: 5 };
      const response = { ...given, fields, head: same };
      return { text: writer.textOf(response), response, same };
    };
    const beside = textOf(0).text?.head.length ?? 0;
    const [most, more] = [textOf(2048 - beside), textOf(2049 - beside)];
    expect([most.text?.head.length, more.text?.head.length]).toEqual([2048, 2049]);
    expect([most.same.ready, more.same.ready]).toEqual([most.text, undefined]);
    const first = most.text?.head ?? '';
    for (const [ageSeconds, ttlSeconds] of [
      [2, 4],
      [1, 5],
      [10, 3],
      [99, 100_000],
      [3, 0],
    ] as const) {
      Object.assign(most.same, { ageSeconds, ttlSeconds });
      expect(writer.textOf(most.response)).toBe(most.text);
      expect(most.text?.head).toBe(
        first.replace('age: 1\r', `age: ${ageSeconds}\r`).replace('ttl=5\r', `ttl=${ttlSeconds}\r`),
      );
    }
  });

  it.each([
    [MAX_PIECE_BYTES, 1],
    [MAX_PIECE_BYTES + 1, 2],
  ])('writes %i bytes of head and content in so many pieces: %i', async (together, pieces) => {
    const first = 'HTTP/1.1 200 OK\r\n\r\n';
    const content = Buffer.alloc(together - first.length, 'x');
    const { socket, written } = taking();
    new Piece().write(socket, first, content);
    await expect.poll(() => written.length).toBe(pieces);
    expect(Buffer.concat(written).equals(Buffer.concat([Buffer.from(first), content]))).toBe(true);
  });

  it('writes in memory that is used again only where all of it has left', () => {
    const { socket: quick, written } = taking();
    const piece = new Piece();
    piece.write(quick, 'one', Buffer.from('1'));
    piece.write(quick, 'two', Buffer.from('2'));
    expect(written[0]?.buffer).toBe(written[1]?.buffer);
    const { socket: slow, written: waiting } = taking(() => undefined);
    piece.write(slow, 'three', Buffer.from('3'));
    piece.write(quick, 'four', Buffer.from('4'));
    expect(String(waiting[0])).toBe('three3');
    expect(String(written[2])).toBe('four4');
  });
});

/** Takes what is written as `taken` says, and keeps it as it came. */
function taking(taken: (done: () => void) => void = (done) => done()): { socket: Socket; written: Buffer[] } {
  const written: Buffer[] = [];
  const keep = (chunk: Buffer): number => written.push(chunk);
  const socket = new Socket();
  Reflect.set(socket, '_write', (chunk: Buffer, _encoding: string, done: () => void) => {
    keep(chunk);
    taken(done);
  });
  Reflect.set(socket, '_writev', (chunks: readonly { readonly chunk: Buffer | string }[], done: () => void) => {
    for (const { chunk } of chunks) keep(Buffer.from(chunk));
    taken(done);
  });
  return { socket, written };
}

/** A target of so many bytes. */
const sized = (length: number): string => `/s?x=${'x'.repeat(length - '/s?x='.length)}`;

const spelt = `
  - { name: spelt, match: /s, upstream: api, ttl: 10m, unknownQuery: drop }`;

const tailed = (value: string): Buffer => Buffer.from(head('GET /a HTTP/1.1', 'Host: a', `X: ${value}`));
