import type { JobClaim, JobLeases } from '../../src/cache/fleet-ports.ts';
import type { Clock } from '../../src/cache/ports.ts';

interface Held {
  readonly by: string;
  /** Wall clock; infinite while a holder renews it. */
  untilMs: number;
}

/** A process of the fleet, as far as jobs go. */
export interface JobMember extends JobLeases {
  /** Nothing is heard of it any more: what it runs is free after the lease. */
  crash(): void;
}

/** The job leases of a fleet in virtual time, for those that use the port; what Redis does is tested on Redis. */
export class JobFleet {
  readonly leaseMs = 30_000;
  /** Nobody is answered. */
  down = false;
  /** How long each job that was done is held, in order. */
  readonly holds: number[] = [];
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #held = new Map<string, Held>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  member(id: string): JobMember {
    const mine = new Set<Held>();
    return {
      retryMs: this.leaseMs / 3,
      claim: (name) => Promise.resolve(this.#claim(name, id, mine)),
      crash: () => {
        for (const held of mine) held.untilMs = this.#clock.nowMs() + this.leaseMs;
      },
    };
  }

  #claim(name: string, by: string, mine: Set<Held>): JobClaim {
    if (this.down) return { kind: 'unavailable' };
    const there = this.#held.get(name);
    if (there !== undefined && there.untilMs > this.#clock.nowMs()) {
      return { kind: there.by === 'done' ? 'done' : 'running' };
    }
    const held = { by, untilMs: Number.POSITIVE_INFINITY };
    this.#held.set(name, held);
    mine.add(held);
    return { kind: 'ours', lease: { finish: (holdMs) => Promise.resolve(this.#finish(name, held, holdMs)) } };
  }

  #finish(name: string, held: Held, holdMs: number): void {
    if (this.down || this.#held.get(name) !== held) return;
    this.holds.push(holdMs);
    this.#held.set(name, { by: 'done', untilMs: this.#clock.nowMs() + holdMs });
  }
}
