import { Client, Pool, type Dispatcher } from 'undici';

import type { Clock, Observer } from '../cache/ports.ts';
import type { UpstreamAnswer, UpstreamCall, UpstreamClient } from '../cache/upstream-ports.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { isUnsafe } from '../core/methods.ts';
import { createCallFields, type CallFields } from './call-fields.ts';
import { targetWithCredentials } from './credentials.ts';
import { Deadlines } from './deadlines.ts';
import { PendingCall, type CallGround, type CallWire } from './pending-call.ts';
import { createRedactor } from './redact.ts';
import { Slots } from './slots.ts';
import { trusted } from './trusted.ts';
import { UnaskedContinue } from './unasked-continue.ts';

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
  const underWay = bySignal();
  const links = new Map([...options.upstreams].map(([name, config]) => [name, openLink(config, options, underWay)]));
  return {
    fetch: (call, signal) => fetchOn(linkOf(links, call), call, signal),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...links.values()].flatMap((link) => [link.pool.destroy(), link.freshPool.destroy()]));
    },
  };
}

/** The way to one upstream. */
interface Link {
  readonly ground: CallGround;
  readonly pool: Dispatcher;
  /** Its connections serve one request each: for retries. */
  readonly freshPool: Dispatcher;
  readonly fields: CallFields;
}

/**
 * The calls that end with a signal. It is listened to once, for all of them: each listener of a signal is compared with each
 * that comes, and most calls here have one signal in common.
 */
function bySignal(): (signal: AbortSignal) => Set<PendingCall> {
  const known = new WeakMap<AbortSignal, Set<PendingCall>>();
  return (signal) => {
    const before = known.get(signal);
    if (before !== undefined) return before;
    const calls = new Set<PendingCall>();
    known.set(signal, calls);
    signal.addEventListener('abort', () => {
      for (const call of calls) call.abort();
    });
    return calls;
  };
}

/** A pool's connection that knows whether it has served a request before, and whether it broke. */
class WatchedClient extends Client {
  readonly #wire: Wire;

  constructor(origin: string | URL, options: Client.Options) {
    const wire = new Wire(options.maxHeaderSize ?? 16_384);
    super(origin, {
      ...options,
      ...(typeof options.connect === 'function' ? { connect: watched(options.connect, wire) } : {}),
    });
    this.#wire = wire;
    this.on('connect', () => {
      wire.served = 0;
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof PendingCall) handler.wire = this.#wire;
    return super.dispatch(options, handler);
  }
}

/** The socket of a connection, as far as its past and its end are concerned, and what is kept from undici of what it brings. */
class Wire implements CallWire {
  broken = false;
  served = 0;
  readonly unasked: UnaskedContinue;

  constructor(maxHeaderBytes: number) {
    this.unasked = new UnaskedContinue(maxHeaderBytes);
  }

  takesReused(): boolean {
    this.unasked.requested();
    this.served += 1;
    return this.served > 1;
  }
}

type Connector = Extract<NonNullable<Client.Options['connect']>, (...args: never) => unknown>;

/**
 * undici ends a message in order when a reset cuts content that would have ended with its connection. The socket tells
 * its error to whoever listens first: us.
 */
function watched(connect: Connector, wire: Wire): Connector {
  return (options, callback) =>
    connect(options, (...result) => {
      wire.broken = false;
      const [, socket] = result;
      socket?.once('error', () => {
        wire.broken = true;
      });
      // undici reads by this alone.
      const read = socket?.read.bind(socket);
      if (socket && read) socket.read = (size?: number): unknown => wire.unasked.passed(read(size));
      callback(...result);
    });
}

function openLink(config: UpstreamConfig, options: UpstreamClientOptions, underWay: CallGround['underWay']): Link {
  const { clock, version, observer } = options;
  const poolOptions: Pool.Options = {
    connections: config.maxConnections,
    connectTimeout: config.connectTimeoutMs,
    headersTimeout: config.headersTimeoutMs,
    bodyTimeout: config.bodyTimeoutMs,
    maxHeaderSize: config.maxHeaderBytes,
    pipelining: 1,
    // HTTP/1.1 alone: what framing, truncation and reuse mean here is tested for it.
    allowH2: false,
    factory: (origin, inner) => new WatchedClient(origin, inner),
    ...(config.caFile === undefined ? {} : { connect: { ca: trusted(config.caFile) } }),
  };
  const pool = new Pool(config.origin, poolOptions);
  const freshPool = new Pool(config.origin, poolOptions);
  const ground: CallGround = {
    config,
    clock,
    redactor: createRedactor(config.credentials),
    // Of both pools together.
    slots: new Slots(config.maxConnections),
    deadlines: new Deadlines(clock, config.totalTimeoutMs),
    underWay,
    dispatch: (call, fresh) => {
      const { path, method, headers, body } = call.request;
      const request = { path, method, headers, body };
      // A kept connection may close under the request, and a POST must not be sent twice (RFC 9110 §9.2.2), even one that
      // the route calls a query: a connection of its own cannot.
      if (fresh || isUnsafe(method)) freshPool.dispatch({ ...request, reset: true }, call);
      else pool.dispatch(request, call);
    },
    onLimit: (option) => observer?.limit(option),
    onBroken: (failure) => observer?.brokenBody({ upstream: config.name, failure }),
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
