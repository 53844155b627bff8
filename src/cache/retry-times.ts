import { retryAfterMs } from '../core/retry-after.ts';
import { dropOldest } from './drop-oldest.ts';
import type { FillInput } from './fill-types.ts';
import type { Clock } from './ports.ts';
import type { UpstreamResponse } from './upstream-ports.ts';

/** Keys that are known to be put off; some 100 bytes each. */
const keyCapacity = 10_000;

/**
 * Until when warming and refreshes leave upstreams alone that have said so to one of them by Retry-After. Requests of clients
 * are not held back, and put nothing off: what one of them is told may be about him alone.
 */
export class RetryTimes {
  readonly #clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  readonly #capacity: number;
  /** Monotonic, by upstream; as many as are configured. */
  readonly #upstreams = new Map<string, number>();
  /** As {@link #upstreams}, of what is about one response, or may be about one client: by the key of what is stored. */
  readonly #keys = new Map<string, number>();

  constructor(clock: Pick<Clock, 'nowMs' | 'monotonicMs'>, capacity = keyCapacity) {
    this.#clock = clock;
    this.#capacity = capacity;
  }

  /** Takes in an answer to work in the background. For so many milliseconds from now it puts off its upstream; `undefined`: it does not. */
  learn(input: FillInput, { status, fields }: Pick<UpstreamResponse, 'status' | 'fields'>): number | undefined {
    const key = input.known?.key ?? input.keyed.key;
    if (input.purpose === 'interactive') {
      // What a client was given of this very response shows that it may be asked for again.
      if (this.#keys.size > 0 && status < 400) this.#keys.delete(key);
      return undefined;
    }
    const waitMs = retryAfterMs(status, fields, this.#clock.nowMs());
    if (waitMs === undefined) return undefined;
    if (status === unavailable || !isAboutAll(input)) {
      this.putOffKey(key, waitMs);
      return undefined;
    }
    this.putOff(input.route.upstream, waitMs);
    return waitMs;
  }

  /** Leaves the upstream alone for that long from now, or longer where that is known already. */
  putOff(upstream: string, waitMs: number): void {
    extend(this.#upstreams, upstream, this.#clock.monotonicMs() + waitMs);
  }

  /** How long all of it is to be left alone from now, in milliseconds; `undefined`: it may be asked. */
  leftMs(upstream: string): number | undefined {
    return leftOf(this.#upstreams, upstream, this.#clock.monotonicMs());
  }

  /** How long what is stored under the key alone is to be left; `undefined`: only what {@link leftMs} says holds. */
  leftOfKeyMs(key: string): number | undefined {
    return leftOf(this.#keys, key, this.#clock.monotonicMs());
  }

  /** Whether what is stored under the key is not to be refreshed now. */
  has(upstream: string, key: string): boolean {
    return this.leftMs(upstream) !== undefined || this.leftOfKeyMs(key) !== undefined;
  }

  /** As {@link putOff}, of what is stored under the key alone. */
  putOffKey(key: string, waitMs: number): void {
    if (!this.#keys.has(key) && this.#keys.size >= this.#capacity) dropOldest(this.#keys);
    extend(this.#keys, key, this.#clock.monotonicMs() + waitMs);
  }
}

/** A balancer says it of one path whose servers are away (RFC 9110 §15.6.4), and that must not hold up the rest; 429 is a quota. */
const unavailable = 503;

/**
 * Whether the next request for anything else of that upstream would be told the same. What a client's request has brought along
 * may be a key of his own to the API, and its quota; what an operator warms is the proxy's.
 */
function isAboutAll({ purpose, route, keyed }: FillInput): boolean {
  if (purpose === 'warm') return true;
  const { fields, content } = keyed.canonical;
  const isFree = route.rawQuery || route.unknownQuery === 'keep' || content !== undefined || fields.length > 0;
  if (isFree || route.policy.upstreamCacheControl === 'honour') return false;
  return ![...route.params.values(), ...route.pathParams.values()].some((rule) => rule.secret);
}

function extend(times: Map<string, number>, name: string, untilMs: number): void {
  times.set(name, Math.max(times.get(name) ?? 0, untilMs));
}

/** What is over is forgotten. */
function leftOf(times: Map<string, number>, name: string, nowMs: number): number | undefined {
  const untilMs = times.get(name);
  if (untilMs === undefined) return undefined;
  if (untilMs > nowMs) return untilMs - nowMs;
  times.delete(name);
  return undefined;
}
