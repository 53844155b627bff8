import { describe, expect, it, vi } from 'vitest';

import { RelayTimer, RelayTimers } from '../../src/upstream/relay-timer.ts';
import { FakeClock } from '../support/clock.ts';

function rig() {
  const clock = new FakeClock();
  const startMs = clock.nowMs();
  const timers = new RelayTimers(clock);
  const told: string[] = [];
  const timerOf = (name: string, onIdle = (): void => {}): RelayTimer =>
    new RelayTimer(timers, () => {
      told.push(`${name}@${clock.nowMs() - startMs}`);
      onIdle();
    });
  return { clock, told, timerOf };
}

describe('the timer of a relay', () => {
  it('goes off when nothing has happened for the limit, counted from what happened last', () => {
    const { clock, told, timerOf } = rig();
    const timer = timerOf('a');
    timer.limit(100);
    clock.advance(60);
    timer.touch();
    clock.advance(99);
    expect(told).toEqual([]);
    clock.advance(1);
    expect(told).toEqual(['a@160']);
    clock.advance(1000);
    expect(told).toEqual(['a@160']);
  });

  it('sets no timer for a limit that is reached later than the one that is set', () => {
    const { clock, told, timerOf } = rig();
    timerOf('sooner').limit(50);
    const after = vi.spyOn(clock, 'after');
    const later = timerOf('later');
    for (let limitMs = 60; limitMs < 100; limitMs += 10) later.limit(limitMs);
    expect(after).not.toHaveBeenCalled();
    clock.advance(100);
    expect(told).toEqual(['sooner@50', 'later@90']);
  });

  it('goes by its latest limit, a shorter or a longer one', () => {
    const { clock, told, timerOf } = rig();
    const longer = timerOf('longer');
    const shorter = timerOf('shorter');
    longer.limit(50);
    shorter.limit(300);
    clock.advance(10);
    longer.limit(200);
    shorter.limit(20);
    clock.advance(1000);
    expect(told).toEqual(['shorter@30', 'longer@210']);
  });

  it('does not go off once it was stopped, until it has a limit again', () => {
    const { clock, told, timerOf } = rig();
    const timer = timerOf('a');
    timer.limit(100);
    clock.advance(99);
    timer.stop();
    clock.advance(1000);
    expect(told).toEqual([]);
    timer.limit(100);
    clock.advance(100);
    expect(told).toEqual(['a@1199']);
  });

  it('is one for all exchanges, and none once all have ended', () => {
    const { clock, timerOf } = rig();
    for (let at = 0; at < 500; at += 1) {
      const timer = timerOf(`at ${at}`);
      for (const limitMs of [30, 100, 100, 100]) timer.limit(limitMs);
      clock.advance(1);
      timer.stop();
      expect(clock.pending).toBeLessThanOrEqual(1);
    }
    clock.advance(100);
    expect(clock.pending).toBe(0);
  });

  it('goes off for each that is due, and may be given a limit by whoever hears of it', () => {
    const { clock, told, timerOf } = rig();
    const again = timerOf('again', () => {
      if (told.length < 4) again.limit(40);
    });
    const stopped = timerOf('stopped');
    const stopper = timerOf('stopper', () => stopped.stop());
    again.limit(100);
    stopper.limit(100);
    stopped.limit(100);
    clock.advance(1000);
    expect(told).toEqual(['again@100', 'stopper@100', 'again@140', 'again@180']);
  });
});
