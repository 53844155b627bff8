import type { FieldLine, FieldLines } from '../core/fields.ts';
import { fieldLineValues, fieldValue } from '../core/fields.ts';
import type { Result } from '../core/problem.ts';
import { special, specialOf } from '../core/special-fields.ts';
import { type HostPort, parseHost } from '../core/target.ts';

/** The field lines of a request head, and what is said of them whatever else is in the head. */
export interface FieldList {
  readonly fields: FieldLines;
  /** See `special-fields.ts`. */
  readonly special: number;
  /** Whether they announce content (RFC 9112 §6). */
  readonly hasContent: boolean;
  /** Lines of Host. */
  readonly hosts: number;
  /** Of the first of them; `undefined` where there is none. */
  readonly host: Result<HostPort> | undefined;
}

/** A power of two. */
const SLOTS = 64;

/** Longer lists are read each time, so that what is kept is 256 KB of texts at most. */
const MAX_KEPT_BYTES = 4096;

/** A list that nobody has asked for twice is kept in the place of another one only now and then. */
const TRIES = 8;

interface Slot {
  readonly raw: readonly string[];
  readonly list: FieldList;
}

/**
 * Reads field lines. A client sends the same ones with every request, so the last lists are kept and compared: that is a third
 * of the work of reading them. What differs with each request (a trace, a signature) costs the comparison of what is before it.
 */
export class FieldLists {
  readonly #slots: (Slot | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  #missed = 0;

  /**
   * @param raw names and values in turn, as `node:http` gives them
   * @param bytes the same for equal lists
   */
  read(raw: readonly string[], bytes: number): FieldList {
    const place = (bytes ^ (raw.length << 2)) & (SLOTS - 1);
    const slot = this.#slots[place];
    if (slot !== undefined && isSame(slot.raw, raw)) return slot.list;
    const list = listOf(raw);
    this.#missed += 1;
    const isKept = slot === undefined || this.#missed % TRIES === 0;
    if (isKept && bytes <= MAX_KEPT_BYTES) this.#slots[place] = { raw: raw.slice(), list };
    return list;
  }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false;
  // From the end: names are in one order, and it is values that differ.
  for (let index = one.length - 1; index >= 0; index -= 1) if (one[index] !== other[index]) return false;
  return true;
}

/** `rawHeaders` as field lines: the combined object of `node:http` drops and joins lines by rules of its own. */
function listOf(raw: readonly string[]): FieldList {
  const fields: FieldLine[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    fields.push([(raw[index] ?? '').toLowerCase(), raw[index + 1] ?? '']);
  }
  const found = specialOf(fields);
  const hosts = fieldLineValues(fields, 'host');
  const [host] = hosts;
  return {
    fields,
    special: found,
    hasContent: hasContent(fields, found),
    hosts: hosts.length,
    host: host === undefined ? undefined : parseHost(host),
  };
}

function hasContent(fields: FieldLines, found: number): boolean {
  if ((found & special.transferEncoding) !== 0) return true;
  const length = (found & special.contentLength) === 0 ? undefined : fieldValue(fields, 'content-length');
  return length !== undefined && length !== '0';
}
