import type { Invalidity } from '../../cache/fleet-ports.ts';
import type { Position } from '../../core/stored-response.ts';
import type { PurgeEvent, PurgeFollower } from '../purge-follower.ts';
import { type AppliedPurge, type PurgeableItem, PurgeTable } from '../purge-table.ts';
import { isScope } from '../scope-rows.ts';

/**
 * The purges of one epoch as they are applied here, and who is told of them. Purges of this process itself count at once, before
 * their place in the log has come; they have a table of their own until then, since rows are in order of `seq`.
 */
export class FleetPurges {
  readonly #followers = new Set<(event: PurgeEvent) => void>();
  readonly #options: ConstructorParameters<typeof PurgeTable>[0];
  #table: PurgeTable;
  #early: PurgeTable;
  #earlySeq = 0;
  #floor = 0;
  #version = 0;
  #position: Position = Object.freeze({ epoch: '', seq: 0 });
  // Those of the position. A frozen object cannot follow where V8 gives up the shape that it was made with (as when another
  // position has a `seq` that it keeps as a double), and all that reads it is compiled and thrown away for ever.
  #epoch = '';
  #seq = 0;

  /** As of {@link PurgeTable}. */
  constructor(options?: ConstructorParameters<typeof PurgeTable>[0]) {
    this.#options = options;
    this.#table = new PurgeTable(options);
    this.#early = new PurgeTable(options);
  }

  get version(): number {
    return this.#version;
  }

  get scopes(): number {
    return this.#table.size + this.#early.size;
  }

  /** The same object until something is applied. */
  get position(): Position {
    return this.#position;
  }

  /** All that is stored is void. Followers hear of it as of a purge of everything. */
  begin(epoch: string, atMs: number): void {
    this.#table = new PurgeTable(this.#options);
    this.#early = new PurgeTable(this.#options);
    this.#earlySeq = 0;
    this.#floor = 0;
    this.#place(epoch, 0);
    this.#tell({ scopes: ['all'], soft: false, seq: 0, atMs });
  }

  /** A purge in its place. What is no scope to this version counts as everything. */
  apply(purge: AppliedPurge): void {
    const scopes = purge.scopes.every(isScope) ? purge.scopes : ['all'];
    const applied = this.#table.apply({ ...purge, scopes });
    this.moveTo(purge.seq);
    this.#tell(applied);
  }

  /** A purge of this process' own, ahead of its place. */
  applyEarly(purge: AppliedPurge): void {
    if (purge.seq <= this.#seq || purge.seq <= this.#earlySeq) return;
    this.#earlySeq = purge.seq;
    this.#tell(this.#early.apply(purge));
  }

  /** Everything up to `seq` is applied. */
  moveTo(seq: number): void {
    this.#place(this.#epoch, seq);
    if (this.#earlySeq === 0 || seq < this.#earlySeq) return;
    this.#early = new PurgeTable(this.#options);
    this.#earlySeq = 0;
  }

  /** Rows up to it are forgotten, so positions before it are refused. */
  raiseFloor(floor: number): void {
    if (floor <= this.#floor) return;
    this.#floor = floor;
    this.#table.forget(floor);
    if (this.#seq < floor) this.moveTo(floor);
    this.#version += 1;
  }

  /** The least floor that leaves so many rows. */
  floorThatLeaves(rows: number): number {
    return this.#table.seqThatLeaves(rows);
  }

  /** Why an item may not be used, the lease aside. */
  invalidity(item: PurgeableItem): Exclude<Invalidity, 'lease'> | undefined {
    const { epoch, seq } = item.position;
    // Were a place that the log has not reached here made up, purges that come until it does would not be later: they would leave what
    // has it. What another process stored, ahead of this one, is fetched once more at worst.
    if (epoch !== this.#epoch || seq > this.#seq) return 'epoch';
    if (seq < this.#floor) return 'floor';
    return this.#table.isPurged(item) || this.#early.isPurged(item) ? 'purged' : undefined;
  }

  softPurgedAtMs(item: PurgeableItem): number | undefined {
    const early = this.#early.softPurgedAtMs(item);
    const placed = this.#table.softPurgedAtMs(item);
    return early === undefined || placed === undefined ? (early ?? placed) : Math.min(early, placed);
  }

  /** See {@link PurgeTable.inEffect}. */
  inEffect(scopes: readonly string[]): readonly string[] {
    return this.#table.inEffect(scopes);
  }

  /** Nothing waits for followers here: what this table has forgotten is refused by its floor, settled or not. */
  follow(hear: (event: PurgeEvent) => void): PurgeFollower {
    const listener = (event: PurgeEvent): void => hear(event);
    this.#followers.add(listener);
    return {
      settled: () => {},
      close: () => {
        this.#followers.delete(listener);
      },
    };
  }

  #place(epoch: string, seq: number): void {
    this.#position = Object.freeze({ epoch, seq });
    this.#epoch = epoch;
    this.#seq = seq;
  }

  #tell(purge: AppliedPurge): void {
    this.#version += 1;
    for (const hear of this.#followers) hear({ kind: 'purge', purge, version: this.#version });
  }
}
