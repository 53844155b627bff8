import type { ListenerConfig } from '../core/config.ts';
import { AnswerWriter } from './fast-lane-answer.ts';
import { KnownHeads } from './fast-lane-heads.ts';
import { KnownTails } from './fast-lane-tails.ts';

/** For the known heads of all listeners, and what they are answered with: some 11,000 of 1 KB, each asked for as often as any other. */
const MAX_KNOWN_BYTES = 32 * 1024 * 1024;

/**
 * And this part of the tier, whatever that is: beside one of 16 MiB hits on 10,000 responses in turn took the process 132 MiB past it, where it
 * may take 64.
 */
const PART_OF_TIER = 1 / 8;

/** Some 700 of 1 KB, so that the few that are asked for most are known beside any tier. */
const LEAST_KNOWN_BYTES = 2 * 1024 * 1024;

/** What the fast lane has for one listener. */
export interface Lane {
  readonly known: KnownHeads;
  readonly tails: KnownTails;
  readonly writer: AnswerWriter;
}

/** By the names of the listeners. `keepAliveMs`: as the server tells its clients; `tierBytes`: what the memory tier beside them may take. */
export function lanesOf(
  listeners: readonly ListenerConfig[],
  keepAliveMs: number,
  tierBytes = Infinity,
): ReadonlyMap<string, Lane> {
  const maxBytes = knownBytesBeside(tierBytes) / Math.max(1, listeners.length);
  // A writer for each: answers are counted where they are held, so no two listeners may have the same.
  return new Map(listeners.map(({ name }) => [name, laneOf(maxBytes, keepAliveMs)]));
}

/** Bytes of all known heads and their answers beside a memory tier that may take so many. */
function knownBytesBeside(tierBytes: number): number {
  return Math.min(MAX_KNOWN_BYTES, Math.max(LEAST_KNOWN_BYTES, tierBytes * PART_OF_TIER));
}

function laneOf(maxBytes: number, keepAliveMs: number): Lane {
  return { known: new KnownHeads(maxBytes), tails: new KnownTails(), writer: new AnswerWriter({ keepAliveMs }) };
}
