import { plain, type Spellings, spellingsOf, spellingsOfUnit } from './spellings.ts';

/** A text, or bytes. */
export type Searched = string | Buffer;

/** What comes of reading on from a place. */
export interface Reading {
  /** Behind the last character of each spelling that was found. */
  readonly ends: number[];
  /** Whether a spelling goes on, or may go on, behind the end of what is there. */
  open: boolean;
}

/**
 * A value as it is looked for: each of its characters as it stands or in an encoding, each by itself, since encoders differ in
 * what they leave as it stands; and what comes of that encoded once more (`%252F`, `&amp;#47;`, HTML in JSON).
 */
export interface SpeltValue {
  /** Of its spellings, in code units or bytes. */
  readonly longest: number;
  /** The most plain characters of it in a row, where a search for them is worth while; all of its spellings have them. */
  readonly anchor: Anchor | undefined;
  /** What its spellings begin with. */
  readonly first: Units;
  /** What stands in them behind a beginning that has one spelling alone, so that not all is read wherever that stands. */
  readonly second: Units;
  readonly parts: readonly Part[];
}

interface Anchor {
  readonly text: string;
  readonly bytes: Buffer;
  /** The fewest and the most code units of a spelling that stand before it. */
  readonly least: number;
  readonly most: number;
}

/** Which code units may stand at a place. */
export interface Units {
  readonly at: number;
  /** By a code unit below 256: 0 where it may not. */
  readonly may: Uint8Array;
}

/** Plain characters in a row, or a character of another kind. */
type Part = string | Spellings;

/** One alone stands in every other word: a look at each place is no slower. */
const MIN_ANCHOR = 2;

/** @param value not empty */
export function speltValue(value: string): SpeltValue {
  const texts = value.match(new RegExp(`${plain.source}+|.`, 'gsu')) ?? [];
  const parts = texts.map((text): Part => (isPlain(text) ? text : spellingsOf(text)));
  const sizes = parts.map((part) => (typeof part === 'string' ? part.length : longestOf(part)));
  const [first = '', second] = parts;
  const ahead = typeof first === 'string' ? first.length : 0;
  return {
    longest: sum(sizes),
    anchor: anchorOf(texts, sizes),
    first: unitsOf(0, first),
    second: unitsOf(ahead, ahead === 0 ? first : second),
    parts,
  };
}

/** The value spelt from this place on, in every way in which it may be read. */
export function readFrom(searched: Searched, start: number, { parts }: SpeltValue): Reading {
  let reading: Reading = { ends: [start], open: false };
  for (const part of parts) {
    const next: Reading = { ends: [], open: reading.open };
    for (const at of reading.ends) {
      if (typeof part === 'string') readText(searched, at, part, next);
      else readTwice(searched, at, part, next);
    }
    reading = next;
    if (next.ends.length === 0) break;
  }
  return reading;
}

export function unitAt(searched: Searched, at: number): number {
  return typeof searched === 'string' ? searched.charCodeAt(at) : (searched[at] ?? Number.NaN);
}

function readText(searched: Searched, from: number, text: string, into: Reading): void {
  for (let index = 0; index < text.length; index++) {
    if (from + index === searched.length) {
      into.open = true;
      return;
    }
    if (unitAt(searched, from + index) !== text.charCodeAt(index)) return;
  }
  addEnd(into, from + text.length);
}

function readOnce(searched: Searched, from: number, spellings: Spellings, into: Reading): void {
  let node: Spellings | undefined = spellings;
  for (let at = from; node.next.size > 0; at++) {
    if (at === searched.length) {
      into.open = true;
      return;
    }
    node = node.next.get(unitAt(searched, at));
    if (node === undefined) return;
    if (node.ends) addEnd(into, at + 1);
  }
}

/** Spelt by characters each of which is spelt itself. */
function readTwice(searched: Searched, from: number, { next }: Spellings, into: Reading): void {
  if (from === searched.length) {
    into.open ||= next.size > 0;
    return;
  }
  const unit = unitAt(searched, from);
  for (const [code, node] of next) {
    const spellings = spellingsOfUnit(code);
    if (!spellings.next.has(unit)) continue;
    const inner: Reading = { ends: [], open: false };
    readOnce(searched, from, spellings, inner);
    into.open ||= inner.open;
    for (const end of inner.ends) {
      if (node.ends) addEnd(into, end);
      readTwice(searched, end, node, into);
    }
  }
}

/** Once: two ways to one place go on in the same way. */
function addEnd(reading: Reading, end: number): void {
  if (!reading.ends.includes(end)) reading.ends.push(end);
}

function isPlain(text: string): boolean {
  return plain.test(text);
}

/** @param part none: anything may stand there */
function unitsOf(at: number, part: Part | undefined): Units {
  const may = new Uint8Array(256);
  if (part === undefined) may.fill(1);
  else if (typeof part === 'string') may[part.charCodeAt(0)] = 1;
  else for (const code of part.next.keys()) for (const unit of spellingsOfUnit(code).next.keys()) may[unit] = 1;
  return { at, may };
}

function anchorOf(texts: readonly string[], sizes: readonly number[]): Anchor | undefined {
  let best = -1;
  for (const [index, text] of texts.entries()) {
    if (isPlain(text) && text.length >= Math.max(MIN_ANCHOR, (texts[best]?.length ?? 0) + 1)) best = index;
  }
  const text = texts[best];
  if (text === undefined) return undefined;
  // Each character before it is spelt in one code unit or more.
  const least = sum(texts.slice(0, best).map((before) => (isPlain(before) ? before.length : 1)));
  return { text, bytes: Buffer.from(text), least, most: sum(sizes.slice(0, best)) };
}

function longestOf({ next }: Spellings): number {
  let most = 0;
  for (const [code, node] of next) most = Math.max(most, spellingsOfUnit(code).longest + longestOf(node));
  return most;
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((all, size) => all + size, 0);
}
