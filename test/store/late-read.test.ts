import { describe, expect, onTestFinished, test, vi } from 'vitest';

import { promiseOf } from '../../src/cache/later.ts';
import type { StoreRead } from '../../src/cache/ports.ts';
import { LateRead, turnOfStep } from '../../src/store/late-read.ts';
import { storedResponse } from '../support/stored-items.ts';

const position = { epoch: '0123456789abcdef', seq: 7 };

function readOf(key: string): StoreRead {
  const item = storedResponse({ key, position, nowMs: 0 });
  return { item, staleSinceMs: undefined, tier: 'redis', tally: { hits: 0 } };
}

function rig() {
  const bugs: unknown[] = [];
  const turn = turnOfStep();
  const onBug = (error: unknown): void => void bugs.push(error);
  const lateOf = (key: string): LateRead =>
    new LateRead({ key, url: '/', hash: { low: 1, high: 1 } }, undefined, { finish: (open) => open(), turn, onBug });
  return { bugs, lateOf };
}

describe('what has come from Redis', () => {
  test('is told behind the step in which it came, in its order, to all who wait for it', async () => {
    const { bugs, lateOf } = rig();
    const told: string[] = [];
    const [one, other] = [lateOf('one'), lateOf('other')];
    const hear = (late: LateRead, name: string): void =>
      late.hear({ came: (read) => void told.push(`${name}: ${read?.item.key}`), failed: () => told.push('failed') });
    hear(one, 'a');
    hear(other, 'b');
    hear(one, 'c');
    hear(one, 'd');
    other.resolve(readOf('other'));
    one.resolve(readOf('one'));
    expect(told).toEqual([]);
    await Promise.resolve();
    expect(told).toEqual(['b: other', 'a: one', 'c: one', 'd: one']);
    expect(bugs).toEqual([]);
  });

  test('is told to the others too where one throws, which is heard of', async () => {
    const { bugs, lateOf } = rig();
    const told: string[] = [];
    const [one, other] = [lateOf('one'), lateOf('other')];
    const error = new Error('a bug');
    one.hear({
      came: () => {
        throw error;
      },
      failed: () => {},
    });
    one.hear({ came: () => void told.push('second'), failed: () => {} });
    other.hear({ came: () => void told.push('other'), failed: () => {} });
    one.resolve(undefined);
    other.resolve(undefined);
    await Promise.resolve();
    expect(told).toEqual(['second', 'other']);
    expect(bugs).toEqual([error]);
  });

  test('while others are told waits for a turn of its own', async () => {
    const { lateOf } = rig();
    const told: string[] = [];
    const [one, other] = [lateOf('one'), lateOf('other')];
    one.hear({
      came: () => {
        other.resolve(undefined);
        told.push('one');
      },
      failed: () => {},
    });
    other.hear({ came: () => void told.push('other'), failed: () => {} });
    one.resolve(undefined);
    await promiseOf(other);
    expect(told).toEqual(['one', 'other']);
  });

  test('is told in each of many turns', async () => {
    const { lateOf } = rig();
    const told: string[] = [];
    const keys = Array.from({ length: 10 }, (_, turn) => `turn ${turn}`);
    for (const key of keys) {
      const late = lateOf(key);
      late.hear({ came: () => void told.push(key), failed: () => {} });
      late.resolve(undefined);
      await Promise.resolve();
    }
    expect(told).toEqual(keys);
  });

  test('is an error where that came of it, at once or later', async () => {
    const { lateOf } = rig();
    const [one, other, third] = [lateOf('one'), lateOf('other'), lateOf('third')];
    const promised = [promiseOf(one), promiseOf(other), promiseOf(third)];
    one.reject(new Error('first'));
    other.resolve(Promise.reject(new Error('second')));
    third.resolve(Promise.resolve(readOf('third')));
    const results = await Promise.allSettled(promised);
    expect(results).toMatchObject([
      { status: 'rejected', reason: { message: 'first' } },
      { status: 'rejected', reason: { message: 'second' } },
      { status: 'fulfilled', value: { item: { key: 'third' } } },
    ]);
  });

  test('is told while the wall clock is held', async () => {
    const told: string[] = [];
    const clock = { hold: () => void told.push('hold'), release: () => void told.push('release') };
    const turn = turnOfStep(clock);
    const late = new LateRead({ key: 'one', url: '/', hash: { low: 1, high: 1 } }, undefined, {
      finish: (open) => open(),
      turn,
      onBug: () => {},
    });
    late.hear({ came: () => void told.push('came'), failed: () => {} });
    late.resolve(undefined);
    expect(told).toEqual(['hold']);
    await Promise.resolve();
    expect(told).toEqual(['hold', 'came', 'release']);
  });

  test('does not leave the wall clock held where what it is told to throws', () => {
    const told: string[] = [];
    const clock = { hold: () => void told.push('hold'), release: () => void told.push('release') };
    const queued = vi.spyOn(globalThis, 'queueMicrotask').mockReturnValue();
    onTestFinished(() => queued.mockRestore());
    turnOfStep(clock).add({
      handOn() {
        throw new Error('a bug');
      },
    });
    expect(queued.mock.calls[0]?.[0]).toThrow('a bug');
    expect(told).toEqual(['hold', 'release']);
  });
});
