/** How a write ended: `unsent` where Redis does not have it and nobody knows better. */
type WriteEnd = 'stored' | 'purged' | 'too-large' | 'outdated' | 'unsent';

/** Writes that are under way, by what they write to. */
export class PendingWrites {
  readonly #byEntry = new Map<string, Promise<boolean>>();

  /** Runs the write, at once. */
  async follow(entry: string, write: () => Promise<WriteEnd>): Promise<WriteEnd> {
    const ended = write();
    const known = ended.then((end) => end === 'stored' || end === 'outdated');
    this.#byEntry.set(entry, known);
    const end = await ended;
    if (this.#byEntry.get(entry) === known) this.#byEntry.delete(entry);
    return end;
  }

  /** Resolves with whether the last write there has left something in Redis; `undefined` where none is under way. */
  settled(entry: string): Promise<boolean> | undefined {
    return this.#byEntry.get(entry);
  }

  async idle(): Promise<void> {
    while (this.#byEntry.size > 0) await Promise.all(this.#byEntry.values());
  }
}
