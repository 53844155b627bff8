import { setImmediate as turnEnd } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Turn } from '../../src/cache/turn.ts';

/** Notes what is done with each that comes, in order. */
function setUp() {
  const turn = new Turn((end) => void setImmediate(end));
  const noted: string[] = [];
  const come = (name: string, then: () => void = () => {}): void =>
    turn.add({
      handOn: () => {
        noted.push(name);
        then();
      },
    });
  return { come, noted };
}

function fail(): never {
  throw new Error('a bug');
}

describe('what comes in one turn of the loop', () => {
  it('is handed on when the turn ends, once and in its order', async () => {
    const { come, noted } = setUp();
    come('first');
    await Promise.resolve();
    come('second');
    expect(noted).toEqual([]);
    await turnEnd();
    expect(noted).toEqual(['first', 'second']);
    await turnEnd();
    expect(noted).toEqual(['first', 'second']);
  });

  it('has each step of those who wait for it done for all before the next step of any', async () => {
    const { come, noted } = setUp();
    for (const name of ['first', 'second']) {
      const handed = Promise.withResolvers<undefined>();
      void handed.promise.then(() => noted.push(`${name} stored`)).then(() => noted.push(`${name} answered`));
      come(name, () => handed.resolve(undefined));
    }
    await turnEnd();
    expect(noted).toEqual(['first', 'second', 'first stored', 'second stored', 'first answered', 'second answered']);
  });

  it('is not kept up by what comes while it is handed on: that is handed on in the next', async () => {
    const { come, noted } = setUp();
    come('first', () => come('later'));
    come('second');
    await turnEnd();
    expect(noted).toEqual(['first', 'second']);
    await turnEnd();
    expect(noted).toEqual(['first', 'second', 'later']);
    come('again');
    await turnEnd();
    expect(noted.at(-1)).toBe('again');
  });

  it('is handed on also behind one that throws, before what came meanwhile', () => {
    const due: (() => void)[] = [];
    const turn = new Turn((end) => void due.push(end));
    const noted: string[] = [];
    const add = (name: string, then: () => void = () => {}): void =>
      turn.add({
        handOn: () => {
          noted.push(name);
          then();
        },
      });
    add('first', () => add('later'));
    add('second', fail);
    add('third', fail);
    add('fourth');
    expect(() => due.shift()?.()).toThrow('a bug');
    expect(() => due.shift()?.()).toThrow('a bug');
    while (due.length > 0) due.shift()?.();
    expect(noted).toEqual(['first', 'second', 'third', 'fourth', 'later']);
    add('again');
    expect(due).toHaveLength(1);
    due[0]?.();
    expect(noted.at(-1)).toBe('again');
  });
});
