import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';

import type { Clock } from '../../src/cache/ports.ts';
import type { RelayPlan, RelayResult } from '../../src/cache/relay-types.ts';
import type { UpstreamConfig } from '../../src/core/config.ts';
import type { Relay } from '../../src/server/relay-port.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createRelay } from '../../src/upstream/relay.ts';
import { cacheOffRoute } from './relay-route.ts';

export interface RelayHostOptions {
  readonly config: UpstreamConfig;
  readonly clock?: Clock;
  readonly plan?: Partial<RelayPlan>;
  /** Each request is relayed when this has resolved. */
  readonly before?: () => Promise<void>;
}

/** A server that relays everything to one upstream, path and query as they came. */
export interface RelayHost extends AsyncDisposable {
  readonly port: number;
  /** Results in the order in which relays ended. */
  readonly results: readonly RelayResult[];
  /** Errors that nobody caught, of the whole process, since it was started. */
  readonly uncaught: readonly unknown[];
  /** Connections of clients that asked for another protocol. */
  readonly upgraded: readonly Socket[];
  ended(count: number): Promise<void>;
}

export async function startRelayHost({ config, clock, plan, before }: RelayHostOptions): Promise<RelayHost> {
  const inner = createRelay({ upstreams: new Map([[config.name, config]]), clock: clock ?? systemClock });
  // What the composition root does: the class satisfies the server's port by its form.
  const relay: Relay = inner;
  const results: RelayResult[] = [];
  let waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const record = (result: RelayResult): void => {
    results.push(result);
    waiting = waiting.filter((one) => {
      if (results.length < one.count) return true;
      one.resolve();
      return false;
    });
  };
  const planFor = (url: string | undefined): RelayPlan => ({
    upstream: config.name,
    target: url ?? '/',
    route: cacheOffRoute,
    cacheStatus: 'forecache; fwd=bypass',
    maxBodyBytes: 1024 * 1024,
    onHead: () => ({ ready: undefined, tap: undefined }),
    ...plan,
  });
  const server: Server = createServer((req, res) => {
    const go = (): void => void relay.web(req, res, planFor(req.url)).then(record);
    if (before === undefined) go();
    else void before().then(go);
  });
  const onUnsent = (): void => plan?.onUnsent?.();
  const upgraded: Socket[] = [];
  server.on('upgrade', (req, socket, head) => {
    upgraded.push(req.socket);
    void relay.upgrade({ req, socket, head, plan: planFor(req.url), onUnsent }).then(record);
  });
  const uncaught: unknown[] = [];
  const onUncaught = (error: unknown): void => void uncaught.push(error);
  process.on('uncaughtExceptionMonitor', onUncaught);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the relay host is not listening');
  return {
    port: address.port,
    results,
    uncaught,
    upgraded,
    ended: (count) =>
      results.length >= count
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push({ count, resolve });
          }),
    [Symbol.asyncDispose]: async () => {
      process.off('uncaughtExceptionMonitor', onUncaught);
      inner[Symbol.dispose]();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A client that writes bytes and keeps what comes back. */
export interface RawClient extends Disposable {
  readonly socket: Socket;
  /** One character for each byte received so far. */
  readonly received: string;
  send(data: string | Buffer): void;
  /** Resolves when what was received contains the text. */
  until(text: string): Promise<void>;
  /** How the connection ended: `fin` in order, `rst` by a reset. */
  readonly ended: Promise<'fin' | 'rst'>;
}

export async function rawClient(port: number, first: string | Buffer = ''): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1' });
  let received = '';
  let failed = false;
  let wake: (() => void) | undefined;
  socket.on('data', (data: Buffer) => {
    received += data.toString('latin1');
    wake?.();
  });
  socket.on('error', () => {
    failed = true;
  });
  const ended = new Promise<'fin' | 'rst'>((resolve) => {
    socket.once('close', () => {
      resolve(failed ? 'rst' : 'fin');
      wake?.();
    });
  });
  await once(socket, 'connect');
  const send = (data: string | Buffer): void =>
    void socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  if (first.length > 0) send(first);
  return {
    socket,
    get received() {
      return received;
    },
    send,
    until: async (text) => {
      while (!received.includes(text)) {
        if (socket.closed) throw new Error(`the connection ended before ${JSON.stringify(text)}: ${received}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    ended,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
