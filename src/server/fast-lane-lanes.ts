import type { ListenerConfig } from '../core/config.ts';
import { AnswerWriter } from './fast-lane-answer.ts';
import { KnownHeads } from './fast-lane-heads.ts';
import { KnownTails } from './fast-lane-tails.ts';

/** For the known heads of all listeners, and what they are answered with: some 11,000 of 1 KB, each asked for as often as any other. */
const MAX_KNOWN_BYTES = 32 * 1024 * 1024;

/** What the fast lane has for one listener. */
export interface Lane {
  readonly known: KnownHeads;
  readonly tails: KnownTails;
  readonly writer: AnswerWriter;
}

/** By the names of the listeners. `keepAliveMs`: as the server tells its clients. */
export function lanesOf(listeners: readonly ListenerConfig[], keepAliveMs: number): ReadonlyMap<string, Lane> {
  const maxBytes = MAX_KNOWN_BYTES / Math.max(1, listeners.length);
  // A writer for each: answers are counted where they are held, so no two listeners may have the same.
  return new Map(listeners.map(({ name }) => [name, laneOf(maxBytes, keepAliveMs)]));
}

function laneOf(maxBytes: number, keepAliveMs: number): Lane {
  return { known: new KnownHeads(maxBytes), tails: new KnownTails(), writer: new AnswerWriter({ keepAliveMs }) };
}
