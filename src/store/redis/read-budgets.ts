import type { Clock } from '../../cache/ports.ts';

/** A read that waits for its answer. */
export interface Waiting {
  /** Monotonic, milliseconds. */
  readonly dueMs: number;
  /** True once it has been answered or given up. */
  isOver: boolean;
  giveUp(): void;
}

/**
 * Gives reads up when their budgets are over, with one timer for all of them: at thousands of reads a second a timer for each
 * (made, let go of the process, cleared) cost more than all else that is done for a budget, and hardly one is ever due.
 */
export class ReadBudgets {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /**
   * In the order in which they are due. Those that are over leave as soon as none before them waits: what is kept for a whole
   * budget outlives young collections, and all that hangs on it (the value that was read, the answer) with it.
   */
  readonly #waiting: Waiting[] = [];
  #count = 0;
  #cancel: (() => void) | undefined = undefined;

  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>) {
    this.#clock = clock;
  }

  /** Its wait begins now and ends `budgetMs` (above 0) from now, unless {@link end} is called before. */
  begin(waiting: Waiting, budgetMs: number): void {
    this.#count += 1;
    const last = this.#waiting.at(-1);
    if (last === undefined || last.dueMs <= waiting.dueMs) this.#waiting.push(waiting);
    // What has but the rest of a budget is due before those that came before it.
    else
      this.#waiting.splice(
        this.#waiting.findIndex(({ dueMs }) => dueMs > waiting.dueMs),
        0,
        waiting,
      );
    if (this.#waiting[0] === waiting) this.#arm(budgetMs);
  }

  /** It was answered. */
  end(waiting: Waiting): void {
    if (waiting.isOver) return;
    waiting.isOver = true;
    this.#count -= 1;
    while (this.#waiting[0]?.isOver === true) this.#waiting.shift();
    if (this.#count > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(delayMs: number): void {
    this.#cancel?.();
    this.#cancel = this.#clock.after(delayMs, () => this.#look());
  }

  #look(): void {
    this.#cancel = undefined;
    const nowMs = this.#clock.monotonicMs();
    const at = this.#waiting.findIndex(({ isOver, dueMs }) => !isOver && dueMs > nowMs);
    const due = this.#waiting.splice(0, at === -1 ? this.#waiting.length : at).filter(({ isOver }) => !isOver);
    const [next] = this.#waiting;
    if (next !== undefined) this.#arm(next.dueMs - nowMs);
    // Timers come before sockets in a turn of the event loop: an answer that is there already is read before it is given up.
    if (due.length > 0) this.#clock.after(0, () => this.#giveUp(due));
  }

  #giveUp(due: readonly Waiting[]): void {
    for (const waiting of due) {
      if (waiting.isOver) continue;
      this.end(waiting);
      waiting.giveUp();
    }
  }
}
