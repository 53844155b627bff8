import { EventEmitter } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { Connections, type Turn } from '../../src/server/connections.ts';

/** Requests of one connection: which of them have begun, by their places. */
function connection(...alone: readonly boolean[]): {
  readonly begun: readonly number[];
  readonly owes: () => boolean;
  readonly end: (place: number) => void;
} {
  const connections = new Connections(3);
  const socket = {};
  const begun: number[] = [];
  const turns: Turn[] = alone.map((one, place) => {
    const turn = connections.owe(socket, one);
    if (turn.running) begun.push(place);
    else turn.start = () => begun.push(place);
    return turn;
  });
  return {
    begun,
    owes: () => connections.owes(socket),
    end: (place) => {
      const turn = turns[place];
      if (turn !== undefined) connections.settle(socket, turn);
    },
  };
}

describe('Requests of one connection', () => {
  it('run side by side where all of them are safe', () => {
    expect(connection(false, false, false).begun).toEqual([0, 1, 2]);
  });

  it('wait behind an unsafe one until its response has ended', () => {
    const { begun, end } = connection(true, false, false);
    expect(begun).toEqual([0]);
    end(0);
    expect(begun).toEqual([0, 1, 2]);
  });

  it('that are unsafe wait for all before them, and keep their order', () => {
    const { begun, end } = connection(false, false, true, true, false);
    expect(begun).toEqual([0, 1]);
    end(0);
    expect(begun).toEqual([0, 1]);
    end(1);
    expect(begun).toEqual([0, 1, 2]);
    end(2);
    expect(begun).toEqual([0, 1, 2, 3]);
    end(3);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
  });

  it('that are safe do not overtake an unsafe one that waits', () => {
    const { begun, end } = connection(false, true, false);
    expect(begun).toEqual([0]);
    end(0);
    expect(begun).toEqual([0, 1]);
  });

  it('run as many at once as may, and the next when one of them has ended', () => {
    const { begun, end } = connection(false, false, false, false, false);
    expect(begun).toEqual([0, 1, 2]);
    end(1);
    expect(begun).toEqual([0, 1, 2, 3]);
    end(4);
    end(0);
    expect(begun).toEqual([0, 1, 2, 3]);
  });

  it('are owed until each has ended, those that never began too', () => {
    const { owes, end, begun } = connection(true, true);
    end(1);
    expect(owes()).toBe(true);
    end(0);
    expect([owes(), begun]).toEqual([false, [0]]);
  });
});

describe('Connections', () => {
  it('are not read while 64 requests of them wait, and read again when fewer do', async () => {
    const connections = new Connections(1);
    const log: string[] = [];
    const full: boolean[] = [];
    const held: boolean[] = [];
    const events = new EventEmitter();
    const socket = Object.assign(events, { pause: () => log.push('pause'), resume: () => log.push('resume') });
    const turns = Array.from({ length: 1 + 65 }, () => {
      const turn = connections.owe(socket, false);
      if (!turn.running) {
        full.push(connections.queued(connections.of(socket), socket));
        held.push(connections.isHeld(socket));
      }
      return turn;
    });
    expect(held.indexOf(true)).toBe(64 - 1);
    expect([new Set(full), log]).toEqual([new Set([true]), []]);
    await nextTurn();
    expect(log).toEqual(['pause']);
    // Somebody else has it read on.
    events.emit('resume');
    expect(log.splice(1)).toEqual(['pause']);
    const [first, second, third] = turns;
    if (first !== undefined) connections.settle(socket, first);
    expect(connections.isHeld(socket)).toBe(true);
    if (second !== undefined) connections.settle(socket, second);
    expect([log, events.listenerCount('resume')]).toEqual([['pause', 'resume'], 0]);
    if (third !== undefined) connections.settle(socket, third);
    expect(log).toEqual(['pause', 'resume']);
  });

  it('are not read with 64 requests behind the last one, whatever is answered meanwhile, until they are released', () => {
    const connections = new Connections(2);
    const log: string[] = [];
    const socket = Object.assign(new EventEmitter(), { pause: () => 0, resume: () => log.push('resume') });
    const one = connections.of(socket);
    // Nothing is owed: whoever ends the connection has it read on.
    for (let count = 0; count < 63; count += 1) connections.unheeded(one, socket);
    const turns = [connections.owe(socket, false), connections.owe(socket, false)];
    expect(connections.isHeld(socket)).toBe(false);
    connections.unheeded(one, socket);
    expect(connections.isHeld(socket)).toBe(true);
    for (const turn of turns) connections.settle(socket, turn);
    expect([connections.isHeld(socket), log]).toEqual([true, []]);
    connections.release(socket);
    connections.unheeded(one, socket);
    expect([connections.isHeld(socket), log]).toEqual([false, ['resume']]);
  });

  it('abandon those behind the first that are still owed, and keep none that has been answered', () => {
    const connections = new Connections(3);
    const socket = {};
    const abandoned: number[] = [];
    const turns = [0, 1, 2].map((place) => {
      const turn = connections.owe(socket, false);
      turn.response = { destroy: () => abandoned.push(place) };
      return turn;
    });
    if (turns[1] !== undefined) connections.settle(socket, turns[1]);
    connections.abandon(socket);
    expect(abandoned).toEqual([2]);
  });

  it('count the requests of each, and know which is ending', () => {
    const connections = new Connections(3);
    const [one, other] = [{}, {}];
    connections.settle(one, connections.owe(one, false));
    connections.owe(one, false);
    connections.announceLast(other);
    expect([connections.count(one), connections.count(other)]).toEqual([2, 0]);
    expect([connections.isEnding(one), connections.isEnding(other)]).toEqual([false, true]);
    expect([connections.owes(one), connections.owes(other)]).toEqual([true, false]);
  });
});
