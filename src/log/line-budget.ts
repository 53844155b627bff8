/** So many lines of a kind at once, and one more for each such time: a trouble of hours fills no disk. */
const burst = 5;
const refillMs = 60_000;

interface Budget {
  left: number;
  refilledMs: number;
  unsaid: number;
}

/** Limits lines by kind; kinds are words of the program. `nowMs` never goes back. */
export class LineBudget {
  readonly #nowMs: () => number;
  readonly #budgets = new Map<string, Budget>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** How many lines of the kind were not written since the last that was; `undefined`: neither is this one to be. */
  spend(kind: string): number | undefined {
    const nowMs = this.#nowMs();
    const budget = this.#budgets.get(kind) ?? { left: burst, refilledMs: nowMs, unsaid: 0 };
    this.#budgets.set(kind, budget);
    const refills = Math.floor((nowMs - budget.refilledMs) / refillMs);
    budget.left = Math.min(burst, budget.left + refills);
    budget.refilledMs += refills * refillMs;
    if (budget.left === 0) {
      budget.unsaid += 1;
      return undefined;
    }
    budget.left -= 1;
    const { unsaid } = budget;
    budget.unsaid = 0;
    return unsaid;
  }
}
