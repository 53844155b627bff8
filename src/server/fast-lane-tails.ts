import { KnownTargets, TARGET_AT } from './fast-lane-targets.ts';
import type { HeadBesideTarget } from './read-request.ts';

/*
 * A tail is what of a request head is behind its target: ` HTTP/1.1`, the field lines and the empty line. Of a GET whose tail
 * is, byte for byte, that of a GET which the parser has read alone before, the target alone is new.
 *
 * What the parser would do with such a head, between two messages and with nothing owed:
 *
 * 1. `GET ` is what it has read in that state before.
 * 2. The target is in origin-form, and of the characters that `parseTarget` takes (`core/target.ts`): printable ASCII, no
 *    space, no `#`. In llhttp's `url.ts` a `/` leads to the state for paths, each of these characters but `?` leads from there
 *    to the same state again, a `?` to the state for queries (by `query_or_fragment`, where a path ends too), and from that each
 *    of these characters to itself. Nothing is counted there, and nothing is kept but where the target began. So no byte of the
 *    target ends it, or the line, or the head.
 * 3. From both states the space behind the target leads to one and the same state, `skip_to_http`. That is where the tail was read
 *    from before, with the same method, and a parser does the same with the same bytes in the same state: it would tell of one
 *    request with this target and the fields of before, and be between two messages again at the last byte.
 * 4. What `node:http` counts beside that are the bytes of target and fields against `maxHeaderSize`. `withTarget` refuses
 *    more than `maxHeaderBytes` by the same count as `readRequest`, which is the stricter one.
 *
 * So the new target is the only part of a head that is answered here without having been parsed. Who is given such a request
 * reads its target by the same function that reads all targets. What that function refuses goes to the parser as it came.
 */

/** Of each listener: so many sets of so many places. */
const SETS = 64;
const WAYS = 4;

/** Tails of more bytes or fields are not kept, so that all of a listener take some 2 MiB at most. */
const MAX_TAIL_BYTES = 2048;
const MAX_TAIL_FIELDS = 40;

/** Of a longer tail so many bytes, or some more, are looked at to find its place. */
const HASHED = 32;

/** So that nobody can tell which tails share a place. */
const SEED = Math.trunc(Math.random() * 0x7fff_ffff);

type TailParts = Pick<Tail, 'bytes' | 'head' | 'traceId' | 'targets' | 'number'>;

/** What is known of requests by their tail. */
export class Tail {
  readonly bytes: Buffer;
  readonly head: HeadBesideTarget;
  readonly traceId: string | undefined;
  /** Those of all tails of the listener: what is known of a target is known behind one tail, by its number. */
  readonly targets: KnownTargets;
  readonly number: number;
  /** Since a place was looked for. */
  isUsed = true;

  constructor({ bytes, head, traceId, targets, number }: TailParts) {
    this.bytes = bytes;
    this.head = head;
    this.traceId = traceId;
    this.targets = targets;
    this.number = number;
  }
}

/**
 * Tails of heads that were read. As they hold whatever keys a request, or gives it a right, each request is known by all bytes of
 * its own.
 */
export class KnownTails {
  readonly #places: (Tail | undefined)[] = [];
  readonly #targets = new KnownTargets();
  #numbered = 0;

  /** The tail of the head, which is the first so many of the bytes, where it is known. */
  find(bytes: Buffer, length = bytes.length): Tail | undefined {
    if (this.#places.length === 0) return undefined;
    const from = targetEnd(bytes, length);
    return from === undefined ? undefined : this.#find(bytes, length, from);
  }

  /**
   * Keeps a copy of the tail: the whole chunk was read as this one request. In the place of one that was not asked for of late; where
   * there is none, the next one finds one.
   */
  remember(head: Buffer, target: string, facts: Pick<Tail, 'head' | 'traceId'>): void {
    const from = targetEnd(head, head.length);
    // Told once more, whatever the parser was given: it is this target that the tail is behind.
    if (from === undefined || head.toString('latin1', TARGET_AT, from) !== target) return;
    if (!head.subarray(from, from + VERSION.length).equals(VERSION)) return;
    if (head.length - from > MAX_TAIL_BYTES || facts.head.request.fields.length > MAX_TAIL_FIELDS) return;
    if (this.#places.length === 0) for (let count = 0; count < SETS * WAYS; count += 1) this.#places.push(undefined);
    if (this.#find(head, head.length, from) !== undefined) return;
    const place = this.#choose(placeOf(head, head.length, from));
    if (place === undefined) return;
    const copy = Buffer.allocUnsafeSlow(head.length - from);
    head.copy(copy, 0, from);
    // Never given again, so that nothing is taken for another tail's once that has gone.
    this.#numbered += 1;
    const number = this.#numbered;
    this.#places[place] = new Tail({ bytes: copy, ...facts, targets: this.#targets, number });
  }

  #find(head: Buffer, length: number, from: number): Tail | undefined {
    const first = placeOf(head, length, from);
    for (let place = first; place < first + WAYS; place += 1) {
      const tail = this.#places[place];
      if (tail === undefined) return undefined;
      const { bytes } = tail;
      if (bytes.length === length - from && bytes.compare(head, from, length) === 0) {
        tail.isUsed = true;
        return tail;
      }
    }
    return undefined;
  }

  #choose(first: number): number | undefined {
    for (let place = first; place < first + WAYS; place += 1) if (this.#places[place]?.isUsed !== true) return place;
    for (let place = first; place < first + WAYS; place += 1) {
      const tail = this.#places[place];
      if (tail !== undefined) tail.isUsed = false;
    }
    return undefined;
  }
}

/** The chunk that was found to be of this tail and this target: all of its bytes. */
export function chunkOf({ bytes }: Tail, target: string): Buffer {
  return Buffer.concat([Buffer.from(`GET ${target}`, 'latin1'), bytes]);
}

const VERSION = Buffer.from(' HTTP/1.1\r\n');

/** Where the space behind its target is; `undefined`: it is no GET of a path. */
function targetEnd(head: Buffer, length: number): number | undefined {
  // `GET /`
  if (head[0] !== 0x47 || head[1] !== 0x45 || head[2] !== 0x54 || head[3] !== 0x20 || head[4] !== 0x2f)
    return undefined;
  let at = TARGET_AT + 1;
  while (at < length && head[at] !== 0x20) at += 1;
  return at < length ? at : undefined;
}

/** The first place of its set. */
function placeOf(head: Buffer, length: number, from: number): number {
  const step = Math.max(1, Math.floor((length - from) / HASHED));
  let hash = SEED ^ (length - from);
  for (let at = from + (SEED % step); at < length; at += step) hash = Math.imul(hash ^ (head[at] ?? 0), 0x85eb_ca6b);
  hash ^= hash >>> 15;
  return (hash & (SETS - 1)) * WAYS;
}
