import { describe, expect, it } from 'vitest';

import { type Boarder, Flights, HoldList } from '../../src/cache/collapse.ts';

/** A flight's fetch, ended by hand. */
function fetchOf() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { fetch: () => promise, land: resolve, crash: () => reject(new Error('crashed')) };
}

type Traits = Partial<Boarder<string>>;

function boarder(flights: Flights<string>, traits: Traits = {}): Boarder<string> {
  const start = fetchOf().fetch;
  const alike = { plan: undefined, client: undefined, mayJoin: () => false, queues: false };
  return { ...alike, cameAt: flights.moment, start, ...traits };
}

const position = { epoch: 'e', seq: 0 };

describe('flights', () => {
  it('give the second request for a key the first one’s flight while it has not departed, whatever else', () => {
    const flights = new Flights<string>();
    const first = flights.join('k', boarder(flights));
    expect(first).toMatchObject({ leader: true, early: true });
    expect(flights.join('k', boarder(flights))).toEqual({ flight: first.flight, leader: false, early: true });
    expect(flights.join('other', boarder(flights)).leader).toBe(true);
    expect(first.flight.boarders).toBe(2);
  });

  it('that have departed are joined only by who may, and not as if the fetch began later', () => {
    const flights = new Flights<string>();
    const { flight } = flights.join('k', boarder(flights));
    flight.depart(position);
    expect(flight.position).toBe(position);
    const asked: unknown[] = [];
    const mayJoin = (current: unknown): boolean => asked.push(current) > 0;
    expect(flights.join('k', boarder(flights, { mayJoin }))).toEqual({ flight, leader: false, early: false });
    expect(asked).toEqual([flight]);
    const later = flights.join('k', boarder(flights));
    expect(later.leader).toBe(true);
    expect(later.flight).not.toBe(flight);
    expect(flights.join('k', boarder(flights)).flight).toBe(later.flight);
  });

  it('are wanted as long as anybody waits, and in any case where somebody has no client or they are kept', () => {
    const flights = new Flights<string>();
    const client = { isOver: false };
    const [own, other, kept] = ['own', 'other', 'kept'].map(
      (key) => flights.join(key, boarder(flights, { client })).flight,
    );
    other?.board({ isOver: false });
    kept?.keep();
    expect([own, other, kept].map((flight) => flight?.isWanted)).toEqual([true, true, true]);
    client.isOver = true;
    expect([own, other, kept].map((flight) => flight?.isWanted)).toEqual([false, true, true]);
    own?.board(undefined);
    expect(own?.isWanted).toBe(true);
  });

  it('that departed after a request came are as good for it as its own', () => {
    const flights = new Flights<string>();
    const cameAt = flights.moment;
    const { flight } = flights.join('k', boarder(flights));
    flight.depart(position);
    expect(flights.join('k', boarder(flights, { cameAt }))).toEqual({ flight, leader: false, early: true });
    expect(flights.join('k', boarder(flights)).flight).not.toBe(flight);
  });

  it('depart once: what was sent has one position', () => {
    const flights = new Flights<string>();
    const { flight } = flights.join('k', boarder(flights));
    flight.depart(undefined);
    expect(() => flight.depart(position)).toThrow('once');
    expect(flight.position).toBeUndefined();
  });

  it('get the one under way to wait for where two at once must not be', () => {
    const flights = new Flights<string>();
    const starts: (readonly [string, unknown])[] = [];
    const startAs = (name: string, queues: boolean): Traits => ({
      queues,
      start: (_flight, ahead) => {
        starts.push([name, ahead]);
        return fetchOf().fetch();
      },
    });
    const first = flights.join('k', boarder(flights, startAs('first', true)));
    first.flight.depart(undefined);
    const second = flights.join('k', boarder(flights, startAs('second', true)));
    second.flight.depart(undefined);
    flights.join('k', boarder(flights, startAs('third', false)));
    expect(starts).toEqual([
      ['first', undefined],
      ['second', first.flight],
      ['third', undefined],
    ]);
  });

  it('are over when they land or crash, and only for themselves', async () => {
    const flights = new Flights<string>();
    const [early, late] = [fetchOf(), fetchOf()];
    const first = flights.join('k', boarder(flights, { start: early.fetch }));
    first.flight.depart(position);
    const second = flights.join('k', boarder(flights, { start: late.fetch }));
    early.land('done');
    await first.flight.result;
    expect(flights.has('k')).toBe(true);
    late.crash();
    await expect(second.flight.result).rejects.toThrow('crashed');
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
