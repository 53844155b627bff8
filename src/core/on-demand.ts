/** Something whose code is read with the first use of it. */
export interface OnDemand<Thing> {
  /** Without a promise where it is there: each call would pay for one. */
  readonly made: Thing | undefined;
  /** `undefined` until it is asked for. */
  readonly making: Promise<Thing | undefined> | undefined;
  /** Makes it once, however many ask meanwhile. Rejects where its code or a `caFile` cannot be read; the next ask tries again. */
  make(): Promise<Thing>;
}

/** Nothing is made before it is asked for. */
export function onDemand<Thing>(create: () => Promise<Thing>): OnDemand<Thing> {
  let made: Thing | undefined;
  let making: Promise<Thing> | undefined;
  return {
    get made() {
      return made;
    },
    get making() {
      return making?.catch(() => undefined);
    },
    make() {
      making ??= create().then(
        (thing) => (made = thing),
        (error: unknown) => {
          making = undefined;
          throw error;
        },
      );
      return making;
    },
  };
}
