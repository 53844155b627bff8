import type { LedgerState } from '../cache/fleet-ports.ts';
import { fieldsOf, minus, type Totals } from './totals.ts';

/** What one flush says of this process's counts. */
export interface NumberedFlush {
  readonly number: number;
  /** The flush that the ledger must hold last for this one to fit. */
  readonly after: number;
  readonly counts: ReadonlyMap<string, number>;
  /** It was sent before, so it holds nothing of what was counted since. */
  readonly repeated: boolean;
}

/** `written`: the ledger holds all that the flush said. `behind`: flush again. `lost`: it cannot be gone on from. */
type Answer = 'written' | 'behind' | 'lost';

interface Written {
  readonly number: number;
  readonly totals: Totals | undefined;
}

/** Flushes that the ledger may go back by, where a replica without the last writes took over, and lose nothing. */
const maxRemembered = 16;

/**
 * What the ledger holds of this process in one generation. Each flush says behind which one it fits, so that one that
 * comes late, or twice, or after something was lost, adds nothing, and the reply says where to go on. No I/O, no clock.
 */
export class FlushState {
  /** What the ledger is known to have held, oldest first. Number 0 is nothing at all. */
  #written: readonly Written[] = [{ number: 0, totals: undefined }];
  /** Sent, and not known to have arrived: it is sent again unchanged, since numbers say what a flush holds. */
  #pending: (Written & { readonly flush: NumberedFlush }) | undefined = undefined;
  #numbers = 0;

  /** `totals`: counted in this generation so far. */
  next(totals: Totals): NumberedFlush {
    if (this.#pending !== undefined) return { ...this.#pending.flush, repeated: true };
    const { number: after, totals: before } = this.#last();
    const counts = fieldsOf(before === undefined ? totals : minus(totals, before));
    if (counts.size === 0) return { number: after, after, counts, repeated: false };
    this.#numbers += 1;
    const flush = { number: this.#numbers, after, counts, repeated: false };
    this.#pending = { number: flush.number, totals, flush };
    return flush;
  }

  answered(flush: NumberedFlush, { applied }: Pick<LedgerState, 'applied'>): Answer {
    const pending = this.#pending;
    this.#pending = undefined;
    if (applied === flush.number) {
      if (pending !== undefined) this.#remember(pending);
      return 'written';
    }
    const known = this.#written.findIndex((one) => one.number === applied);
    if (known === -1) return 'lost';
    this.#written = this.#written.slice(0, known + 1);
    return 'behind';
  }

  #remember({ number, totals }: Written): void {
    const [nothing, ...rest] = this.#written;
    const kept = rest.slice(-(maxRemembered - 1));
    this.#written = [...(nothing === undefined ? [] : [nothing]), ...kept, { number, totals }];
  }

  #last(): Written {
    return this.#written.at(-1) ?? { number: 0, totals: undefined };
  }
}
