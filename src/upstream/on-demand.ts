import type { RelayResult } from '../cache/relay-types.ts';
import type { UpstreamClient } from '../cache/upstream-ports.ts';
import { onDemand } from '../core/on-demand.ts';
import type { UpstreamClientOptions } from './client.ts';
import type { RelayOptions, UpstreamRelay } from './relay.ts';

/**
 * undici brings HTTP/2, TLS and fetch along: some 20 MiB of resident memory, and a good part of a start. Neither the
 * start nor a hit needs it, so it is read with the first call; `onRead` hears when it is.
 */
export function upstreamClientOnDemand(
  options: UpstreamClientOptions,
  onRead: () => void = () => {},
): UpstreamClient & AsyncDisposable {
  const client = onDemand(async () => {
    const { createUpstreamClient } = await import('./client.ts');
    onRead();
    return createUpstreamClient(options);
  });
  return {
    fetch: (call, signal) =>
      client.made === undefined
        ? client.make().then((made) => made.fetch(call, signal))
        : client.made.fetch(call, signal),
    [Symbol.asyncDispose]: async () => {
      await (await client.making)?.[Symbol.asyncDispose]();
    },
  };
}

/** As {@link upstreamClientOnDemand}: http-proxy-3 is read with the first request that is relayed. */
export function relayOnDemand(options: RelayOptions): UpstreamRelay {
  const relay = onDemand(async () => (await import('./relay.ts')).createRelay(options));
  return {
    web: (req, res, plan) =>
      relay.made === undefined ? relay.make().then((made) => made.web(req, res, plan)) : relay.made.web(req, res, plan),
    async upgrade(attempt) {
      const made = relay.made ?? (await relay.make());
      // A response on a closed connection would never be told so.
      return attempt.socket.destroyed ? gone : made.upgrade(attempt);
    },
    [Symbol.dispose]: () => relay.made?.[Symbol.dispose](),
  };
}

const gone: RelayResult = {
  status: 0,
  bytesSent: 0,
  problem: undefined,
  failure: undefined,
  reason: undefined,
  aborted: true,
  attempts: 0,
};
