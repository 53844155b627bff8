import { describe, expect, test } from 'vitest';

import { ReadBudgets, type Waiting } from '../../../src/store/redis/read-budgets.ts';
import { FakeClock } from '../../support/clock.ts';

function setUp() {
  const clock = new FakeClock();
  const budgets = new ReadBudgets(clock);
  const startMs = clock.monotonicMs();
  const given: string[] = [];
  /** A read that begins now. */
  const begin = (name: string, budgetMs: number): Waiting => {
    const waiting: Waiting = {
      dueMs: clock.monotonicMs() + budgetMs,
      isOver: false,
      giveUp: () => void given.push(`${name} at ${clock.monotonicMs() - startMs}`),
    };
    budgets.begin(waiting, budgetMs);
    return waiting;
  };
  return { clock, budgets, given, begin };
}

describe('budgets of reads', () => {
  test('are over each in its own time, with one timer for all', () => {
    const { clock, given, begin } = setUp();
    begin('first', 50);
    clock.advance(20);
    begin('second', 50);
    begin('third', 50);
    expect(clock.pending).toBe(1);
    clock.advance(29);
    expect(given).toEqual([]);
    clock.advance(100);
    expect(given).toEqual(['first at 50', 'second at 70', 'third at 70']);
    expect(clock.pending).toBe(0);
  });

  test('of what has less left are over before those that began earlier', () => {
    const { clock, given, begin } = setUp();
    begin('whole', 50);
    begin('another whole', 50);
    clock.advance(10);
    begin('rest', 15);
    begin('larger rest', 35);
    begin('least', 1);
    clock.advance(60);
    expect(given).toEqual(['least at 11', 'rest at 25', 'larger rest at 45', 'whole at 50', 'another whole at 50']);
  });

  test('of what was answered are over for nobody', () => {
    const { clock, budgets, given, begin } = setUp();
    const first = begin('first', 50);
    begin('second', 50);
    clock.advance(10);
    begin('third', 50);
    budgets.end(first);
    budgets.end(first);
    clock.advance(100);
    expect(given).toEqual(['second at 50', 'third at 60']);
  });

  test('leave no timer where nobody waits any more, and begin again', () => {
    const { clock, budgets, given, begin } = setUp();
    const reads = [begin('first', 50), begin('second', 20)];
    for (const read of reads) budgets.end(read);
    expect(clock.pending).toBe(0);
    clock.advance(40);
    begin('third', 50);
    clock.advance(100);
    expect(given).toEqual(['third at 90']);
  });

  test('give nothing up that is answered in the turn in which it is due', () => {
    const clock = new FakeClock();
    const turns: (() => void)[] = [];
    // What is to run after no time at all is a turn of the event loop away.
    const budgets = new ReadBudgets({
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, callback) => (delayMs === 0 ? (turns.push(callback), () => {}) : clock.after(delayMs, callback)),
    });
    const given: string[] = [];
    const read = (name: string): Waiting => {
      const giveUp = (): void => void given.push(name);
      const waiting: Waiting = { dueMs: clock.monotonicMs() + 50, isOver: false, giveUp };
      budgets.begin(waiting, 50);
      return waiting;
    };
    const answered = read('answered');
    read('not answered');
    clock.advance(50);
    expect(given).toEqual([]);
    budgets.end(answered);
    for (const turn of turns) turn();
    expect(given).toEqual(['not answered']);
  });
});
