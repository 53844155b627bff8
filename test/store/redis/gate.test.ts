import { afterEach, describe, expect, test } from 'vitest';

import type { FleetEvent, RedisFailureKind } from '../../../src/cache/fleet-ports.ts';
import { RedisGate } from '../../../src/store/redis/gate.ts';
import { RedisFailure, type RedisLink } from '../../../src/store/redis/link.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { FakeClock } from '../../support/clock.ts';

const open: RedisGate[] = [];

afterEach(() => {
  for (const gate of open.splice(0)) gate[Symbol.dispose]();
});

/** A gate in virtual time, whose calls are answered by hand: what it sends itself are its probes. */
function setUp({ maxPendingBytes = 1000, random = 0.5, hears = (_event: FleetEvent): void => undefined } = {}) {
  const clock = new FakeClock();
  const events: FleetEvent[] = [];
  const limits: string[] = [];
  const bugs: unknown[] = [];
  const probes: { readonly key: string; readonly settle: PromiseWithResolvers<null> }[] = [];
  const state = { leased: true, ready: (): void => undefined };
  const link: RedisLink = {
    isReady: true,
    nodeOf: (key) => key.split(':')[0],
    get(key) {
      const settle = Promise.withResolvers<null>();
      probes.push({ key, settle });
      return settle.promise;
    },
    unlink: () => Promise.reject(new Error('only probes are sent by a gate')),
    run: () => Promise.reject(new Error('only probes are sent by a gate')),
    onReady: (callback) => {
      state.ready = callback;
    },
  };
  const gate = new RedisGate({
    link,
    clock,
    config: { timeoutMs: 50, maxPendingBytes, breaker: { failures: 3, pauseMs: 1000, maxPauseMs: 3000 } },
    leased: () => state.leased,
    observer: { fleet: (event) => (hears(event), void events.push(event)), limit: (name) => void limits.push(name) },
    random: () => random,
    onBug: (error) => void bugs.push(error),
  });
  open.push(gate);
  const fail = async (kind: RedisFailureKind = 'closed', key = 'a:1'): Promise<void> => {
    await gate.read({ operation: 'get', key, send: () => Promise.reject(new RedisFailure(kind, kind)) });
  };
  const succeed = (key = 'a:1') => gate.read({ operation: 'get', key, send: () => Promise.resolve('value') });
  const states = (): readonly string[] => events.flatMap((event) => (event.kind === 'breaker' ? [event.state] : []));
  const results = (): readonly string[] => events.flatMap((event) => (event.kind === 'redis' ? [event.result] : []));
  const breakIt = async (): Promise<void> => {
    for (let count = 0; count < 3; count += 1) await fail();
  };
  return { clock, gate, events, limits, bugs, probes, state, fail, succeed, states, results, breakIt };
}

function hang(): Promise<string> {
  return new Promise(() => undefined);
}

/** Lets everything run that waits for nothing but its turn. */
async function turns(): Promise<void> {
  for (let count = 0; count < 20; count += 1) await Promise.resolve();
}

function failing(): never {
  throw new Error('late');
}

describe('a read', () => {
  test('gives the answer and how long it took', async () => {
    const { clock, gate } = setUp();
    const reply = Promise.withResolvers<string>();
    const read = gate.read({ operation: 'get', key: 'a:1', send: () => reply.promise });
    clock.advance(49);
    reply.resolve('value');
    expect(await read).toEqual({ value: 'value', durationMs: 49 });
  });

  test('invariant 18: is given up when its budget is over, and what comes later is dropped', async () => {
    const { clock, gate, events } = setUp();
    const reply = Promise.withResolvers<string>();
    const read = gate.read({ operation: 'get', key: 'a:1', send: () => reply.promise });
    clock.advance(50);
    expect(await read).toBeUndefined();
    reply.resolve('late');
    await turns();
    expect(events).toEqual([{ kind: 'redis', operation: 'get', result: 'over-budget', durationMs: 50, bytes: 0 }]);
  });

  test('takes an answer that was there in time but read late, since timers come before sockets in a busy process', async () => {
    // On the event loop itself: what has come is read in the same turn in which the timer falls due.
    const busy = new RedisGate({
      link: { isReady: true, onReady: () => {}, get: () => new Promise(() => {}), unlink: async () => {}, run: hang },
      clock: systemClock,
      config: { timeoutMs: 10, maxPendingBytes: 1, breaker: { failures: 3, pauseMs: 1000, maxPauseMs: 3000 } },
      leased: () => true,
      observer: { fleet: () => {}, limit: () => {} },
    });
    open.push(busy);
    const read = busy.read({
      operation: 'get',
      key: 'a:1',
      send: () => new Promise<string>((resolve) => setImmediate(() => resolve('in time'))),
    });
    const untilMs = performance.now() + 30;
    while (performance.now() < untilMs);
    expect(await read).toMatchObject({ value: 'in time' });
  });

  test('has a fifth of the budget left where the node answered just now, however long the request has waited', async () => {
    const { clock, gate, succeed } = setUp();
    await succeed();
    const ask = (waitedMs: number) => {
      const reply = Promise.withResolvers<string>();
      const read = gate.read({ operation: 'claim', key: 'a:1', waitedMs, send: () => reply.promise });
      return { reply, read };
    };
    const first = ask(80);
    clock.advance(9);
    first.reply.resolve('value');
    expect(await first.read).toMatchObject({ value: 'value' });
    const second = ask(80);
    clock.advance(10);
    expect(await second.read).toBeUndefined();
    clock.advance(1);
    const third = ask(80);
    expect(await third.read).toBeUndefined();
  });

  test('that had but the rest of a budget, or went beside another, says nothing of its node by being slow', async () => {
    const { clock, gate, succeed, states } = setUp();
    for (let count = 0; count < 3; count += 1) {
      const rest = gate.read({ operation: 'get', key: 'a:1', waitedMs: 20, send: hang });
      clock.advance(30);
      expect(await rest).toBeUndefined();
      const beside = gate.read({ operation: 'claim', key: 'a:1', isBeside: true, send: hang });
      clock.advance(50);
      expect(await beside).toBeUndefined();
    }
    expect(states()).toEqual([]);
    await succeed();
    for (let count = 0; count < 3; count += 1) {
      const whole = gate.read({ operation: 'get', key: 'a:1', send: hang });
      clock.advance(50);
      await whole;
    }
    expect(states()).toEqual(['open']);
  });

  test('tells whether its node is far: it has not answered within a fifth of the budget for a second', async () => {
    const { clock, gate, state, breakIt } = setUp();
    const answerAfter = async (ms: number, key: string): Promise<void> => {
      const reply = Promise.withResolvers<string>();
      const read = gate.read({ operation: 'get', key, send: () => reply.promise });
      clock.advance(ms);
      reply.resolve('value');
      await read;
    };
    expect(gate.isFar('a:1')).toBe(true);
    await answerAfter(11, 'a:1');
    expect(gate.isFar('a:1')).toBe(true);
    await answerAfter(10, 'a:1');
    expect([gate.isFar('a:2'), gate.isFar('b:1')]).toEqual([false, true]);
    clock.advance(1000);
    expect(gate.isFar('a:1')).toBe(false);
    clock.advance(1);
    expect(gate.isFar('a:1')).toBe(true);
    await breakIt();
    expect([gate.isFar('a:1'), gate.isFar('b:1')]).toEqual([false, true]);
    state.leased = false;
    expect(gate.isFar('b:1')).toBe(false);
  });

  test('that fails after its budget counts once, and is no unhandled rejection', async () => {
    const { clock, gate, results, states } = setUp();
    for (let count = 0; count < 2; count += 1) {
      const reply = Promise.withResolvers<string>();
      const read = gate.read({ operation: 'get', key: 'a:1', send: () => reply.promise });
      clock.advance(50);
      await read;
      reply.reject(new RedisFailure('closed', 'closed'));
      await turns();
    }
    expect(results()).toEqual(['over-budget', 'over-budget']);
    expect(states()).toEqual([]);
  });

  test('leaves no timer behind', async () => {
    const timers = new Set<() => void>();
    const { gate, succeed, clock } = setUp();
    const after = clock.after.bind(clock);
    clock.after = (delayMs, callback) => {
      const cancel = after(delayMs, callback);
      timers.add(cancel);
      return () => {
        timers.delete(cancel);
        cancel();
      };
    };
    await Promise.all([succeed(), succeed()]);
    expect(timers.size).toBe(0);
    expect(gate.status().breaker).toBe('closed');
  });

  test('has as much less of the budget as its request has waited before', async () => {
    const { clock, gate, events, results } = setUp();
    const read = gate.read({ operation: 'claim', key: 'a:1', waitedMs: 30, send: hang });
    clock.advance(20);
    expect(await read).toBeUndefined();
    let sent = false;
    const send = () => ((sent = true), hang());
    expect(await gate.read({ operation: 'claim', key: 'a:1', waitedMs: 50, send })).toBeUndefined();
    expect(sent).toBe(false);
    expect(results()).toEqual(['over-budget', 'spent']);
    expect(events.at(-1)).toMatchObject({ durationMs: undefined, bytes: 0 });
  });

  test('that found no connection took no time, and one whose connection broke took some', async () => {
    const { clock, gate, events } = setUp();
    const call = { operation: 'get', key: 'a:1' } as const;
    const unsent = new RedisFailure('closed', 'closed', { isUnsent: true });
    await gate.read({ ...call, send: () => Promise.reject(unsent) });
    await gate.write({ ...call, operation: 'put', send: () => Promise.reject(unsent) });
    const reply = Promise.withResolvers<string>();
    const read = gate.read({ ...call, send: () => reply.promise });
    clock.advance(7);
    reply.reject(new RedisFailure('closed', 'closed'));
    await read;
    const told = { kind: 'redis', operation: 'get', result: 'closed', durationMs: undefined, bytes: 0 };
    expect(events.filter(({ kind }) => kind === 'redis')).toEqual([
      told,
      { ...told, operation: 'put' },
      { ...told, durationMs: 7 },
    ]);
  });

  test('tells a late answer to whoever left something behind', async () => {
    const { clock, gate } = setUp();
    const reply = Promise.withResolvers<string>();
    const heard: string[] = [];
    const late = (value: string) => void heard.push(value);
    const read = gate.read({ operation: 'claim', key: 'a:1', send: () => reply.promise, late });
    clock.advance(50);
    await read;
    reply.resolve('ours');
    await expect.poll(() => heard).toEqual(['ours']);
  });

  test('is gone on from once, though its answer comes late, and what hears that may throw', async () => {
    const { clock, gate } = setUp();
    const reply = Promise.withResolvers<string>();
    const finished: unknown[] = [];
    const call = { operation: 'get', key: 'a:1', send: () => reply.promise, late: failing } as const;
    const read = gate.readAs(call, (answer) => void finished.push(answer));
    clock.advance(50);
    await read;
    reply.resolve('value');
    await reply.promise;
    await new Promise((resolve) => void setImmediate(resolve));
    expect(finished).toEqual([undefined]);
  });

  test('is gone on from though what hears of its answer throws, which is reported', async () => {
    const { bugs, fail } = setUp({ hears: failing });
    await fail();
    expect(bugs).toEqual([new Error('late')]);
  });

  test('that is not sent tells whoever asks of what is thrown for want of an answer', async () => {
    const { gate, breakIt } = setUp();
    await breakIt();
    const call = { operation: 'get', key: 'a:1', send: hang } as const;
    await expect(gate.readAs(call, failing)).rejects.toThrow('late');
    await expect(gate.readAs({ ...call, key: 'b:1', waitedMs: 1000 }, failing)).rejects.toThrow('late');
  });

  test('without a lease is not sent', async () => {
    const { gate, state, events, results } = setUp();
    state.leased = false;
    let sent = false;
    const send = () => ((sent = true), Promise.resolve('value'));
    expect(await gate.read({ operation: 'get', key: 'a:1', send })).toBeUndefined();
    expect(await gate.write({ operation: 'put', key: 'a:1', send })).toBeUndefined();
    expect([sent, results()]).toEqual([false, ['lease', 'lease']]);
    for (const event of events) expect(event).toMatchObject({ durationMs: undefined, bytes: 0 });
  });
});

describe('the breaker', () => {
  test('opens at the third failure in a row, not before, and then nothing is sent', async () => {
    const { gate, fail, succeed, states, results } = setUp();
    await fail();
    await fail();
    await succeed();
    await fail();
    await fail();
    expect(states()).toEqual([]);
    expect(gate.status().breaker).toBe('closed');
    await fail();
    expect(states()).toEqual(['open']);
    expect(gate.status().breaker).toBe('open');
    expect(await succeed()).toBeUndefined();
    expect(results().at(-1)).toBe('breaker');
  });

  test('counts budgets that were missed', async () => {
    const { clock, gate, states } = setUp();
    const reads = [1, 2, 3].map(() => gate.read({ operation: 'get', key: 'a:1', send: hang }));
    clock.advance(50);
    await Promise.all(reads);
    expect(states()).toEqual(['open']);
  });

  test('does not count budgets that were missed because the process itself stood still', async () => {
    const { clock, gate, states, results } = setUp();
    const reads = [1, 2, 3].map(() => gate.read({ operation: 'get', key: 'a:1', send: hang }));
    const monotonicMs = clock.monotonicMs.bind(clock);
    clock.monotonicMs = () => monotonicMs() + 60;
    clock.advance(50);
    await Promise.all(reads);
    expect([states(), results()]).toEqual([[], ['over-budget', 'over-budget', 'over-budget']]);
  });

  test.each(['closed', 'timeout', 'loading', 'clusterdown', 'auth'] as const)('counts %s', async (kind) => {
    const { fail, states } = setUp();
    for (let count = 0; count < 3; count += 1) await fail(kind);
    expect(states()).toEqual(['open']);
  });

  test.each(['readonly', 'oom', 'noreplicas', 'other'] as const)('does not count %s, a quick answer', async (kind) => {
    const { fail, states, results } = setUp();
    for (let count = 0; count < 30; count += 1) await fail(kind);
    expect(states()).toEqual([]);
    expect(results()).toEqual(Array.from({ length: 30 }, () => kind));
  });

  test('closes when its own probe, after the pause, is answered: no request pays for finding out', async () => {
    const { clock, gate, probes, succeed, states, breakIt } = setUp();
    await breakIt();
    clock.advance(999);
    expect(probes).toEqual([]);
    clock.advance(1);
    expect(probes.map(({ key }) => key)).toEqual(['a:1:l']);
    expect(gate.status().breaker).toBe('half-open');
    expect(await succeed()).toBeUndefined();
    probes[0]?.settle.resolve(null);
    await turns();
    expect(states()).toEqual(['open', 'half-open', 'closed']);
    expect(await succeed()).toMatchObject({ value: 'value' });
  });

  test('doubles its pause with each probe that fails or hangs, up to the longest', async () => {
    const { clock, probes, states, breakIt } = setUp();
    await breakIt();
    for (const [index, pauseMs] of [1000, 2000, 3000, 3000].entries()) {
      clock.advance(pauseMs - 1);
      expect(probes).toHaveLength(index);
      clock.advance(1);
      expect(probes).toHaveLength(index + 1);
      if (index % 2 === 0) probes[index]?.settle.reject(new RedisFailure('closed', 'closed'));
      else clock.advance(50);
      await turns();
    }
    expect(states().at(-1)).toBe('open');
  });

  test('begins anew with the first pause after it was closed', async () => {
    const { clock, probes, breakIt } = setUp();
    await breakIt();
    clock.advance(1000);
    probes[0]?.settle.reject(new RedisFailure('closed', 'closed'));
    await turns();
    clock.advance(2000);
    probes[1]?.settle.resolve(null);
    await turns();
    await breakIt();
    clock.advance(1000);
    expect(probes).toHaveLength(3);
  });

  test.each([
    [0, 800],
    [0.75, 1100],
  ])('chance %f makes the pause %i ms', async (random, pauseMs) => {
    const { clock, probes, breakIt } = setUp({ random });
    await breakIt();
    clock.advance(pauseMs - 1);
    expect(probes).toEqual([]);
    clock.advance(1);
    expect(probes).toHaveLength(1);
  });

  test('probes at once when the connection is back, whatever its pause has become', async () => {
    const { clock, probes, state, states, breakIt } = setUp();
    await breakIt();
    clock.advance(1000);
    probes[0]?.settle.reject(new RedisFailure('closed', 'closed'));
    await turns();
    state.ready();
    expect(probes).toHaveLength(2);
    probes[1]?.settle.resolve(null);
    await turns();
    expect(states().at(-1)).toBe('closed');
    // The pause that was cut short is over for good.
    clock.advance(10_000);
    expect(probes).toHaveLength(2);
  });

  test('does not probe without a lease, and finds out within a first pause of having one again', async () => {
    const { clock, probes, state, states, breakIt } = setUp();
    await breakIt();
    state.leased = false;
    for (let second = 0; second < 10; second += 1) {
      clock.advance(1000);
      await turns();
    }
    expect(probes).toEqual([]);
    state.leased = true;
    clock.advance(1000);
    expect(probes).toHaveLength(1);
    probes[0]?.settle.resolve(null);
    await turns();
    expect(states().at(-1)).toBe('closed');
  });

  test('that was disposed of while its probe was under way says and does nothing more', async () => {
    const { clock, gate, probes, states, breakIt } = setUp();
    await breakIt();
    clock.advance(1000);
    gate[Symbol.dispose]();
    probes[0]?.settle.reject(new RedisFailure('closed', 'closed'));
    await turns();
    clock.advance(100_000);
    expect([probes.length, states()]).toEqual([1, ['open', 'half-open']]);
  });

  test('of one node of a cluster does not keep anyone from another', async () => {
    const { gate, fail, succeed, breakIt } = setUp();
    await fail('timeout', 'b:1');
    await breakIt();
    expect(await succeed('a:2')).toBeUndefined();
    expect(await succeed('b:2')).toMatchObject({ value: 'value' });
    expect(gate.status().breaker).toBe('open');
  });

  test('takes no word from calls that were sent before it opened', async () => {
    const { gate, breakIt, states } = setUp();
    const reply = Promise.withResolvers<string>();
    const read = gate.read({ operation: 'get', key: 'a:1', send: () => reply.promise });
    await breakIt();
    reply.resolve('value');
    expect(await read).toMatchObject({ value: 'value' });
    expect(states()).toEqual(['open']);
  });
});

describe('bytes that are under way', () => {
  test('are booked up to the limit, and no further', () => {
    const { gate, limits } = setUp({ maxPendingBytes: 1000 });
    const first = gate.hold(600);
    expect(gate.hold(401)).toBeUndefined();
    expect(limits).toEqual(['store.redis.maxPendingBytes']);
    const second = gate.hold(400);
    expect(second).toBeDefined();
    expect(gate.status()).toEqual({ breaker: 'closed', pendingBytes: 1000, maxPendingBytes: 1000 });
    expect(gate.hold(1)).toBeUndefined();
    first?.[Symbol.dispose]();
    first?.[Symbol.dispose]();
    expect(gate.status().pendingBytes).toBe(400);
  });
});
