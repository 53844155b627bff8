import { describe, expect, it } from 'vitest';

import { Slots } from '../../src/upstream/slots.ts';

describe('Slots', () => {
  it('are as many as told', () => {
    const slots = new Slots(2);
    expect([slots.tryTake(), slots.tryTake(), slots.tryTake()]).toEqual([true, true, false]);
    slots.release();
    expect([slots.tryTake(), slots.tryTake()]).toEqual([true, false]);
  });

  it('go to those who wait, in order, and not to who comes later', () => {
    const slots = new Slots(1);
    const granted: string[] = [];
    slots.tryTake();
    slots.wait(() => granted.push('first') > 0);
    slots.wait(() => granted.push('second') > 0);
    slots.release();
    expect([granted, slots.tryTake()]).toEqual([['first'], false]);
    slots.release();
    expect([granted, slots.tryTake()]).toEqual([['first', 'second'], false]);
    slots.release();
    expect(slots.tryTake()).toBe(true);
  });

  it('pass over who gave up its place', () => {
    const slots = new Slots(1);
    const granted: string[] = [];
    slots.tryTake();
    const leave = slots.wait(() => granted.push('gone') > 0);
    slots.wait(() => granted.push('still there') > 0);
    leave();
    slots.release();
    expect(granted).toEqual(['still there']);
  });

  it('go on past any number of those who need none any more', () => {
    const slots = new Slots(1);
    slots.tryTake();
    for (let one = 0; one < 100_000; one += 1) slots.wait(() => false);
    const granted: string[] = [];
    slots.wait(() => granted.push('in need') > 0);
    slots.wait(() => false);
    slots.release();
    expect([granted, slots.tryTake()]).toEqual([['in need'], false]);
    slots.release();
    expect(slots.tryTake()).toBe(true);
  });

  it('are free again when all who waited gave up', () => {
    const slots = new Slots(1);
    slots.tryTake();
    slots.wait(() => expect.unreachable('it had left'))();
    slots.release();
    expect([slots.tryTake(), slots.tryTake()]).toEqual([true, false]);
  });
});
