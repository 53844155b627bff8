import { describe, expect, it } from 'vitest';

import type { ProxyResponse } from '../../src/cache/ports.ts';
import { AnswerWriter } from '../../src/server/fast-lane-answer.ts';
import { KnownHeads } from '../../src/server/fast-lane-heads.ts';
import { ParsedRequests, warm } from '../support/fast-lane.ts';
import { head, startStage } from '../support/hostile.ts';

/** A request head of so many bytes. */
function padded(bytes: number): string {
  const bare = head('GET /c/long HTTP/1.1', 'Host: api.test', 'X-Pad: ').length;
  return head('GET /c/long HTTP/1.1', 'Host: api.test', `X-Pad: ${'p'.repeat(bytes - bare)}`);
}

function answer(bytes: number): ProxyResponse {
  return {
    status: 200,
    fields: [['content-length', String(bytes)]],
    body: { kind: 'bytes', bytes: Buffer.alloc(bytes, 'x') },
    meta: {
      outcome: 'hit',
      route: 'a',
      upstream: 'api',
      tier: 'memory',
      fwd: undefined,
      problem: undefined,
      url: '/',
    },
  };
}

const bytes = (index: number): Buffer => Buffer.from(`GET /flood/${String(index).padStart(5, '0')} HTTP/1.1\r\n\r\n`);

const get = { method: 'GET', traceId: undefined, listener: 'a' };

describe('The fast lane', () => {
  it('answers a head of exactly 4 KiB without parsing it, and parses one that is a byte longer each time', async () => {
    await using stage = await startStage();
    using parsed = new ParsedRequests(stage.url);
    using connection = await stage.open();
    await warm(connection, parsed, padded(4096));
    for (let round = 0; round < 12; round += 1) {
      const before = parsed.count;
      await connection.send(padded(4097));
      expect((await connection.reply()).status).toBe(200);
      expect(parsed.count - before).toBe(1);
    }
    await warm(connection, parsed, padded(4096));
  });

  it('keeps known heads within its bytes, and those that are asked for outlive any flood', () => {
    const heads = new KnownHeads(100_000);
    const known = { repeat: new WeakRef({ again: () => undefined }), method: 'GET', traceId: undefined, listener: 'a' };
    const hot = Buffer.from('GET /hot HTTP/1.1\r\n\r\n');
    heads.remember(hot, known);
    const each = bytes(0).length + 500;
    const most = Math.floor(100_000 / each);
    let lost = 0;
    let largest = 0;
    for (let index = 0; index < 20_000; index += 1) {
      heads.remember(bytes(index), known);
      if (heads.find(hot) === undefined) lost += 1;
      largest = Math.max(largest, heads.size);
    }
    expect(lost).toBe(0);
    expect(largest).toBe(2 * most);
  });

  it('copies a body of exactly 16 KiB behind its head, and none that is a byte longer', () => {
    const writer = new AnswerWriter({ keepAliveMs: 5000 });
    const [small, large] = [answer(16_384), answer(16_385)].map((one) => writer.bytesOf(one, get));
    expect(small?.rest).toBeUndefined();
    expect(small?.first.length).toBeGreaterThan(16_384);
    expect(large?.first.length).toBeLessThan(200);
    expect(large?.rest?.length).toBe(16_385);
  });

  it('lets go of the copies that are older than so many bytes', () => {
    const writer = new AnswerWriter({ keepAliveMs: 5000, maxBytes: 40_000 });
    const first = answer(10_000);
    const { first: made } = writer.bytesOf(first, get);
    for (let count = 0; count < 3; count += 1) writer.bytesOf(answer(10_000), get);
    expect(writer.bytesOf(first, get).first).toBe(made);
    for (let count = 0; count < 10; count += 1) writer.bytesOf(answer(10_000), get);
    expect(writer.bytesOf(first, get).first).not.toBe(made);
    expect(writer.bytesOf(first, get).first.equals(made)).toBe(true);
  });
});
