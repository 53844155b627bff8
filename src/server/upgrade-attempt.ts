import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** A connection that a client wants to turn into a WebSocket. */
export interface UpgradeAttempt {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  /** Bytes that came behind the request head. */
  readonly head: Buffer;
  readonly listener: string;
}
