import { once } from 'node:events';
import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { IdleTimer, IdleWheel } from '../../src/server/fast-lane-idle.ts';

// The timeouts of sockets themselves stay real: none of these is to come to its end.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }));
afterEach(() => void vi.useRealTimers());

interface Idle {
  readonly socket: Socket;
  readonly timer: IdleTimer;
  /** Times that it was told that its time is over. */
  readonly ends: () => number;
}

function idle(wheel: IdleWheel, timeoutMs = wheel.keepAliveMs): Idle {
  const socket = new Socket();
  let count = 0;
  socket.setTimeout(timeoutMs);
  socket.on('timeout', () => (count += 1));
  return { socket, timer: new IdleTimer(wheel, socket), ends: () => count };
}

/** Between 0 and 1, alike for the same seed. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

describe('A connection that was answered on the fast lane', () => {
  it.each([300, 5_000, 65_000, 4 * 3_600_000, 30 * 86_400_000])(
    'is idle for no less than %i ms, and two ticks more at most, whenever it was last used',
    (keepAliveMs) => {
      for (const part of [0, 0.001, 0.3, 0.5, 0.99]) {
        const wheel = new IdleWheel(keepAliveMs);
        expect(2 * wheel.tickMs).toBeLessThan(keepAliveMs / 20);
        const { socket, timer, ends } = idle(wheel);
        timer.touch();
        vi.advanceTimersByTime(keepAliveMs * part);
        timer.touch();
        vi.advanceTimersByTime(keepAliveMs);
        expect(ends()).toBe(0);
        vi.advanceTimersByTime(2 * wheel.tickMs);
        expect(ends()).toBe(1);
        vi.advanceTimersByTime(3 * keepAliveMs);
        expect(ends()).toBe(1);
        socket.destroy();
        expect(vi.getTimerCount()).toBe(0);
      }
    },
  );

  it('is never ended while it is used', () => {
    const wheel = new IdleWheel(1_000);
    const { timer, ends } = idle(wheel);
    for (let count = 0; count < 200; count += 1) {
      timer.touch();
      vi.advanceTimersByTime(900);
    }
    expect(ends()).toBe(0);
    vi.advanceTimersByTime(200);
    expect(ends()).toBe(1);
  });

  it('has no timeout of its socket meanwhile, and has it again when the parser is given something', () => {
    const wheel = new IdleWheel(1_000);
    const { socket, timer, ends } = idle(wheel);
    timer.touch();
    expect(socket.timeout).toBe(0);
    timer.giveBack();
    expect(socket.timeout).toBe(1_000);
    vi.advanceTimersByTime(5_000);
    expect(ends()).toBe(0);
    timer.touch();
    expect(socket.timeout).toBe(0);
    vi.advanceTimersByTime(1_100);
    expect(ends()).toBe(1);
    socket.destroy();
  });

  it('keeps a timeout that is not that of an idle connection', () => {
    const wheel = new IdleWheel(1_000);
    const { socket, timer, ends } = idle(wheel, 7_000);
    timer.touch();
    expect(socket.timeout).toBe(7_000);
    vi.advanceTimersByTime(10_000);
    expect(ends()).toBe(0);
    socket.setTimeout(1_000);
    timer.touch();
    socket.setTimeout(7_000);
    timer.drop();
    timer.giveBack();
    expect(socket.timeout).toBe(7_000);
    socket.destroy();
  });

  it('is never ended where connections have no keep-alive time', () => {
    const { timer, ends, socket } = idle(new IdleWheel(0));
    timer.touch();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(100_000);
    expect(ends()).toBe(0);
    socket.destroy();
  });

  it('is forgotten when it is closed, whichever of many it is', async () => {
    const wheel = new IdleWheel(1_000);
    const all = Array.from({ length: 40 }, () => idle(wheel));
    for (const { timer } of all) {
      timer.touch();
      vi.advanceTimersByTime(15);
    }
    expect(vi.getTimerCount()).toBe(1);
    const [gone, kept] = [all.filter((_, index) => index % 3 !== 1), all.filter((_, index) => index % 3 === 1)];
    await Promise.all(gone.map(({ socket }) => once(socket.destroy(), 'close')));
    vi.advanceTimersByTime(1_100);
    expect(gone.map(({ ends }) => ends())).toEqual(gone.map(() => 0));
    expect(kept.map(({ ends }) => ends())).toEqual(kept.map(() => 1));
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([300, 2_000, 65_000])('is ended in its time of %i ms though each tick comes late', (keepAliveMs) => {
    let nowMs = 0;
    const wheel = new IdleWheel(keepAliveMs, () => nowMs);
    const lateMs = wheel.tickMs / 4;
    const { timer, ends, socket } = idle(wheel);
    timer.touch();
    while (ends() === 0) {
      nowMs += wheel.tickMs + lateMs;
      vi.advanceTimersByTime(wheel.tickMs);
    }
    expect(nowMs).toBeGreaterThanOrEqual(keepAliveMs);
    expect(nowMs).toBeLessThanOrEqual(keepAliveMs + 2 * (wheel.tickMs + lateMs));
    socket.destroy();
  });

  it.each([1, 2, 3, 4, 5])('is never ended early, whenever ticks come and it is used (seed %i)', (seed) => {
    const random = numbers(seed);
    let nowMs = 1e6 * random();
    const wheel = new IdleWheel(1_000, () => nowMs);
    const { tickMs } = wheel;
    const all = Array.from({ length: 30 }, () => ({ ...idle(wheel), activeMs: nowMs, seen: 0 }));
    for (const { timer } of all) timer.touch();
    const wrong: number[] = [];
    const useSome = (): void => {
      for (const one of all) {
        if (random() > 0.02) continue;
        one.activeMs = nowMs;
        // As behind what the parser was given.
        if (one.socket.timeout === 0) one.timer.giveBack();
        else one.socket.setTimeout(wheel.keepAliveMs);
        one.timer.touch();
      }
    };
    for (let turn = 0; turn < 2_000; turn += 1) {
      const gapMs = tickMs * (0.3 + 1.6 * random());
      for (const partMs of [gapMs / 2, gapMs / 2]) {
        nowMs += partMs;
        // The second time right before a tick that is late.
        useSome();
      }
      vi.advanceTimersByTime(tickMs);
      for (const one of all) {
        const idleMs = nowMs - one.activeMs;
        if (one.ends() === one.seen) {
          if (one.socket.timeout === 0 && idleMs > 1_000 + 4 * tickMs) wrong.push(idleMs);
          continue;
        }
        if (idleMs < 1_000) wrong.push(idleMs);
        one.seen = one.ends();
        // It would be closed.
        one.socket.setTimeout(wheel.keepAliveMs);
      }
    }
    expect(wrong).toEqual([]);
    expect(all.filter(({ ends }) => ends() > 0).length).toBeGreaterThan(20);
    for (const { socket } of all) socket.destroy();
  });

  it('is not ended while the clock stands still', () => {
    const wheel = new IdleWheel(1_000, () => 7);
    const { timer, ends, socket } = idle(wheel);
    timer.touch();
    vi.advanceTimersByTime(100_000);
    // Places are for as many ticks as there can be in a keep-alive time.
    expect([ends(), wheel.tick]).toEqual([0, 0]);
    socket.destroy();
  });

  it('is idle from when it was used, also where none was there for long', () => {
    let nowMs = 0;
    const wheel = new IdleWheel(1_000, () => nowMs);
    for (const pauseMs of [0, 50, 3_600_000]) {
      nowMs += pauseMs;
      const { timer, ends, socket } = idle(wheel);
      timer.touch();
      const sinceMs = nowMs;
      while (ends() === 0) {
        nowMs += wheel.tickMs;
        vi.advanceTimersByTime(wheel.tickMs);
      }
      expect(nowMs - sinceMs).toBeGreaterThanOrEqual(1_000);
      expect(nowMs - sinceMs).toBeLessThanOrEqual(1_000 + 2 * wheel.tickMs);
      expect(vi.getTimerCount()).toBe(0);
      socket.destroy();
    }
  });

  it('is not taken for idle while the process stood still', () => {
    let nowMs = 0;
    const wheel = new IdleWheel(1_000, () => nowMs);
    const { tickMs } = wheel;
    const tick = (ms: number): void => {
      nowMs += ms;
      vi.advanceTimersByTime(tickMs);
    };
    const [before, meanwhile] = [idle(wheel), idle(wheel)];
    before.timer.touch();
    tick(tickMs);
    meanwhile.timer.touch();
    tick(3_600_000);
    expect([before.ends(), meanwhile.ends()]).toEqual([0, 0]);
    const sinceMs = nowMs;
    while (meanwhile.ends() === 0) {
      expect(nowMs - sinceMs < 1_000 - 2 * tickMs ? before.ends() : 0).toBe(0);
      tick(tickMs);
    }
    expect(before.ends()).toBe(1);
    expect(nowMs - sinceMs).toBeGreaterThanOrEqual(1_000);
    expect(nowMs - sinceMs).toBeLessThanOrEqual(1_000 + 2 * tickMs);
    before.socket.destroy();
    meanwhile.socket.destroy();
  });
});
