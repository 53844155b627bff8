import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import type { RelayPlan, RelayResult } from '../cache/relay-types.ts';

/** Carries what is never cached: unsafe methods, `cache: off` routes, credentialed requests, WebSocket upgrades. */
export interface Relay {
  /**
   * Sends the request upstream and the answer to the client, both streamed; writes its own 413, 502 and 504. Fields
   * already set on `res` are kept. Resolves when `res` is closed; never rejects.
   */
  web(req: IncomingMessage, res: ServerResponse, plan: RelayPlan): Promise<RelayResult>;
  /** As {@link web} for a request that asks to switch to WebSocket. Takes over the socket; resolves when it is closed. */
  upgrade(attempt: RelayUpgrade): Promise<RelayResult>;
}

interface RelayUpgrade {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  /** Bytes that came behind the request head. */
  readonly head: Buffer;
  readonly plan: RelayPlan;
  /** As of {@link RelayPlan}, which cannot name the response: it is the relay's own. */
  readonly onUnsent: (res: ServerResponse) => void;
}
