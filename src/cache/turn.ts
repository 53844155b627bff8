import type { Clock } from './ports.ts';

/** Something that has come and is to be handed on. */
export interface HandedOn {
  handOn(): void;
}

/** Hands on what has come since the last time, all together and in its order. */
export class Turn {
  readonly #schedule: (end: () => void) => void;
  #come: HandedOn[] = [];
  /** Empty, and used in turns with the other, so that no list is made for each turn. */
  #spare: HandedOn[] = [];
  readonly #end = (): void => {
    const come = this.#come;
    this.#come = this.#spare;
    let handed = 0;
    try {
      for (const one of come) {
        handed += 1;
        one.handOn();
      }
    } finally {
      if (handed < come.length) this.#defer(come.slice(handed));
      // It keeps nothing alive until it is used again.
      come.length = 0;
      this.#spare = come;
    }
  };

  /** `schedule` has what it is given called once, later. */
  constructor(schedule: (end: () => void) => void) {
    this.#schedule = schedule;
  }

  add(one: HandedOn): void {
    if (this.#come.push(one) === 1) this.#schedule(this.#end);
  }

  /** What is behind one that threw has its turn all the same, before what came meanwhile. */
  #defer(rest: readonly HandedOn[]): void {
    const isDue = this.#come.length > 0;
    this.#come = [...rest, ...this.#come];
    if (!isDue) this.#schedule(this.#end);
  }
}

/** The wall clock for one of many that are handed on in a row, milliseconds since the Unix epoch: as it is, or as it was when the first of them asked since it is held. */
export function wallMsOf(clock: Pick<Clock, 'nowMs' | 'heldMs'>): number {
  return clock.heldMs?.() ?? clock.nowMs();
}
