import { describe, expect, it } from 'vitest';

import { type Flight, Flights, HoldList } from '../../src/cache/collapse.ts';

function flight(): Flight<string> & { readonly land: (result: string) => void; readonly crash: () => void } {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return {
    position: { epoch: 'e', seq: 0 },
    result: promise,
    land: resolve,
    crash: () => reject(new Error('crashed')),
  };
}

describe('flights', () => {
  it('give the second request for a key the first one’s flight', () => {
    const flights = new Flights<string>();
    const first = flight();
    expect(
      flights.join(
        'k',
        () => true,
        () => first,
      ),
    ).toEqual({ flight: first, leader: true });
    const second = flights.join('k', () => true, flight);
    expect(second).toEqual({ flight: first, leader: false });
    expect(flights.join('other', () => true, flight).leader).toBe(true);
  });

  it('start another where the one under way may not be joined', () => {
    const flights = new Flights<string>();
    flights.join('k', () => true, flight);
    const later = flight();
    expect(
      flights.join(
        'k',
        () => false,
        () => later,
      ),
    ).toEqual({ flight: later, leader: true });
    expect(flights.join('k', () => true, flight).flight).toBe(later);
  });

  it('are over when they land or crash, and only for themselves', async () => {
    const flights = new Flights<string>();
    const early = flight();
    const late = flight();
    flights.join(
      'k',
      () => true,
      () => early,
    );
    flights.join(
      'k',
      () => false,
      () => late,
    );
    early.land('done');
    await early.result;
    expect(flights.has('k')).toBe(true);
    late.crash();
    await expect(late.result).rejects.toThrow('crashed');
    expect(flights.has('k')).toBe(false);
    expect(flights.size).toBe(0);
  });
});

describe('a hold list', () => {
  it('holds a key for its time and no longer', () => {
    const list = new HoldList(1_000, 10);
    list.note('k', 0);
    expect(list.has('k', 999)).toBe(true);
    expect(list.has('k', 1_000)).toBe(false);
    expect(list.has('other', 0)).toBe(false);
  });

  it('starts a key’s time anew when it is noted again, and ends it when it is forgotten', () => {
    const list = new HoldList(1_000, 10);
    list.note('k', 0);
    list.note('k', 900);
    expect(list.has('k', 1_800)).toBe(true);
    list.forget('k');
    expect(list.has('k', 1_800)).toBe(false);
  });

  it('forgets the oldest key past its capacity', () => {
    const list = new HoldList(1_000, 2);
    for (const key of ['a', 'b', 'a', 'c']) list.note(key, 0);
    expect(['a', 'b', 'c'].filter((key) => list.has(key, 0))).toEqual(['a', 'c']);
  });
});
