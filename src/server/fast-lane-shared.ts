import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

import type { ClientLink, Handled } from '../cache/handled.ts';
import type { Clock, MaybePromise, Observer, ProxyResponse } from '../cache/ports.ts';
import type { ServerConfig } from '../core/config.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Connections } from './connections.ts';
import type { Ahead } from './fast-lane-ahead.ts';
import type { SeenHeads } from './fast-lane-heads.ts';
import type { IdleWheel } from './fast-lane-idle.ts';
import type { TurnTimes } from './fast-lane-times.ts';
import type { Piece } from './fast-lane-piece.ts';
import type { HeldList } from './fast-lane-held.ts';
import type { Lending } from './fast-lane-lending.ts';
import type { ServerLoad } from './load.ts';

/** What the fast lane needs. */
export interface FastLaneOptions {
  readonly config: ServerConfig;
  /** See `HandlerOptions`. */
  readonly tierBytes?: number;
  /** Must not throw. */
  readonly observer: Pick<Observer, 'request' | 'repeats' | 'limit'>;
  readonly clock: Clock;
  readonly load: ServerLoad;
  readonly connections: Connections;
  readonly handle: (request: ProxyRequest, client?: ClientLink) => MaybePromise<Handled>;
  /** Hears what was thrown where nothing should be; the request goes to `node:http` then. Must not throw. */
  readonly onBug: (error: unknown) => void;
}

/** What a chunk that was given to the parser came to. */
export interface Fed {
  readonly socket: Socket;
  /** Requests that the parser told of. */
  begun: number;
  req: IncomingMessage | undefined;
  request: ProxyRequest | undefined;
  response: ProxyResponse | undefined;
  /** Its answer takes time. */
  isLate: boolean;
  /** What has begun of the request that the chunk is. */
  readonly ahead: Ahead | undefined;
}

export type DataListener = (chunk: Buffer) => void;

/** What all connections share. */
export interface Shared extends FastLaneOptions {
  readonly seen: SeenHeads;
  readonly times: TurnTimes;
  readonly idle: IdleWheel;
  readonly held: HeldList;
  readonly piece: Piece;
  readonly lending: Lending;
  /** Whether answers that take time are waited for. */
  readonly mayWait: boolean;
  /** On one connection. */
  readonly mostRequests: number;
  /** While the parser is given a chunk of a joined connection. */
  fed: Fed | undefined;
  isDraining: boolean;
}
