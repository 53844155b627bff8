import { setImmediate as endOfTurn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';

import { TurnTimes } from '../../src/server/fast-lane-times.ts';

/** What a request may take here, and one that comes close behind another, in milliseconds. */
const answerMs = 0.004;
const pauseMs = 0.001;

describe('the times of answers on the fast lane', () => {
  let monotonicMs = 1_000;
  let wallMs = 5_000_000;
  let looks = 0;
  let times: TurnTimes;

  beforeEach(() => {
    looks = 0;
    times = new TurnTimes({
      monotonicMs: () => {
        looks += 1;
        return monotonicMs;
      },
      nowMs: () => wallMs,
    });
  });

  function pass(ms: number): void {
    monotonicMs += ms;
    wallMs += ms;
  }

  /** How long the times say that an answer took. */
  function answer(tookMs = answerMs): number {
    times.begin();
    pass(tookMs);
    return times.end();
  }

  function crowd(requests: number): readonly number[] {
    return Array.from({ length: requests }, () => {
      pass(pauseMs);
      return answer();
    });
  }

  it('are looked at for each request that comes alone', async () => {
    for (let request = 0; request < 20; request += 1) {
      pass(1);
      expect(answer()).toBeCloseTo(answerMs, 6);
      expect(times.nowMs).toBeCloseTo(wallMs - answerMs, 6);
      await endOfTurn();
    }
    expect(looks).toBe(40);
  });

  it('go on from the end of the one before where many come in one turn of the event loop', async () => {
    crowd(10);
    await endOfTurn();
    pass(3);
    looks = 0;
    const [first, ...others] = crowd(30);
    expect(first).toBeCloseTo(answerMs, 6);
    // What came between two of them is a part of the later one: that was ready all the while.
    for (const tookMs of others) expect(tookMs).toBeCloseTo(pauseMs + answerMs, 6);
    expect(looks).toBe(31);
  });

  it('add up to all the time of a crowd', () => {
    crowd(10);
    const fromMs = monotonicMs;
    const sum = crowd(30).reduce((all, tookMs) => all + tookMs, 0);
    expect(sum).toBeCloseTo(monotonicMs - fromMs, 6);
  });

  it('are looked at anew in each turn, the wall clock as well', async () => {
    crowd(10);
    await endOfTurn();
    pass(700);
    times.begin();
    expect(times.nowMs).toBe(wallMs);
    expect(times.startedMs).toBe(monotonicMs);
  });

  it('are looked at anew behind whatever is no answer', () => {
    crowd(10);
    times.interrupt();
    pass(50);
    expect(answer()).toBeCloseTo(answerMs, 6);
    expect(times.nowMs).toBeCloseTo(wallMs - answerMs, 6);
    pass(pauseMs);
    expect(answer()).toBeCloseTo(pauseMs + answerMs, 6);
  });

  it('of a request that was begun and not answered are nobody else’s', () => {
    crowd(10);
    pass(pauseMs);
    times.begin();
    times.interrupt();
    pass(20);
    expect(answer()).toBeCloseTo(answerMs, 6);
  });

  it('are looked at for each request again once they come alone', async () => {
    crowd(10);
    await endOfTurn();
    for (let request = 0; request < 6; request += 1) {
      pass(1);
      answer();
      await endOfTurn();
    }
    looks = 0;
    pass(1);
    answer();
    pass(1);
    expect(answer()).toBeCloseTo(answerMs, 6);
    expect(looks).toBe(4);
  });
});
