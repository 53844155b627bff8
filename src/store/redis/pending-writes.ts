/** How a write ended: `unsent` where Redis does not have it and nobody knows better. */
type WriteEnd = 'stored' | 'purged' | 'too-large' | 'outdated' | 'unsent';

/** A write, told where it is. */
export interface Progress {
  /** Its command was given: what is sent from now on is carried out after it. */
  isSent: boolean;
  /** It takes away what is there. */
  isRemoval: boolean;
}

interface Write {
  readonly progress: Progress;
  /** Whether it has left something in Redis. */
  readonly known: Promise<boolean>;
}

/** Writes that are under way, by what they write to. */
export class PendingWrites {
  readonly #byEntry = new Map<string, Write>();
  /** By the key of the marker that leads to them. */
  readonly #variants = new Map<string, Set<Promise<boolean>>>();

  /** Runs the write, at once. `marker`: key of the marker that will lead to it. */
  async follow(entry: string, write: (progress: Progress) => Promise<WriteEnd>, marker?: string): Promise<WriteEnd> {
    const progress = { isSent: false, isRemoval: false };
    const ended = write(progress);
    // Who waits for it learns no more of a bug than that nothing was written.
    const known = ended.then(
      (end) => end === 'stored' || end === 'outdated',
      () => false,
    );
    this.#byEntry.set(entry, { progress, known });
    const variants = marker === undefined ? undefined : this.#variantsOf(marker).add(known);
    try {
      return await ended;
    } finally {
      if (this.#byEntry.get(entry)?.known === known) this.#byEntry.delete(entry);
      variants?.delete(known);
      if (marker !== undefined && variants?.size === 0) this.#variants.delete(marker);
    }
  }

  /** Resolves when what is being written of the marker's variants has been; `undefined` where nothing is. */
  variants(marker: string): Promise<unknown> | undefined {
    const variants = this.#variants.get(marker);
    return variants && Promise.all(variants);
  }

  #variantsOf(marker: string): Set<Promise<boolean>> {
    const known = this.#variants.get(marker) ?? new Set();
    this.#variants.set(marker, known);
    return known;
  }

  /** Resolves with whether the last write there has left something in Redis; `undefined` where none is under way. */
  settled(entry: string): Promise<boolean> | undefined {
    return this.#byEntry.get(entry)?.known;
  }

  /** Whether a write is under way that may leave something there. */
  mayLeave(entry: string): boolean {
    return this.#byEntry.get(entry)?.progress.isRemoval === false;
  }

  /** As {@link settled}, of a write whose command has yet to be given. */
  unsent(entry: string): Promise<boolean> | undefined {
    const write = this.#byEntry.get(entry);
    return write?.progress.isSent === false ? write.known : undefined;
  }

  async idle(): Promise<void> {
    while (this.#byEntry.size > 0) await Promise.all(Array.from(this.#byEntry.values(), ({ known }) => known));
  }
}
