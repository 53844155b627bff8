import type { ProxyRequest, RequestMemo } from '../core/request.ts';

/** Where the target of a head begins. */
export const TARGET_AT = 'GET '.length;

/** Of a listener: so many places in sets of so many. Powers of two. */
const PLACES = 8192;
const WAYS = 8;

/**
 * All that is known of the targets of a listener, as {@link bytesOf} and those reckon it who keep something with them: some 2,000 of 50
 * characters with what their answers have in common.
 */
export const MAX_KNOWN_TARGET_BYTES = 10 * 1024 * 1024;

/** Longer ones are read each time. */
export const MAX_KNOWN_TARGET = 512;

/** Where there is no room, one in so many takes another's place: of more targets than there is room for most would come and go unused. */
const TRIES = 8;

/** Where room is wanted, the hand goes on with one request in so many: what is in use is asked for again before it comes by once more. */
const REQUESTS_A_STEP = 8;

/** So that nobody can tell which targets share a place. */
const SEED = Math.trunc(Math.random() * 0x7fff_ffff);

/** Where there is so much room, or not. */
interface Room {
  take(bytes: number): boolean;
}

/** A target behind one tail, as it was read, with what the exchange has made of that request. */
class KnownTarget implements RequestMemo {
  readonly tail: number;
  readonly target: string;
  readonly path: string;
  readonly query: string | undefined;
  made: object | undefined = undefined;
  /** Since room was looked for. */
  isUsed = true;
  /** With what was made of its answers. */
  bytes: number;
  /** `undefined`: it is not kept any more. */
  room: Room | undefined;

  constructor(tail: number, target: string, { path, query }: Pick<ProxyRequest, 'path' | 'query'>, room: Room) {
    this.tail = tail;
    this.target = target;
    this.path = path;
    this.query = query;
    this.bytes = bytesOf(target);
    this.room = room;
  }

  grow(bytes: number): boolean {
    if (this.room?.take(bytes) !== true) return false;
    this.bytes += bytes;
    return true;
  }
}

/**
 * What one takes: its target, what is made of that (a key, a URL, tags), and the objects for these. Measured on the heap, three parameters
 * and two tags: 2,046 for 43 characters, 2,434 for 243, 3,326 for 443.
 */
function bytesOf(target: string): number {
  return 2048 + 4 * target.length;
}

/**
 * Targets whose answers come from Redis, so that those are not read, matched and keyed anew each time, which was a seventh of such an
 * answer. Told by all bytes of a target and by its tail, so by the whole head, on which route and key depend and on nothing else.
 * Forgetting costs the work and nothing else.
 */
export class KnownTargets {
  readonly #places: (KnownTarget | undefined)[] = [];
  /** Of what is in each place, side by side: one look at memory tells of a whole set. */
  #hashes = new Int32Array(0);
  #bytes = 0;
  #tried = 0;
  #hand = 0;
  /** How many steps the hand has to go since room was asked for in vain. */
  #wanted = 0;
  #requests = 0;
  readonly #room: Room = { take: (bytes) => this.#take(bytes) };

  /** By the reckoning of {@link MAX_KNOWN_TARGET_BYTES}. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `end`: where the target in the head ends. */
  find(tail: number, head: Buffer, end: number): KnownTarget | undefined {
    if (this.#places.length === 0 || end - TARGET_AT > MAX_KNOWN_TARGET) return undefined;
    if (this.#wanted > 0) this.#goOn();
    let hash = SEED ^ tail;
    for (let at = TARGET_AT; at < end; at += 1) hash = Math.imul(hash ^ (head[at] ?? 0), FACTOR);
    const first = setOf(hash);
    for (let place = first; place < first + WAYS; place += 1) {
      if (this.#hashes[place] !== hash) continue;
      const known = this.#places[place];
      if (known === undefined || !isOf(known, tail, head, end)) continue;
      known.isUsed = true;
      return known;
    }
    return undefined;
  }

  /** `read`: as the target was read. It is not known yet. */
  remember(tail: number, target: string, read: Pick<ProxyRequest, 'path' | 'query'>): void {
    if (target.length > MAX_KNOWN_TARGET) return;
    if (this.#places.length === 0) {
      for (let count = 0; count < PLACES; count += 1) this.#places.push(undefined);
      this.#hashes = new Int32Array(PLACES);
    }
    let hash = SEED ^ tail;
    for (let at = 0; at < target.length; at += 1) hash = Math.imul(hash ^ target.charCodeAt(at), FACTOR);
    const place = this.#choose(setOf(hash), hash, bytesOf(target));
    if (place === undefined) return;
    this.#drop(place);
    this.#makeRoom(bytesOf(target));
    this.#places[place] = new KnownTarget(tail, target, read, this.#room);
    this.#hashes[place] = hash;
    this.#bytes += bytesOf(target);
  }

  /** One that is free, or now and then another's. `undefined`: it finds no room. */
  #choose(first: number, hash: number, bytes: number): number | undefined {
    let free: number | undefined = undefined;
    for (let place = first; place < first + WAYS; place += 1) {
      if (this.#places[place] === undefined) free ??= place;
      // It may have been asked for twice at once.
      else if (this.#hashes[place] === hash) return undefined;
    }
    if (free !== undefined && this.#bytes + bytes <= MAX_KNOWN_TARGET_BYTES) return free;
    this.#tried = (this.#tried + 1) % (WAYS * TRIES);
    return this.#tried % TRIES === 0 ? first + this.#tried / TRIES : undefined;
  }

  #makeRoom(bytes: number): void {
    while (this.#bytes + bytes > MAX_KNOWN_TARGET_BYTES) this.#turnHand();
  }

  /** Whoever was not asked for since the hand came by last goes first. */
  #turnHand(): void {
    const known = this.#places[this.#hand];
    if (known?.isUsed === true) known.isUsed = false;
    else this.#drop(this.#hand);
    this.#hand = (this.#hand + 1) % PLACES;
  }

  /**
   * What is made of answers goes without where there is no room, and drives out no target that is in use. Those that nobody asks for any more (of a
   * client that has gone, or sends other fields by now) would hold it for ever where no new ones come: from now on the hand goes round once.
   */
  #take(bytes: number): boolean {
    if (this.#bytes + bytes <= MAX_KNOWN_TARGET_BYTES) {
      this.#bytes += bytes;
      return true;
    }
    this.#wanted = PLACES;
    return false;
  }

  /** With requests, not with those among them that want room: these are few where each asks again after a while only. */
  #goOn(): void {
    this.#requests = (this.#requests + 1) % REQUESTS_A_STEP;
    if (this.#requests !== 0) return;
    this.#wanted -= 1;
    this.#turnHand();
  }

  #drop(place: number): void {
    const known = this.#places[place];
    if (known === undefined) return;
    this.#bytes -= known.bytes;
    known.room = undefined;
    this.#places[place] = undefined;
  }
}

/** By its units, as a text of the bytes would have to be made to be compared. */
function isOf({ tail: of, target }: KnownTarget, tail: number, head: Buffer, end: number): boolean {
  if (of !== tail || target.length !== end - TARGET_AT) return false;
  for (let at = 0; at < target.length; at += 1) if (target.charCodeAt(at) !== head[TARGET_AT + at]) return false;
  return true;
}

const FACTOR = 0x85eb_ca6b;

/** The first place of its set. Of the upper bits, which all units have a part in. */
function setOf(hash: number): number {
  return (Math.imul(hash ^ (hash >>> 15), FACTOR) >>> 16) & (PLACES - WAYS);
}
