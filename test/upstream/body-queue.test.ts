import { describe, expect, it } from 'vitest';

import { UpstreamBodyError } from '../../src/cache/upstream-ports.ts';
import { BodyQueue } from '../../src/upstream/body-queue.ts';

interface Rig {
  readonly queue: BodyQueue;
  /** What the connection was told, in order. */
  readonly told: readonly string[];
}

function rig(maxBytes = 10_000_000): Rig {
  const told: string[] = [];
  const source = {
    pause: () => void told.push('pause'),
    resume: () => void told.push('resume'),
    abort: () => void told.push('abort'),
  };
  return { queue: new BodyQueue(source, maxBytes), told };
}

const kib = (count: number): Buffer => Buffer.alloc(count * 1024, 'z');

async function sizeOf(chunks: AsyncIterable<Buffer>): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunks) bytes += chunk.length;
  return bytes;
}

function texts(pieces: readonly Buffer[] | undefined): readonly string[] | undefined {
  return pieces?.map((piece) => piece.toString());
}

describe('A body on its way', () => {
  it('comes out as it went in, before its end or behind it', async () => {
    const { queue, told } = rig();
    queue.push(Buffer.from('a'));
    const text = (async () => {
      let all = '';
      for await (const chunk of queue.read()) all += chunk.toString();
      return all;
    })();
    await Promise.resolve();
    queue.push(Buffer.from('b'));
    queue.push(Buffer.from('c'));
    queue.finish();
    expect(await text).toBe('abc');
    expect([queue.ended, told]).toEqual([true, []]);
  });

  it('pauses the connection at 256 KiB that nobody took, once, and goes on at half of it', async () => {
    const { queue, told } = rig();
    queue.push(kib(255));
    expect([queue.paused, told]).toEqual([false, []]);
    queue.push(kib(1));
    queue.push(kib(64));
    expect([queue.paused, told]).toEqual([true, ['pause']]);
    const chunks = queue.read();
    await chunks.next();
    // 65 KiB are left: below the half.
    expect([queue.paused, told]).toEqual([false, ['pause', 'resume']]);
  });

  it('in chunks of one byte pauses the connection as soon, since each takes memory of its own', () => {
    const { queue, told } = rig();
    let count = 0;
    for (; !queue.paused && count < 10_000; count += 1) queue.push(Buffer.alloc(1));
    expect([count, told]).toEqual([1021, ['pause']]);
  });

  it('of exactly the limit passes; one byte more is cut off, and what came before is still read', async () => {
    const whole = rig(1024);
    whole.queue.push(kib(1));
    whole.queue.finish();
    expect(await sizeOf(whole.queue.read())).toBe(1024);

    const { queue, told } = rig(1024);
    queue.push(kib(1));
    queue.push(Buffer.from('x'));
    expect(told).toEqual(['abort']);
    const chunks = queue.read();
    expect((await chunks.next()).value).toHaveLength(1024);
    await expect(chunks.next()).rejects.toMatchObject({ failure: 'too-large' });
  });

  it('that breaks off gives what came, then the first failure', async () => {
    const { queue } = rig();
    queue.push(Buffer.from('a'));
    queue.fail('truncated', 'cut off');
    queue.fail('timeout', 'later');
    queue.push(Buffer.from('too late'));
    queue.finish();
    const chunks = queue.read();
    expect((await chunks.next()).value?.toString()).toBe('a');
    const failed = await chunks.next().catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(UpstreamBodyError);
    expect(failed).toMatchObject({ failure: 'truncated', message: 'cut off' });
  });

  it('that fails wakes a reader that waits', async () => {
    const { queue } = rig();
    const next = queue.read().next();
    queue.fail('reset', 'gone');
    await expect(next).rejects.toMatchObject({ failure: 'reset' });
  });

  it('that its reader leaves ends the connection; one that was whole leaves it', async () => {
    const left = rig();
    left.queue.push(Buffer.from('a'));
    for await (const chunk of left.queue.read()) {
      expect(chunk.toString()).toBe('a');
      break;
    }
    expect(left.told).toEqual(['abort']);

    const whole = rig();
    whole.queue.push(Buffer.from('a'));
    whole.queue.finish();
    whole.queue.cancel();
    expect(whole.told).toEqual([]);
  });

  it('is read once', async () => {
    const { queue } = rig();
    queue.finish();
    await sizeOf(queue.read());
    await expect(queue.read().next()).rejects.toThrow('a body is read once');
  });
});

describe('A body that is wanted whole', () => {
  it('is there at once where it has ended, and is read by that', async () => {
    const { queue, told } = rig();
    queue.push(Buffer.from('ab'));
    queue.push(Buffer.from('c'));
    queue.finish();
    const gathered = queue.gathered(3);
    expect(gathered).not.toBeInstanceOf(Promise);
    expect(texts(await gathered)).toEqual(['ab', 'c']);
    await expect(queue.read().next()).rejects.toThrow('a body is read once');
    expect(() => queue.gathered(3)).toThrow('a body is read once');
    expect(told).toEqual([]);
  });

  it('is waited for until its end', async () => {
    const { queue } = rig();
    const gathered = queue.gathered(3);
    queue.push(Buffer.from('a'));
    await Promise.resolve();
    queue.push(Buffer.from('bc'));
    queue.finish();
    expect(texts(await gathered)).toEqual(['a', 'bc']);
  });

  it('is left to be read piece by piece as soon as a byte more has come than is wanted', async () => {
    const { queue } = rig();
    const gathered = queue.gathered(3);
    queue.push(Buffer.from('abc'));
    queue.push(Buffer.from('d'));
    expect(await gathered).toBeUndefined();
    queue.finish();
    expect(queue.gathered(3)).toBeUndefined();
    expect(await sizeOf(queue.read())).toBe(4);
  });

  it('is left to be read piece by piece where its connection is held up for it', async () => {
    const { queue, told } = rig();
    const gathered = queue.gathered(10_000_000);
    queue.push(kib(255));
    queue.push(kib(1));
    expect(await gathered).toBeUndefined();
    const size = sizeOf(queue.read());
    queue.push(kib(64));
    queue.finish();
    expect(await size).toBe(320 * 1024);
    expect(told).toEqual(['pause', 'resume']);
  });

  it('that breaks off, before or while it is waited for, says why to whoever reads it', async () => {
    const early = rig().queue;
    early.push(Buffer.from('a'));
    early.fail('truncated', 'cut');
    expect(early.gathered(3)).toBeUndefined();
    const late = rig().queue;
    const gathered = late.gathered(3);
    late.push(Buffer.from('a'));
    late.fail('truncated', 'cut');
    expect(await gathered).toBeUndefined();
    for (const queue of [early, late]) {
      const chunks = queue.read();
      expect((await chunks.next()).value?.toString()).toBe('a');
      await expect(chunks.next()).rejects.toThrow(new UpstreamBodyError('truncated', 'cut'));
    }
  });
});
