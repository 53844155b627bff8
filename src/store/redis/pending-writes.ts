/** How a write ended: `unsent` where Redis does not have it and nobody knows better. */
type WriteEnd = 'stored' | 'purged' | 'too-large' | 'outdated' | 'unsent';

/** Writes that are under way, by what they write to. */
export class PendingWrites {
  readonly #byEntry = new Map<string, Promise<boolean>>();

  /** Runs the write, at once. */
  async follow(entry: string, write: () => Promise<WriteEnd>): Promise<WriteEnd> {
    const ended = write();
    // Who waits for it learns no more of a bug than that nothing was written.
    const known = ended.then(
      (end) => end === 'stored' || end === 'outdated',
      () => false,
    );
    this.#byEntry.set(entry, known);
    try {
      return await ended;
    } finally {
      if (this.#byEntry.get(entry) === known) this.#byEntry.delete(entry);
    }
  }

  /** Resolves with whether the last write there has left something in Redis; `undefined` where none is under way. */
  settled(entry: string): Promise<boolean> | undefined {
    return this.#byEntry.get(entry);
  }

  async idle(): Promise<void> {
    while (this.#byEntry.size > 0) await Promise.all(this.#byEntry.values());
  }
}
