import { encodeQueryValue } from './query.ts';
import type { RoutePlan } from './route-plan.ts';

/** The query of one request. */
export interface CanonicalQuery {
  /** What goes upstream, without the `?`; `undefined` where there is none. */
  readonly target: string | undefined;
  /** The same with digests in the place of secrets. */
  readonly keyed: string | undefined;
  /** Canonical values in the order of the plan's slots, digests likewise. */
  readonly values: readonly (string | undefined)[];
  /** The values say all: of a route, equal ones make equal texts. */
  readonly isPlain: boolean;
  /** Where they do: the same for equal values of one route; defaults have no part in it. */
  readonly hash: number;
}

/** The query of a request without kept parameters and secrets, as most are: its values say all, and a hit may do without its text. */
export class PlainQuery implements CanonicalQuery {
  readonly isPlain = true;
  readonly values: readonly (string | undefined)[];
  readonly hash: number;
  readonly #plan: RoutePlan;
  #text: string | undefined;
  #isSpelt = false;

  constructor(plan: RoutePlan, values: readonly (string | undefined)[], hash: number) {
    this.values = values;
    this.hash = hash;
    this.#plan = plan;
  }

  get target(): string | undefined {
    if (!this.#isSpelt) {
      this.#text = this.#spell();
      this.#isSpelt = true;
    }
    return this.#text;
  }

  get keyed(): string | undefined {
    return this.target;
  }

  /** Slots are in order already. */
  #spell(): string | undefined {
    let text: string | undefined;
    for (const [index, { default: usual, spelt, prefix }] of this.#plan.slots.entries()) {
      const value = this.values[index];
      if (value === undefined) continue;
      const one = value === usual ? spelt : prefix + encodeQueryValue(value);
      text = text === undefined ? one : `${text}&${one}`;
    }
    return text;
  }
}
