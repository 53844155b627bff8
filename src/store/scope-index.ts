import type { Pieces } from './discarded.ts';
import { HashChains, slotBytes } from './hash-chains.ts';
import { Rows } from './rows.ts';
import { shortName } from './scope-names.ts';
import { TextHash } from './text-hash.ts';

/** Words of a name's row. */
const named = { hashLow: 0, hashHigh: 1, chain: 2, first: 3, members: 4, responses: 5 } as const;
const namedWords = 6;

/** Words of a membership's row. `sibling` is the next membership of the same record. */
const member = { record: 0, name: 1, newer: 2, older: 3, sibling: 4 } as const;
const memberWords = 5;

/** A membership under a name that no other record has: both rows, and a place among the heads of chains. */
export const membershipBytes = (namedWords + memberWords) * 4 + slotBytes;

/** Names that are kept with their rows, and the longest of those. */
const knownNames = 16;
const mostKnownChars = 128;

/** A name that was found, so that it need not be hashed and looked for again while its row is its own. */
interface KnownName {
  readonly name: string;
  readonly row: number;
  readonly low: number;
  readonly high: number;
}

/** What is known of a scope without a look at what is in it. */
export interface ScopeTotals {
  readonly responses: number;
  /** With Vary markers. */
  readonly records: number;
}

/** What a name counts of a record. */
export interface MemberFacts {
  readonly record: number;
  readonly isResponse: boolean;
}

/**
 * A walk through records that may be paused while records come and go: each that was there at the start and still is will be
 * visited. No generator, as one takes longer for a step than the look at a record.
 */
export interface RecordWalk {
  /** A record; 0: none in this step, so that a slice of work stays short; `undefined`: it is over. */
  readonly next: () => number | undefined;
  /** Must be called, also where it is not walked to its end. */
  readonly end: () => void;
}

interface Walker {
  at: number;
}

/** How often something was looked at that may be far apart in memory. */
export interface Looks {
  count: number;
}

/**
 * Name → records, at constant cost to come and go, and 20 bytes for each membership. A name is known by 64 bits of its
 * keyed hash alone: that two of a million are one to it is one chance in ten million, and would widen a count or what is
 * looked through, never what a purge covers. A long one is found by its digest too, by which purges of other processes name it.
 */
export class ScopeIndex {
  readonly #names = new Rows(namedWords);
  readonly #members = new Rows(memberWords);
  readonly #chains = new HashChains(this.#names, { hash: named.hashLow, next: named.chain });
  readonly #hash = new TextHash();
  /** By length: nearly all responses share some of their tags with the one before. */
  readonly #known: (KnownName | undefined)[] = Array.from({ length: knownNames }, () => undefined);
  /** Walks under way, that must not lose their place when it goes. */
  readonly #walkers = new Set<Walker>();

  /** Names with at least one record. */
  get size(): number {
    return this.#names.size;
  }

  get bytes(): number {
    return this.#names.bytes + this.#members.bytes + this.#chains.bytes;
  }

  /** Lets go of everything; it is used no more. Answers its memory. */
  discard(): readonly Pieces[] {
    return [this.#names.clear(), this.#members.clear(), this.#chains.pieces];
  }

  /** Bytes that so many memberships more would take at most. */
  needs(memberships: number): number {
    return this.#names.needs(memberships) + this.#members.needs(memberships) + slotBytes * memberships;
  }

  /** `sibling`: another membership of the record, 0 for none. Answers the new one. */
  add(name: string, facts: MemberFacts, sibling: number): number {
    const names = this.#names;
    const row = this.#find(name) || this.#begin();
    const added = this.#members.take();
    const first = names.get(row, named.first);
    this.#members.set(added, member.record, facts.record);
    this.#members.set(added, member.name, row);
    this.#members.set(added, member.older, first);
    this.#members.set(added, member.sibling, sibling);
    if (first !== 0) this.#members.set(first, member.newer, added);
    names.set(row, named.first, added);
    names.set(row, named.members, names.get(row, named.members) + 1);
    if (facts.isResponse) names.set(row, named.responses, names.get(row, named.responses) + 1);
    return added;
  }

  /** Answers the sibling that it was given. */
  remove(leaving: number, isResponse: boolean): number {
    const names = this.#names;
    const members = this.#members;
    const row = members.get(leaving, member.name);
    const newer = members.get(leaving, member.newer);
    const older = members.get(leaving, member.older);
    for (const walker of this.#walkers) if (walker.at === leaving) walker.at = older;
    if (newer === 0) names.set(row, named.first, older);
    else members.set(newer, member.older, older);
    if (older !== 0) members.set(older, member.newer, newer);
    if (isResponse) names.set(row, named.responses, names.get(row, named.responses) - 1);
    const left = names.get(row, named.members) - 1;
    names.set(row, named.members, left);
    if (left === 0) {
      this.#chains.remove(row);
      names.release(row);
    }
    const sibling = members.get(leaving, member.sibling);
    members.release(leaving);
    return sibling;
  }

  members(name: string): ScopeTotals | undefined {
    const row = this.#find(name);
    if (row === 0) return undefined;
    const names = this.#names;
    return {
      records: names.get(row, named.members),
      responses: names.get(row, named.responses),
    };
  }

  /** The records under a name, newest first. */
  walk(name: string): RecordWalk {
    const row = this.#find(name);
    const walker: Walker = { at: row === 0 ? 0 : this.#names.get(row, named.first) };
    this.#walkers.add(walker);
    const next = (): number | undefined => {
      const { at } = walker;
      if (at === 0) return undefined;
      walker.at = this.#members.get(at, member.older);
      return this.#members.get(at, member.record);
    };
    const end = (): void => {
      this.#walkers.delete(walker);
    };
    return { next, end };
  }

  /** Tells of a record's first membership here whether one of its memberships is under the name, and counts its looks. For use at once. */
  testOf(name: string, looks: Looks = { count: 0 }): (first: number) => boolean {
    const row = this.#find(name);
    const members = this.#members;
    return (first) => {
      let at = first;
      while (at !== 0 && members.get(at, member.name) !== row) {
        looks.count += 1;
        at = members.get(at, member.sibling);
      }
      return at !== 0;
    };
  }

  /** 0: there is none of that name. */
  #find(given: string): number {
    const name = shortName(given);
    const place = name.length % knownNames;
    const known = this.#known[place];
    if (known !== undefined && known.name === name && this.#isStill(known)) return known.row;
    const { low, high } = this.#hash.take(name);
    let row = this.#chains.first(low);
    while (row !== 0 && !this.#is(row, low, high)) row = this.#chains.next(row);
    if (row !== 0 && name.length <= mostKnownChars) this.#known[place] = { name, row, low, high };
    return row;
  }

  /** A row that is free, or another name's by now, reads otherwise. */
  #isStill({ row, low, high }: KnownName): boolean {
    return this.#is(row, low, high) && this.#names.get(row, named.members) > 0;
  }

  #is(row: number, low: number, high: number): boolean {
    return this.#names.get(row, named.hashLow) === low && this.#names.get(row, named.hashHigh) === high;
  }

  /** For the name that was looked for last. */
  #begin(): number {
    const row = this.#names.take();
    this.#names.set(row, named.hashLow, this.#hash.low);
    this.#names.set(row, named.hashHigh, this.#hash.high);
    this.#chains.add(row);
    return row;
  }
}
