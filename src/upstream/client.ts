import type { Clock, Observer } from '../cache/ports.ts';
import { Turn } from '../cache/turn.ts';
import type { UpstreamAnswer, UpstreamCall, UpstreamClient } from '../cache/upstream-ports.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { isUnsafe } from '../core/methods.ts';
import { Places } from '../core/places.ts';
import { createCallFields, type CallFields } from './call-fields.ts';
import { openPool, type CallPool } from './connection.ts';
import { targetWithCredentials } from './credentials.ts';
import { Deadlines } from './deadlines.ts';
import { PendingCall, type CallGround } from './pending-call.ts';
import { createRedactor } from './redact.ts';
import { Slots } from './slots.ts';

export interface UpstreamClientOptions {
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  readonly clock: Clock;
  /** Ours, for `User-Agent`. */
  readonly version: string;
  /** Hears of limits that were hit, and of answers that broke off behind their heads. */
  readonly observer?: Pick<Observer, 'limit' | 'brokenBody'>;
}

/**
 * Calls upstreams with undici: one pool for each, so that no call can leave the configured origins, and no redirect is
 * followed. Throws at once where a `caFile` cannot be read. Disposing cuts all connections.
 */
export function createUpstreamClient(options: UpstreamClientOptions): UpstreamClient & AsyncDisposable {
  const shared = { underWay: bySignal(), turn: turnOfLoop() };
  const links = new Map([...options.upstreams].map(([name, config]) => [name, openLink(config, options, shared)]));
  return {
    fetch: (call, signal) => fetchOn(linkOf(links, call), call, signal),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...links.values()].flatMap((link) => [link.pool.destroy(), link.freshPool.destroy()]));
    },
  };
}

/**
 * Hands on what came in one turn of the event loop together, once all of it was read. Whoever waits for it then does each of his
 * steps for all of them in a row: that judges, stores and answers with code and tables that are still in the processor's caches, where
 * between two answers that are each followed to their end 70 µs of other code had driven them out. A miss takes 0.85 of what it
 * took, and nothing waits for anything but what is there already.
 */
function turnOfLoop(): Turn {
  return new Turn((end) => void setImmediate(end));
}

/** The way to one upstream. */
interface Link {
  readonly ground: CallGround;
  readonly pool: CallPool;
  /** Its connections serve one request each: for retries. */
  readonly freshPool: CallPool;
  readonly fields: CallFields;
}

/**
 * The calls that end with a signal. It is listened to once, for all of them: each listener of a signal is compared with each
 * that comes, and most calls here have one signal in common.
 */
function bySignal(): (signal: AbortSignal) => Places<PendingCall> {
  const known = new WeakMap<AbortSignal, Places<PendingCall>>();
  return (signal) => {
    const before = known.get(signal);
    if (before !== undefined) return before;
    const calls = new Places<PendingCall>();
    known.set(signal, calls);
    signal.addEventListener('abort', () => {
      for (const call of calls) call.abort();
    });
    return calls;
  };
}

function openLink(
  config: UpstreamConfig,
  options: UpstreamClientOptions,
  shared: Pick<CallGround, 'underWay' | 'turn'>,
): Link {
  const { clock, version, observer } = options;
  const pool = openPool(config);
  const freshPool = openPool(config);
  const ground: CallGround = {
    config,
    clock,
    redactor: createRedactor(config.credentials),
    // Of both pools together.
    slots: new Slots(config.maxConnections),
    deadlines: new Deadlines(clock, config.totalTimeoutMs),
    ...shared,
    dispatch: (call, fresh) => {
      const { path, method, headers, body } = call.request;
      const request = { path, method, headers, body };
      // A kept connection may close under the request, and a POST must not be sent twice (RFC 9110 §9.2.2), even one that
      // the route calls a query: a connection of its own cannot.
      if (fresh || isUnsafe(method)) freshPool.dispatch({ ...request, reset: true }, call);
      else pool.dispatch(request, call);
    },
    onLimit: (option) => observer?.limit(option),
    onBroken: (failure, reason) => observer?.brokenBody({ upstream: config.name, failure, reason }),
  };
  return { ground, pool, freshPool, fields: createCallFields(config, version) };
}

function linkOf(links: ReadonlyMap<string, Link>, call: UpstreamCall): Link {
  const link = links.get(call.canonical.upstream);
  if (link === undefined) throw new Error(`no upstream is named ${call.canonical.upstream}`);
  return link;
}

function fetchOn({ ground, fields }: Link, call: UpstreamCall, signal: AbortSignal): Promise<UpstreamAnswer> {
  const { method, target, content } = call.canonical;
  const path = targetWithCredentials(target, ground.config.credentials);
  const pending = new PendingCall(
    ground,
    call,
    { path, method, headers: fields(call), body: content?.bytes ?? null },
    signal,
  );
  pending.start();
  return pending.answer;
}
