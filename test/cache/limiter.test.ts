import { describe, expect, test } from 'vitest';

import { createLimiter } from '../../src/cache/limiter.ts';

describe('the limiter', () => {
  test('runs no more at once than allowed, in the order in which they came', async () => {
    const limited = createLimiter(2);
    const begun: number[] = [];
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const all = gates.map((gate, index) =>
      limited(async () => {
        begun.push(index);
        await gate.promise;
        return index;
      }),
    );
    await Promise.resolve();
    expect(begun).toEqual([0, 1]);
    gates[1]?.resolve();
    await all[1];
    expect(begun).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    expect(await Promise.all(all)).toEqual([0, 1, 2, 3, 4]);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
  });

  test('has as many places again when all has ended, no more and no fewer', async () => {
    const limited = createLimiter(2);
    for (let round = 0; round < 3; round += 1) {
      let begun = 0;
      const gate = Promise.withResolvers<void>();
      const all = Array.from({ length: 5 }, () =>
        limited(async () => {
          begun += 1;
          await gate.promise;
        }),
      );
      await Promise.resolve();
      expect(begun).toBe(2);
      gate.resolve();
      await Promise.all(all);
      expect(begun).toBe(5);
    }
  });

  test('work that fails gives its place on, and only its own caller hears of it', async () => {
    const limited = createLimiter(1);
    const failing = limited(() => Promise.reject(new Error('no')));
    const next = limited(() => Promise.resolve('yes'));
    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe('yes');
  });

  test('nobody who comes as a place is handed on takes it a second time', async () => {
    const limited = createLimiter(1);
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      running -= 1;
    };
    const first = limited(work);
    const second = limited(work);
    const third = first.then(() => limited(work));
    await Promise.all([first, second, third]);
    expect(most).toBe(1);
  });
});
