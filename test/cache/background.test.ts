import { describe, expect, it } from 'vitest';

import { BackgroundWork } from '../../src/cache/background.ts';

describe('background work', () => {
  it('is idle when all of it has ended, work begun meanwhile included', async () => {
    const background = new BackgroundWork(() => {});
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    background.run('first', async () => {
      await gate.promise;
      background.run('second', async () => {
        await Promise.resolve();
        order.push('second');
      });
      order.push('first');
    });
    const idle = background.idle().then(() => order.push('idle'));
    expect(order).toEqual([]);
    gate.resolve();
    await idle;
    expect(order).toEqual(['first', 'second', 'idle']);
    expect(background.size).toBe(0);
  });

  it('tells its owner of an error, and nobody else', async () => {
    const heard: unknown[] = [];
    const background = new BackgroundWork((name, error) => heard.push(name, String(error)));
    background.run('refresh', () => Promise.reject(new Error('no')));
    await background.idle();
    expect(heard).toEqual(['refresh', 'Error: no']);
  });

  it('gives owned work’s result and error to whoever waits, and does not tell twice', async () => {
    const heard: unknown[] = [];
    const background = new BackgroundWork((name) => heard.push(name));
    expect(await background.own('fill', () => Promise.resolve(7))).toBe(7);
    await expect(background.own('fill', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(heard).toEqual([]);
  });

  it('aborts what still runs when it is stopped, and waits for its end', async () => {
    const background = new BackgroundWork(() => {});
    const order: string[] = [];
    background.run('slow', async (signal) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      order.push('aborted');
    });
    await background.stop();
    order.push('stopped');
    expect(order).toEqual(['aborted', 'stopped']);
  });
});
