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

test('the wall clock that is held says what it said first, until it is released', () => {
  systemClock.hold?.();
  vi.setSystemTime(1002);
  expect(systemClock.nowMs()).toBe(1002);
  vi.setSystemTime(1003);
  expect(systemClock.nowMs()).toBe(1002);
  systemClock.release?.();
  expect(systemClock.nowMs()).toBe(1003);
  systemClock.hold?.();
  vi.setSystemTime(1004);
  expect(systemClock.nowMs()).toBe(1004);
});

test('who looks whatever is held sees the time, and has the others see it from then on', () => {
  systemClock.hold?.();
  expect(systemClock.nowMs()).toBe(1000);
  vi.setSystemTime(1005);
  expect(systemClock.nowMs()).toBe(1000);
  expect(systemClock.lookMs?.()).toBe(1005);
  expect(systemClock.nowMs()).toBe(1005);
  systemClock.release?.();
  vi.setSystemTime(1006);
  expect(systemClock.lookMs?.()).toBe(1006);
  systemClock.hold?.();
  vi.setSystemTime(1007);
  expect(systemClock.nowMs()).toBe(1007);
});
