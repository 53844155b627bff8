import { asHandled, type LateAnswer } from './handled.ts';
import type { LateHearer } from './later.ts';
import type { MaybePromise, ProxyResponse, StoreRead } from './ports.ts';
import type { Ask } from './respond.ts';

/** What the exchange makes of a look-up that took time. */
export type Come = (ask: Ask, read: StoreRead | undefined, sinceMs: number) => MaybePromise<ProxyResponse>;

interface LookEnds {
  readonly late: LateAnswer;
  readonly come: Come;
}

/** Waits for a look-up, and tells the client's link what it comes to: what is thrown on the way as well. */
export class LateLook implements LateHearer<StoreRead | undefined> {
  readonly #ask: Ask;
  readonly #ends: LookEnds;

  constructor(ask: Ask, ends: LookEnds) {
    this.#ask = ask;
    this.#ends = ends;
  }

  came(read: StoreRead | undefined): void {
    const { late, come } = this.#ends;
    let response: MaybePromise<ProxyResponse>;
    try {
      response = come(this.#ask, read, late.sinceMs);
    } catch (error) {
      late.failed(error);
      return;
    }
    if (!(response instanceof Promise)) {
      late.came(asHandled(response));
      return;
    }
    response.then(
      (value) => late.came(asHandled(value)),
      (error: unknown) => late.failed(error),
    );
  }

  failed(error: unknown): void {
    this.#ends.late.failed(error);
  }
}
