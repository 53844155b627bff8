/** The memory of the whole process, of which a tier takes what the rest leaves. */
export interface ProcessMemory {
  /** Bytes that are resident now. Asked for once for some steps of growth, as the system takes 10 µs for it. */
  readonly residentBytes: () => number;
  /** So many are to be resident at most. */
  readonly mostBytes: number;
  /** The tier's whatever the rest takes; 16 MiB unless told otherwise: several tiers of one process have their parts of it. */
  readonly leastBytes?: number;
  /** Hears each time that a tier cannot have what it wants, or soon could not: it is worth making the rest smaller. */
  readonly onTight?: () => void;
}

/** With less a tier would not be worth having. */
export const leastTierBytes = 2 ** 24;

/** A tier grows by this much for each look at the process. */
const stepBytes = 2 ** 20;

/**
 * What the rest of the process may come to take when the tier does not grow and does not look: known heads, ready-made
 * answers and their garbage, where thousands of responses are asked for in turn.
 */
const spareBytes = 48 * 2 ** 20;

/**
 * With less than this left the rest is told so: what is to keep V8's heap smaller only counts from its next collection on.
 */
const tightBytes = 80 * 2 ** 20;

/** Where there was no room, there is no other look before it was asked for in vain so many times. */
const looksSkipped = 256;

/**
 * What the rest was seen to take counts for a while, since V8's heap swings: what a tier took when it was at its least
 * would be missing when it is at its most. By this part of the difference it is forgotten each time that there was no
 * room, as a peak may have been the only one, and as {@link ProcessMemory.onTight} takes some time.
 */
const forgotten = 1 / 16;

/**
 * How many of its bytes a tier may take: it grows as long as the process with it stays within what it is to take. It never
 * has to shrink: what it gave back, the allocator would not, and the responses would be lost for nothing.
 */
export class Growth {
  readonly #maxBytes: number;
  readonly #process: ProcessMemory | undefined;
  #grantedBytes: number;
  #restBytes = 0;
  #looksToSkip = 0;

  /** Without a process: all of `maxBytes` at once. */
  constructor(maxBytes: number, process: ProcessMemory | undefined) {
    this.#maxBytes = maxBytes;
    this.#process = process;
    this.#grantedBytes = process === undefined ? maxBytes : Math.min(maxBytes, stepBytes);
  }

  get grantedBytes(): number {
    return this.#grantedBytes;
  }

  /** There was no room when it was looked for last: it stays at what is granted for the time being. */
  get isHeldBack(): boolean {
    return this.#looksToSkip > 0;
  }

  /** Bytes that may be taken by who has some and would like to have so many. */
  grant(wantedBytes: number, takenBytes: number): number {
    if (wantedBytes > this.#grantedBytes && this.#grantedBytes < this.#maxBytes && this.#process !== undefined) {
      if (this.#looksToSkip > 0) this.#looksToSkip -= 1;
      else this.#look(this.#process, wantedBytes, takenBytes);
    }
    return this.#grantedBytes;
  }

  #look(process: ProcessMemory, wantedBytes: number, takenBytes: number): void {
    const { residentBytes, mostBytes, leastBytes = leastTierBytes, onTight } = process;
    const rest = residentBytes() - takenBytes;
    this.#restBytes = Math.max(rest, this.#restBytes);
    const granted = Math.min(this.#maxBytes, Math.max(Math.ceil(wantedBytes), this.#grantedBytes + stepBytes));
    const room = mostBytes - this.#restBytes - Math.max(granted, leastBytes);
    if (room < tightBytes) onTight?.();
    if (room >= spareBytes || granted <= leastBytes) {
      this.#grantedBytes = granted;
      return;
    }
    // Who wants much at once gets what is its in any case, as who comes to that by steps.
    this.#grantedBytes = Math.max(this.#grantedBytes, Math.min(granted, leastBytes));
    this.#looksToSkip = looksSkipped;
    this.#restBytes -= (this.#restBytes - rest) * forgotten;
  }
}
