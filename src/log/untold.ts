import type { Repeats } from '../cache/ports.ts';

/** Of an observer to whom answers that are alike are nothing: it need not be told. */
export const untold: Repeats = {
  repeated() {
    // There is nothing to be done.
  },
};
