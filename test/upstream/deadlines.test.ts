import { describe, expect, it } from 'vitest';

import { Deadlines, type Timed } from '../../src/upstream/deadlines.ts';
import { FakeClock } from '../support/clock.ts';

interface Named extends Timed {
  readonly name: string;
}

/** Time goes on, and its timers have not noticed yet. */
class LateClock extends FakeClock {
  lateMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.lateMs;
  }
}

function rig(delayMs = 100) {
  const clock = new LateClock();
  const startMs = clock.nowMs();
  const told: string[] = [];
  const deadlines = new Deadlines<Named>(clock, delayMs);
  const add = (name: string, expire = (): void => {}): Named => {
    const one: Named = {
      name,
      expire: () => {
        told.push(`${name}@${clock.nowMs() - startMs}`);
        expire();
      },
    };
    deadlines.add(one);
    return one;
  };
  return { clock, deadlines, add, told };
}

describe('one span of time for many', () => {
  it('is over for each as long after its beginning, to the millisecond', () => {
    const { clock, add, told } = rig();
    add('a');
    clock.advance(30);
    add('b');
    add('c');
    clock.advance(69);
    expect(told).toEqual([]);
    clock.advance(1);
    expect(told).toEqual(['a@100']);
    clock.advance(1000);
    expect(told).toEqual(['a@100', 'b@130', 'c@130']);
  });

  it('is told of first where what another holds is waited for: it would be handed on to who has no time left', () => {
    const { clock, deadlines, told } = rig();
    const queued = (name: string): Named => ({ name, isQueued: true, expire: () => void told.push(name) });
    deadlines.add({ name: 'holder', expire: () => void told.push('holder') });
    deadlines.add(queued('first'));
    deadlines.add(queued('second'));
    clock.advance(100);
    expect(told).toEqual(['first', 'second', 'holder']);
  });

  it('is over for nobody who was taken out, however late', () => {
    const { clock, deadlines, add, told } = rig();
    const a = add('a');
    const b = add('b');
    add('c');
    clock.advance(99);
    deadlines.delete(a);
    expect(deadlines.take(b)).toBe(1);
    clock.advance(1000);
    expect(told).toEqual(['c@100']);
    expect(deadlines.size).toBe(0);
  });

  it('has one timer for all of them, and none once nobody has come for as long', () => {
    const { clock, deadlines, add } = rig();
    for (let at = 0; at < 1000; at += 10) {
      deadlines.delete(add(`at ${at}`));
      clock.advance(10);
      expect(clock.pending).toBeLessThanOrEqual(1);
    }
    clock.advance(100);
    expect(clock.pending).toBe(0);
    add('late');
    expect(clock.pending).toBe(1);
  });

  it('says what is left of it once, and nothing of those that do not wait', () => {
    const { clock, deadlines, add } = rig();
    const a = add('a');
    clock.advance(40);
    expect(deadlines.take(a)).toBe(60);
    expect(deadlines.take(a)).toBeUndefined();
    deadlines.add(a);
    clock.advance(50);
    deadlines.add(a);
    expect(deadlines.take(a)).toBe(50);
  });

  it('is over in the order of its beginnings where the timer is late for many, whoever had a place before', () => {
    const { clock, deadlines, add, told } = rig();
    const gone = add('gone');
    add('first');
    clock.advance(10);
    deadlines.delete(gone);
    add('second');
    clock.lateMs = 50;
    clock.advance(90);
    expect(told).toEqual(['first@100', 'second@100']);
  });

  it('leaves nothing to one whose timer is late', () => {
    const { clock, deadlines, add } = rig();
    const late = add('late');
    clock.lateMs = 150;
    expect(deadlines.take(late)).toBe(0);
  });

  it('goes on where one that is over lets others in, or takes them out', () => {
    const { clock, deadlines, add, told } = rig();
    const gone: Named[] = [];
    add('a', () => {
      for (const one of gone) deadlines.delete(one);
      add('d');
    });
    gone.push(add('b'));
    clock.advance(10);
    add('c');
    clock.advance(1000);
    expect(told).toEqual(['a@100', 'c@110', 'd@200']);
  });
});
