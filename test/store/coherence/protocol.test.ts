import { describe, expect, test } from 'vitest';
import { isLeased, type LogState, reduce, type Synced, unknownLog } from '../../../src/store/coherence/protocol.ts';
import type { LogEntry, SyncReply } from '../../../src/store/coherence/replies.ts';
import { allRules } from '../../../src/store/coherence/rules.ts';
import { Skew } from '../../../src/store/coherence/skew.ts';

const leaseMs = 1000;

function entries(...seqs: readonly number[]): readonly LogEntry[] {
  return seqs.map((seq) => ({ seq, atMs: 0, what: { kind: 'hard', scopes: [`t:${seq}`] } }));
}

function at(ms: number) {
  return { monoMs: ms, wallMs: 5000 + ms };
}

function synced(reply: Partial<SyncReply>, ack: Synced['ack'] = { epoch: '', seq: 0 }): Synced {
  const head = { epoch: 'e1', seq: 0, floor: 0, nowMs: 0, reason: 'new', made: false } as const;
  return {
    kind: 'synced',
    sent: at(100),
    received: at(130),
    ack,
    reply: { ...head, entries: [], longestMs: leaseMs, ...reply },
  };
}

function after(...events: readonly Synced[]): LogState {
  return events.reduce((state, event) => reduce(state, event, allRules).state, unknownLog);
}

const known = after(synced({ seq: 2, entries: entries(1, 2) }));
const acked = { epoch: 'e1', seq: 2 };

function again(event: Synced, state = known): boolean {
  return reduce(state, event, allRules).effects.some((effect) => effect.kind === 'sync-again');
}

/** So long after it was asked for, by the two clocks. */
function held(monoMs: number, wallMs = monoMs): boolean {
  return isLeased(known, { monoMs: 100 + monoMs, wallMs: 5100 + wallMs }, leaseMs, allRules);
}

function received(epoch: string, longestMs: number, ms: number): Synced {
  return { ...synced({ epoch, longestMs }), received: at(ms) };
}

describe('the longest lease that any process may have', () => {
  test('is remembered here where Redis has lost it with the epoch', () => {
    const states = [received('e1', 300_000, 100), received('e2', 2000, 200), received('e2', 2000, 300_000)];
    expect(after(...states).longestMs).toBe(300_000);
  });

  test('is forgotten in an epoch in which nobody has it, when whoever had it before cannot have it any more', () => {
    const states = [received('e1', 300_000, 0), received('e2', 2000, 1000)];
    expect(after(...states, received('e2', 2000, 311_000)).longestMs).toBe(300_000);
    expect(after(...states, received('e2', 2000, 311_001)).longestMs).toBe(2000);
  });

  test('grows at once', () => {
    expect(after(received('e1', 2000, 0), received('e1', 300_000, 1)).longestMs).toBe(300_000);
  });
});

describe('a sync', () => {
  test('grants a lease from when it was sent, once all that it showed is applied', () => {
    expect(known).toMatchObject({ epoch: 'e1', applied: 2, renewed: at(100), met: true });
    const partial = after(synced({ seq: 3, entries: entries(1, 2) }));
    expect(partial).toMatchObject({ applied: 2, renewed: undefined, met: false });
  });

  test('without the rule the lease counts from when the answer came', () => {
    const rules = { ...allRules, leaseFromSend: false };
    expect(reduce(unknownLog, synced({}), rules).state.renewed).toEqual(at(130));
  });

  test('asks for another one while there is more to read or to acknowledge, and no longer', () => {
    expect(again(synced({ seq: 2 }, acked))).toBe(false);
    expect(again(synced({ seq: 3, entries: entries(3) }, acked))).toBe(true);
    expect(again(synced({ seq: 9 }, acked))).toBe(false);
    expect(again(synced({ seq: 1, entries: entries(1) }), unknownLog)).toBe(true);
    // Of the epoch before more was acknowledged, which says nothing of this one.
    expect(again(synced({ epoch: 'e2', seq: 1, entries: entries(1) }, acked))).toBe(true);
  });

  test('does not apply what comes after a gap, nor grant a lease for it', () => {
    const { state, effects } = reduce(known, synced({ seq: 5, entries: entries(3, 5) }, acked), allRules);
    expect(state).toMatchObject({ applied: 3, renewed: known.renewed });
    expect(effects[0]).toMatchObject({ kind: 'apply', entries: entries(3) });
    const gap = reduce(known, synced({ seq: 5, entries: entries(4, 5) }, acked), allRules);
    expect(gap).toEqual({ state: { ...known, lastSeq: 5 }, effects: [] });
  });

  test('applies nothing twice', () => {
    const { effects } = reduce(known, synced({ seq: 3, entries: entries(1, 2, 3) }, acked), allRules);
    expect(effects[0]).toMatchObject({ kind: 'apply', entries: entries(3) });
  });

  test('of another epoch starts anew, and keeps no lease of the old one', () => {
    const { state, effects } = reduce(known, synced({ epoch: 'e2', seq: 1, reason: 'failover' }, acked), allRules);
    expect(state).toMatchObject({ epoch: 'e2', applied: 0, floor: 0, renewed: undefined, epochSeenMs: 130 });
    expect(effects).toEqual([{ kind: 'epoch', epoch: 'e2', reason: 'failover', first: false }]);
  });

  test('that shows less than was applied renews nothing', () => {
    const { state } = reduce(known, { ...synced({ seq: 1 }, acked), sent: at(500) }, allRules);
    expect(state.renewed).toEqual(known.renewed);
  });

  test('invariant 16: skips what was trimmed, and refuses positions from before it', () => {
    const { state, effects } = reduce(known, synced({ seq: 6, floor: 5, entries: entries(6) }, acked), allRules);
    expect(state).toMatchObject({ applied: 6, floor: 5, renewed: at(100) });
    expect(effects).toContainEqual({ kind: 'floor', floor: 5 });
  });

  test('of a log without the last that was applied asks again, to acknowledge what it has brought', () => {
    expect(again(synced({ seq: 6, floor: 5, entries: entries(6) }, acked))).toBe(true);
    expect(again(synced({ seq: 6, floor: 6 }, acked))).toBe(true);
    expect(again(synced({ epoch: 'e2', seq: 6, floor: 6 }, acked))).toBe(true);
  });

  test('after the process has left grants nothing', () => {
    const left = reduce(known, { kind: 'left' }, allRules).state;
    expect(left.renewed).toBeUndefined();
    expect(reduce(left, synced({ seq: 2 }, acked), allRules).state.renewed).toBeUndefined();
    expect(reduce(left, synced({ epoch: 'e2' }, acked), allRules).state.left).toBe(true);
  });

  test('tells what happened before the process was there from what happens now', () => {
    const first = reduce(unknownLog, synced({ seq: 1, entries: entries(1) }), allRules);
    expect(first.effects).toContainEqual({ kind: 'apply', entries: entries(1), replayed: true });
    const later = reduce(known, synced({ epoch: 'e2', seq: 1, entries: entries(1) }, acked), allRules);
    expect(later.effects).toContainEqual({ kind: 'apply', entries: entries(1), replayed: false });
  });

  test('a table that is too full raises the floor, never beyond what is applied, and never lowers it', () => {
    const overflow = (floor: number, state = known) => reduce(state, { kind: 'overflowed', floor }, allRules);
    expect(overflow(9).state.floor).toBe(2);
    expect(overflow(1)).toMatchObject({ state: { floor: 1 }, effects: [{ kind: 'floor', floor: 1 }] });
    expect(overflow(1, overflow(2).state)).toEqual({ state: { ...known, floor: 2 }, effects: [] });
    expect(overflow(2, overflow(2).state)).toEqual({ state: { ...known, floor: 2 }, effects: [] });
  });
});

describe('invariant 4: a lease', () => {
  test('holds for nine tenths of its length by the monotonic clock', () => {
    expect([held(0), held(900), held(901)]).toEqual([true, true, false]);
    // Whatever the wall clock says, which may have been set back.
    expect([held(900, 810), held(901, 810)]).toEqual([true, false]);
  });

  test('and by the wall clock, which may not have gone back by more than a tenth', () => {
    expect([held(10, 900), held(10, 901)]).toEqual([true, false]);
    expect([held(10, -100), held(10, -101)]).toEqual([true, false]);
  });

  test('is none before the first answer, nor without the rule', () => {
    expect(isLeased(unknownLog, at(0), leaseMs, { ...allRules, lease: false })).toBe(false);
    expect(isLeased(known, at(1e9), leaseMs, { ...allRules, lease: false })).toBe(true);
  });
});

/** After an answer in 20 ms by which Redis is ahead by `aheadMs`, and one in 40 ms, by which it is by another time. */
function afterTwo(aheadMs: number, thenMs: number, atMs = 100): number {
  const skew = new Skew();
  skew.note(at(atMs), at(atMs + 20), 5000 + atMs + 10 + aheadMs);
  skew.note(at(atMs + 100), at(atMs + 140), 5000 + atMs + 120 + thenMs);
  return skew.ms;
}

/** After an answer in 2 ms, and one in 12 ms that comes so much later and is ahead by 3 ms more. */
function afterSlower(laterMs: number): number {
  const skew = new Skew();
  skew.note(at(0), at(2), 5001);
  skew.note(at(laterMs), at(laterMs + 12), 5000 + laterMs + 6 + 3);
  return skew.ms;
}

describe('invariant 11: the difference of the clocks', () => {
  test('is 0 before anything is known, and then taken in the middle of the round trip', () => {
    const skew = new Skew();
    expect(skew.ms).toBe(0);
    skew.note(at(0), at(100), 8_000);
    expect(skew.ms).toBe(8000 - 5050 + 1);
  });

  test('is taken from the fastest answer', () => {
    const skew = new Skew();
    skew.note(at(0), at(2), 5000);
    skew.note(at(10), at(210), 5000 + 10 + 60);
    expect(skew.ms).toBe(0);
    skew.note(at(300), at(300), 5000 + 300);
    expect(skew.ms).toBe(1);
  });

  test('is contradicted by what is farther from it than both may be wrong by, in either direction', () => {
    // Half of each round trip, and a millisecond for the rounding of each.
    expect([afterTwo(0, 32), afterTwo(0, 33)]).toEqual([1, 34]);
    expect([afterTwo(0, -32), afterTwo(0, -33)]).toEqual([1, -32]);
    expect([afterTwo(1000, 1010), afterTwo(-1000, -1010)]).toEqual([1001, -999]);
  });

  test('is as old as the answer that it was taken from, however long the process runs', () => {
    expect(afterTwo(0, 10, 1e9)).toBe(1);
    expect([afterSlower(60_000 - 10), afterSlower(60_001 - 10)]).toEqual([1, 4]);
  });

  test('is that of the later one of two answers that came as fast', () => {
    const skew = new Skew();
    skew.note(at(0), at(10), 5005);
    skew.note(at(100), at(110), 5105 + 5);
    expect(skew.ms).toBe(6);
  });

  test('is taken anew where an answer contradicts it, and after a minute', () => {
    const skew = new Skew();
    skew.note(at(0), at(2), 5000);
    skew.note(at(10), at(210), 65_000);
    expect(skew.ms).toBe(65_000 - 5110 + 1);
    const old = new Skew();
    old.note(at(0), at(2), 5000);
    old.note(at(60_010), at(60_020), 65_000 + 10 + 9);
    expect(old.ms).toBeGreaterThan(2);
  });
});
