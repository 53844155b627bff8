import { describe, expect, test } from 'vitest';
import {
  acknowledged,
  type Barrier,
  judge,
  marginMs,
  openBarrier,
  patienceOf,
  slackMs,
  unanswered,
} from '../../../src/store/coherence/barrier.ts';
import type { AcksReply, PurgeReply } from '../../../src/store/coherence/replies.ts';
import { allRules } from '../../../src/store/coherence/rules.ts';

const leaseMs = 2000;
const head = { epoch: 'e1', seq: 7, floor: 0, nowMs: 0, reason: 'new', made: false } as const;
const members = [
  { id: 'ann', leftMs: 1900 },
  { id: 'bob', leftMs: 1000 },
];

function opened(more: Partial<PurgeReply> = {}, epochSeenMs = -1e6, { graceMs = 0, longestMs = 0 } = {}): Barrier {
  const reply = { ...head, members, longestMs: leaseMs, ageMs: 0, ...more };
  return openBarrier({
    reply,
    startedMs: 100,
    nowMs: 110,
    state: { epoch: 'e1', epochSeenMs, longestMs },
    leaseMs,
    graceMs,
  });
}

function acks(entries: Readonly<Record<string, number | undefined>>, epoch = 'e1'): AcksReply {
  return { ...head, epoch, acks: new Map(Object.entries(entries)) };
}

function verdictAt(barrier: Barrier, nowMs: number, patienceMs?: number) {
  return judge(barrier, nowMs, patienceMs, allRules);
}

describe('a barrier', () => {
  test('opens when all have acknowledged, and knows how long each took', () => {
    const first = acknowledged(opened(), acks({ ann: 7, bob: 6 }), 115);
    expect(verdictAt(first, 115)).toEqual({ kind: 'wait' });
    const both = acknowledged(first, acks({ bob: 9 }), 130);
    expect(verdictAt(both, 130)).toEqual({ kind: 'complete' });
    expect([...both.applied]).toEqual([
      ['ann', 15],
      ['bob', 30],
    ]);
  });

  test('opens at the end of the lease that began last, and a margin, whoever is missing', () => {
    const barrier = opened();
    expect(verdictAt(barrier, 110 + leaseMs + marginMs - 1)).toEqual({ kind: 'wait' });
    expect(verdictAt(barrier, 110 + leaseMs + marginMs)).toEqual({ kind: 'complete' });
    const longer = opened({ members: [{ id: 'ann', leftMs: 9000 }] });
    expect(verdictAt(longer, 110 + 9000 + marginMs - 1)).toEqual({ kind: 'wait' });
    expect(verdictAt(longer, 110 + 9000 + marginMs)).toEqual({ kind: 'complete' });
  });

  test('does not wait for who has left, and does not call him one who applied it', () => {
    const barrier = acknowledged(opened(), acks({ ann: undefined, bob: 7 }), 120);
    expect(verdictAt(barrier, 120)).toEqual({ kind: 'complete' });
    expect([...barrier.applied.keys()]).toEqual(['bob']);
  });

  test('takes acknowledgements in another epoch for nothing', () => {
    const barrier = acknowledged(opened(), acks({ ann: 9, bob: 9 }, 'e2'), 120);
    expect(verdictAt(barrier, 120)).toEqual({ kind: 'wait' });
    expect(barrier.waiting.size).toBe(2);
  });

  test('takes those for nothing that an older copy of the log tells of, which does not know who has come since', () => {
    const put = { ...acks({ ann: 6, bob: undefined }), seq: 6 };
    const barrier = acknowledged(opened(), put, 120);
    expect([...barrier.waiting]).toEqual(['ann', 'bob']);
    expect(verdictAt(barrier, 120)).toEqual({ kind: 'wait' });
  });

  test('knows again that the log is heard of where what it heard is of another epoch', () => {
    const unheard = unanswered(opened());
    const endMs = 110 + leaseMs + marginMs;
    expect(verdictAt(unheard, endMs)).toEqual({ kind: 'refused' });
    expect(verdictAt(acknowledged(unheard, acks({}, 'e2'), 120), endMs)).toEqual({ kind: 'complete' });
  });

  test('takes no lease of an earlier epoch for one that may be left where the reply came in the very millisecond of the start', () => {
    const reply = { ...head, members, longestMs: 300_000, ageMs: 1e6 };
    const state = { epoch: 'e1', epochSeenMs: -1e6, longestMs: 0 };
    const barrier = openBarrier({ reply, startedMs: 100, nowMs: 100, state, leaseMs, graceMs: 0 });
    expect(barrier.longestMs).toBe(leaseMs);
    expect(patienceOf(barrier, { coherence: 'strict', purgeWaitMs: 1 })).toBeUndefined();
  });

  test('takes acknowledgements of those who were not asked for nothing', () => {
    expect(acknowledged(opened(), acks({ cat: 7 }), 120).applied.size).toBe(0);
  });

  test('opens in a young epoch when no lease of an earlier one can be left', () => {
    const all = acks({ ann: 7, bob: 7 });
    const seenBefore = acknowledged(opened({}, 0), all, 120);
    expect(verdictAt(seenBefore, leaseMs + marginMs - 1)).toEqual({ kind: 'wait' });
    expect(verdictAt(seenBefore, leaseMs + marginMs)).toEqual({ kind: 'complete' });
    const unseen = acknowledged(opened({ epoch: 'e2' }), acks({ ann: 7, bob: 7 }, 'e2'), 120);
    expect(verdictAt(unseen, 110 + leaseMs + marginMs - 1)).toEqual({ kind: 'wait' });
    expect(verdictAt(unseen, 110 + leaseMs + marginMs)).toEqual({ kind: 'complete' });
  });

  test('waits longer in a young epoch where a lost master may still have granted leases', () => {
    const barrier = acknowledged(opened({}, 0, { graceMs: 3000 }), acks({ ann: 7, bob: 7 }), 120);
    expect(verdictAt(barrier, 3000 + leaseMs + marginMs - 1)).toEqual({ kind: 'wait' });
    expect(verdictAt(barrier, 3000 + leaseMs + marginMs)).toEqual({ kind: 'complete' });
  });

  test('waits in a young epoch for the longest lease that Redis or the process itself remembers', () => {
    const all = acks({ ann: 7, bob: 7 });
    for (const barrier of [opened({ longestMs: 9000 }, 0), opened({}, 0, { longestMs: 9000 })]) {
      const heard = acknowledged(barrier, all, 120);
      expect(verdictAt(heard, 9000 + marginMs - 1)).toEqual({ kind: 'wait' });
      expect(verdictAt(heard, 9000 + marginMs)).toEqual({ kind: 'complete' });
    }
  });

  test('takes the word of Redis that the epoch is old, with room for a step of its clock', () => {
    const all = acks({ ann: 7, bob: 7 });
    const young = acknowledged(opened({ ageMs: leaseMs + slackMs - 1 }, 0), all, 120);
    expect(verdictAt(young, 120)).toEqual({ kind: 'wait' });
    const old = acknowledged(opened({ ageMs: leaseMs + slackMs }, 0), all, 120);
    expect(verdictAt(old, 120)).toEqual({ kind: 'complete' });
  });

  test('counts what Redis has counted of the age of an epoch that was not seen to begin', () => {
    const all = acks({ ann: 7, bob: 7 });
    // Seen 10 ms before the purge was asked for; a lease of 300 s may be left, and the epoch is 200 s old.
    const lately = acknowledged(opened({ longestMs: 300_000, ageMs: 200_000 }, 90), all, 120);
    const endMs = 110 + 100_000 + slackMs + marginMs;
    expect(verdictAt(lately, endMs - 1)).toEqual({ kind: 'wait' });
    expect(verdictAt(lately, endMs)).toEqual({ kind: 'complete' });
    // Who has seen it for longer than Redis can vouch for takes his own word.
    const longAgo = acknowledged(opened({ longestMs: 300_000, ageMs: 200_000 }, -200_000), all, 120);
    expect(verdictAt(longAgo, 100_000 + marginMs - 1)).toEqual({ kind: 'wait' });
    expect(verdictAt(longAgo, 100_000 + marginMs)).toEqual({ kind: 'complete' });
  });

  test('counts the time of a lost master by the clock of Redis too', () => {
    const all = acks({ ann: 7, bob: 7 });
    const more = { longestMs: 300_000, ageMs: 200_000 };
    const barrier = acknowledged(opened(more, 90, { graceMs: 3000 }), all, 120);
    const endMs = 110 + 103_000 + slackMs + marginMs;
    expect(verdictAt(barrier, endMs - 1)).toEqual({ kind: 'wait' });
    expect(verdictAt(barrier, endMs)).toEqual({ kind: 'complete' });
  });

  test('takes an epoch that Redis says is younger than this process knows for no reason to wait longer', () => {
    const barrier = acknowledged(opened({ ageMs: 0 }, 0), acks({ ann: 7, bob: 7 }), 120);
    expect(verdictAt(barrier, leaseMs + marginMs)).toEqual({ kind: 'complete' });
  });

  test('is refused where the last question was not answered, and only then', () => {
    const unheard = unanswered(opened());
    expect(verdictAt(unheard, 200)).toEqual({ kind: 'wait' });
    expect(verdictAt(unheard, 110 + leaseMs + marginMs)).toEqual({ kind: 'refused' });
    expect(verdictAt(unheard, 300, 100)).toEqual({ kind: 'refused' });
    const heardAgain = acknowledged(unheard, acks({ ann: 1 }), 300);
    expect(verdictAt(heardAgain, 110 + leaseMs + marginMs)).toEqual({ kind: 'complete' });
  });

  test('is left by who has no patience, with what is left of the wait', () => {
    const barrier = opened();
    expect(verdictAt(barrier, 599, 500)).toEqual({ kind: 'wait' });
    expect(verdictAt(barrier, 600, 500)).toEqual({ kind: 'partial', leftMs: 110 + leaseMs + marginMs - 600 });
  });

  test('once all have acknowledged leaves of the wait what is left of leases of earlier epochs', () => {
    const opening = opened({ longestMs: 9000, members: [{ id: 'ann', leftMs: 9000 }] }, -5000);
    expect(verdictAt(opening, 600, 500)).toEqual({ kind: 'partial', leftMs: 110 + 9000 + marginMs - 600 });
    const heard = acknowledged(opening, acks({ ann: 7 }), 120);
    expect(verdictAt(heard, 600, 500)).toEqual({ kind: 'partial', leftMs: 4000 + marginMs - 600 });
    expect(verdictAt(heard, 4000 + marginMs, 500)).toEqual({ kind: 'complete' });
  });

  test('is no barrier without its rule', () => {
    expect(judge(opened(), 110, undefined, { ...allRules, barrier: false })).toEqual({ kind: 'complete' });
  });
});

describe('the patience of a purge', () => {
  const strict = { coherence: 'strict', purgeWaitMs: 500 } as const;
  const longest = 60_000;

  test('is purgeWait with available, whatever leases there are', () => {
    expect(patienceOf(opened(), { ...strict, coherence: 'available' })).toBe(500);
    expect(patienceOf(opened({ longestMs: 300_000 }), { ...strict, coherence: 'available' })).toBe(500);
  });

  test('has no end with strict while all leases are such as strict allows', () => {
    expect(patienceOf(opened(), strict)).toBeUndefined();
    expect(patienceOf(opened({ longestMs: longest }, 0, { longestMs: longest }), strict)).toBeUndefined();
  });

  test('ends with strict after its own lease where one may be left that is longer than strict allows', () => {
    const redisKnows = opened({ longestMs: longest + 1 }, 0);
    const itselfKnows = opened({}, 0, { longestMs: longest + 1 });
    const somebodyHas = opened({ members: [{ id: 'ann', leftMs: longest + 1 }] });
    for (const barrier of [redisKnows, itselfKnows, somebodyHas]) {
      const patienceMs = patienceOf(barrier, strict);
      const ownEndMs = 110 + leaseMs + marginMs;
      expect(verdictAt(barrier, ownEndMs - 1, patienceMs)).toEqual({ kind: 'wait' });
      expect(verdictAt(barrier, ownEndMs, patienceMs)).toMatchObject({ kind: 'partial' });
    }
  });

  test('has no end with strict where a longer lease can be left of nobody any more', () => {
    const slower = { members: [{ id: 'ann', leftMs: 9000 }] };
    const old = opened({ ...slower, longestMs: 300_000, ageMs: 400_000 });
    expect(old.longestMs).toBe(9000);
    expect(patienceOf(old, strict)).toBeUndefined();
    expect(patienceOf(opened({ ...slower, longestMs: 300_000 }, 0), strict)).toBeDefined();
  });

  test('is enough for whatever a fleet of its own leases can make it wait', () => {
    // Somebody had a longer lease in this epoch once; what counts now are the others', of an epoch that is old, or new.
    const old = opened({ longestMs: 300_000, ageMs: 302_000 });
    expect(verdictAt(old, 110 + leaseMs + marginMs, patienceOf(old, strict))).toEqual({ kind: 'complete' });
    const young = openBarrier({
      reply: { ...head, epoch: 'e2', members: [], longestMs: leaseMs, ageMs: 0 },
      startedMs: 100,
      nowMs: 110,
      state: { epoch: 'e1', epochSeenMs: 0, longestMs: leaseMs },
      leaseMs,
      graceMs: 3000,
    });
    expect(young.ownEndMs).toBe(young.notBeforeMs);
  });
});
