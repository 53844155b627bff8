import { Client, Pool, type Dispatcher } from 'undici';

import type { Clock, Observer } from '../cache/ports.ts';
import type { UpstreamAnswer, UpstreamCall, UpstreamClient } from '../cache/upstream-ports.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { type FieldLines, withoutFields } from '../core/fields.ts';
import { isUnsafe } from '../core/methods.ts';
import type { CanonicalContent } from '../core/request.ts';
import { targetWithCredentials } from './credentials.ts';
import { PendingCall } from './pending-call.ts';
import { createRedactor, type Redactor } from './redact.ts';
import { requestFields } from './request-fields.ts';
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
  const links = new Map([...options.upstreams].map(([name, config]) => [name, openLink(config)]));
  return {
    fetch: (call, signal) => fetchOn(linkOf(links, call), call, { ...options, signal }),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...links.values()].flatMap((link) => [link.pool.destroy(), link.freshPool.destroy()]));
    },
  };
}

/** The way to one upstream. */
interface Link {
  readonly config: UpstreamConfig;
  readonly pool: Dispatcher;
  /** Its connections serve one request each: for retries. */
  readonly freshPool: Dispatcher;
  /** Both pools together. */
  readonly slots: Slots;
  readonly redactor: Redactor;
}

/** A pool's connection that knows whether it has served a request before, and whether it broke. */
class WatchedClient extends Client {
  #served = 0;
  readonly #wire: Wire;

  constructor(origin: string | URL, options: Client.Options) {
    const wire: Wire = { broken: false, unasked: new UnaskedContinue(options.maxHeaderSize ?? 16_384) };
    super(origin, {
      ...options,
      ...(typeof options.connect === 'function' ? { connect: watched(options.connect, wire) } : {}),
    });
    this.#wire = wire;
    this.on('connect', () => {
      this.#served = 0;
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof PendingCall) {
      handler.takesReused = () => {
        this.#wire.unasked.requested();
        return this.#served++ > 0;
      };
      handler.brokeOff = () => this.#wire.broken;
    }
    return super.dispatch(options, handler);
  }
}

/** The socket of a connection, as far as its end is concerned, and what is kept from undici of what it brings. */
interface Wire {
  broken: boolean;
  readonly unasked: UnaskedContinue;
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

function openLink(config: UpstreamConfig): Link {
  const options: Pool.Options = {
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
  return {
    config,
    pool: new Pool(config.origin, options),
    freshPool: new Pool(config.origin, options),
    slots: new Slots(config.maxConnections),
    redactor: createRedactor(config.credentials),
  };
}

function linkOf(links: ReadonlyMap<string, Link>, call: UpstreamCall): Link {
  const link = links.get(call.canonical.upstream);
  if (link === undefined) throw new Error(`no upstream is named ${call.canonical.upstream}`);
  return link;
}

function fetchOn(
  link: Link,
  call: UpstreamCall,
  options: Pick<UpstreamClientOptions, 'clock' | 'version' | 'observer'> & { readonly signal: AbortSignal },
): Promise<UpstreamAnswer> {
  const { config } = link;
  const fields = requestFields(askedFields(call, config), config, options.version);
  const { method, target, content } = call.canonical;
  const request = {
    path: targetWithCredentials(target, config.credentials),
    method,
    headers: fields.flatMap(([name, value]) => [name, value]),
    ...(content === undefined ? {} : { body: content.bytes }),
  };
  const dispatch = (handler: PendingCall, fresh: boolean): void => {
    // A kept connection may close under the request, and a POST must not be sent twice (RFC 9110 §9.2.2), even one that
    // the route calls a query: a connection of its own cannot.
    if (fresh || isUnsafe(method)) link.freshPool.dispatch({ ...request, reset: true }, handler);
    else link.pool.dispatch(request, handler);
  };
  const { clock, signal, observer } = options;
  const pending = new PendingCall({
    call,
    config,
    clock,
    redactor: link.redactor,
    slots: link.slots,
    dispatch,
    signal,
    onLimit: (option) => observer?.limit(option),
    onBroken: (failure) => observer?.brokenBody({ upstream: config.name, failure }),
  });
  pending.start();
  return pending.answer;
}

/** The keyed fields and the further ones; of a name in both the keyed lines count. */
function askedFields(call: UpstreamCall, config: UpstreamConfig): FieldLines {
  const { content } = call.canonical;
  const own = content === undefined ? call.canonical.fields : contentFields(call.canonical.fields, content);
  const keyed = new Set(own.map(([name]) => name));
  const further = content === undefined ? call.fields : withoutFields(call.fields, ofContent);
  const lines = [...own, ...further.filter(([name]) => !keyed.has(name))];
  if (!call.decode) return lines;
  // One coding for everybody: the body is stored as identity and negotiated with each client.
  return [...lines.filter(([name]) => name !== 'accept-encoding'), ['accept-encoding', config.acceptEncoding]];
}

/** Said of content as it came: of its canonical spelling it may be wrong (RFC 9110 §8, RFC 9530). */
const ofContent: ReadonlySet<string> = new Set([
  'content-type',
  'content-encoding',
  'content-md5',
  'content-digest',
  'repr-digest',
  'digest',
]);

function contentFields(fields: FieldLines, { type }: CanonicalContent): FieldLines {
  const kept = withoutFields(fields, ofContent);
  return type === '' ? kept : [...kept, ['content-type', type]];
}
