import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { systemClock } from '../src/system-clock.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1000 });
});

afterEach(() => {
  systemClock.release?.();
  vi.useRealTimers();
});

test('the wall clock is looked at each time', () => {
  expect(systemClock.nowMs()).toBe(1000);
  vi.setSystemTime(1001);
  expect(systemClock.nowMs()).toBe(1001);
});

test('the wall clock that is held says what it said first to who asks for that, until it is released', () => {
  expect(systemClock.heldMs?.()).toBe(1000);
  systemClock.hold?.();
  vi.setSystemTime(1002);
  expect(systemClock.heldMs?.()).toBe(1002);
  vi.setSystemTime(1003);
  expect(systemClock.heldMs?.()).toBe(1002);
  systemClock.release?.();
  expect(systemClock.heldMs?.()).toBe(1003);
  systemClock.hold?.();
  vi.setSystemTime(1004);
  expect(systemClock.heldMs?.()).toBe(1004);
});

test('who does not ask for what is held sees the clock as it is', () => {
  systemClock.hold?.();
  expect(systemClock.heldMs?.()).toBe(1000);
  vi.setSystemTime(1005);
  expect(systemClock.nowMs()).toBe(1005);
  expect(systemClock.heldMs?.()).toBe(1000);
});

test('a clock that is set apart from this one is held at what it says itself', () => {
  const early = { ...systemClock, nowMs: () => systemClock.nowMs() - 500 };
  expect(early.heldMs?.()).toBe(500);
  early.hold?.();
  expect(early.heldMs?.()).toBe(500);
});
