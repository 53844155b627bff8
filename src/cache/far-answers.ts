import { standingOf } from '../core/freshness.ts';
import type { FieldLines } from '../core/fields.ts';
import type { KeyedRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import { isCodedContent, isPlain } from './plain-requests.ts';
import type { ProxyResponse, ResponseBody, ResponseMeta, SameHead, StoreRead } from './ports.ts';
import { type Ask, respondWhole } from './respond.ts';
import { ageLineIn, isIn, lifetimeOf, saidOf, staleFrom, ttlFromIn } from './stored-repeat.ts';

/** What one takes, and what the server makes of it, beside the characters of its fields. Measured on the heap: 430 and less. */
const OBJECT_BYTES = 448;
/** Of a field line of the head, beside name and value. */
const LINE_BYTES = ': \r\n'.length;

/**
 * The fresh answer to a request whose like was just answered with the same response, from the shared tier too: what was made then, with the
 * bytes that came now. `undefined`: it has to be decided on. To be asked where the response was found to be good for the request.
 */
export function farAnswer(ask: Ask, read: StoreRead, item: StoredResponse, nowMs: number): ProxyResponse | undefined {
  const made = read.same?.made;
  if (!(made instanceof FarAnswer) || read.staleSinceMs !== undefined || !made.isFor(ask, item)) return undefined;
  return made.at(item, nowMs);
}

/** Keeps what answers to such requests have in common, where it was decided that the response is fresh for this one. */
export function keepFarAnswer(ask: Ask, { same }: StoreRead, item: StoredResponse, nowMs: number): void {
  // What another waits with is its own to keep something of: a request that is not known may hold all of its fields.
  if (same === undefined || ask.keyed.memo !== same.memo) return;
  if (same.made !== undefined && !(same.made instanceof Refused && same.made.isOver())) return;
  const isCoded = isCodedContent(item);
  // Of a known request all fields are known: it never gets the whole.
  if (!isPlain(ask, item, isCoded)) return;
  const composed = composedOf(ask, item, nowMs);
  const isKept = composed.body.kind === 'bytes' && same.grow(bytesOf(composed.fields));
  same.made = isKept ? new FarAnswer(ask, isCoded, { item, composed, nowMs }) : new Refused();
}

/** There is no room for one. It is tried again after so many answers, and not with each. */
const REFUSED_FOR = 64;

class Refused {
  #left = REFUSED_FOR;

  isOver(): boolean {
    this.#left -= 1;
    return this.#left === 0;
  }
}

function bytesOf(fields: FieldLines): number {
  let bytes = OBJECT_BYTES;
  for (const [name, value] of fields) bytes += name.length + value.length + LINE_BYTES;
  return bytes;
}

/** As {@link respondWhole} has it, of what is fresh. */
function composedOf(
  { route, keyed }: Pick<Ask, 'route' | 'keyed'>,
  item: StoredResponse,
  nowMs: number,
): ProxyResponse {
  return respondWhole(
    { route, keyed, head: false },
    {
      item,
      staleSinceMs: undefined,
      nowMs,
      status: { hit: true, ttl: standingOf(item, undefined, nowMs).ttlSeconds, detail: 'redis' },
      outcome: 'hit',
      tier: 'redis',
    },
  );
}

interface First {
  readonly item: StoredResponse;
  readonly composed: ProxyResponse;
  /** At which it was composed. */
  readonly nowMs: number;
}

/** The answers of what all reads say that are the same but for their content, one after the other as seconds pass. */
class FarAnswer implements SameHead {
  readonly status: number;
  readonly meta: ResponseMeta;
  ready: object | undefined = undefined;
  ageSeconds = 0;
  ttlSeconds = 0;
  readonly ageLine: number;
  readonly ttlFrom: number;
  readonly #route: Route;
  readonly #keyed: KeyedRequest;
  readonly #isCoded: boolean;
  readonly #lifetime: number;
  // See `Said`.
  #sinceMs = 0;
  #untilMs = 0;
  #lastMs = 0;

  constructor({ route, keyed }: Ask, isCoded: boolean, { item, composed, nowMs }: First) {
    this.status = composed.status;
    this.meta = composed.meta;
    this.ageLine = ageLineIn(composed.fields);
    this.ttlFrom = ttlFromIn(composed.fields);
    this.#route = route;
    this.#keyed = keyed;
    this.#isCoded = isCoded;
    this.#lifetime = lifetimeOf(standingOf(item, undefined, nowMs));
  }

  isFor(ask: Ask, item: StoredResponse): boolean {
    return ask.keyed === this.#keyed && ask.route === this.#route && !ask.head && isPlain(ask, item, this.#isCoded);
  }

  at(item: StoredResponse, nowMs: number): ProxyResponse | undefined {
    const isSaid = nowMs >= this.#sinceMs && nowMs < this.#untilMs && nowMs <= this.#lastMs;
    return isSaid || this.#say(item, nowMs) ? new FarResponse(this, item, nowMs) : undefined;
  }

  fieldsAt(item: StoredResponse, nowMs: number): FieldLines {
    return composedOf({ route: this.#route, keyed: this.#keyed }, item, nowMs).fields;
  }

  /** False: there is no answer of this kind then. */
  #say(item: StoredResponse, nowMs: number): boolean {
    const staleFromMs = staleFrom(item);
    if (!isIn(item, staleFromMs, nowMs)) return false;
    const standing = standingOf(item, undefined, nowMs);
    // See `StoredRepeat.at`: of another lifetime `max-age` may tell.
    if (lifetimeOf(standing) !== this.#lifetime) return false;
    const { ageSeconds, ttlSeconds, sinceMs, untilMs, lastMs } = saidOf(standing, staleFromMs, nowMs);
    this.ageSeconds = ageSeconds;
    this.ttlSeconds = ttlSeconds;
    this.#sinceMs = sinceMs;
    this.#untilMs = untilMs;
    this.#lastMs = lastMs;
    return true;
  }
}

/** One of them. Its fields are made where somebody looks at them, which nobody does who has the head as it is sent. */
class FarResponse implements ProxyResponse {
  readonly status: number;
  readonly body: ResponseBody;
  readonly meta: ResponseMeta;
  readonly head: FarAnswer;
  readonly raw = undefined;
  readonly repeat = undefined;
  text: string | undefined = undefined;
  ready: object | undefined = undefined;
  readonly #item: StoredResponse;
  readonly #nowMs: number;
  #fields: FieldLines | undefined = undefined;

  constructor(head: FarAnswer, item: StoredResponse, nowMs: number) {
    this.status = head.status;
    this.body = { kind: 'bytes', bytes: item.body };
    this.meta = head.meta;
    this.head = head;
    this.#item = item;
    this.#nowMs = nowMs;
  }

  get fields(): FieldLines {
    this.#fields ??= this.head.fieldsAt(this.#item, this.#nowMs);
    return this.#fields;
  }
}
