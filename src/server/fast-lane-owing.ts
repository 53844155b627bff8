import type { Socket } from 'node:net';

import type { Clock, Observer } from '../cache/ports.ts';
import type { ServerConfig } from '../core/config.ts';
import type { RequestRecord } from '../core/outcome.ts';
import type { Connections } from './connections.ts';
import { recordOf, type Told } from './fast-lane-answer.ts';
import type { ServerLoad } from './load.ts';
import { whenStillUnsent } from './second-look.ts';

interface Telling {
  readonly observer: Pick<Observer, 'request' | 'limit'>;
  readonly clock: Clock;
}

interface Owing extends Telling {
  readonly config: ServerConfig;
  readonly load: ServerLoad;
  readonly connections: Connections;
}

/** An answer that was written. */
export interface Written {
  readonly socket: Socket;
  readonly told: Told;
  readonly startedMs: number;
  /** It has left, or never will. */
  readonly onSent: () => void;
}

/** Tells of an answer that has left at once. */
export function tell({ observer }: Pick<Telling, 'observer'>, told: Told, durationMs: number): void {
  observer.request(recordOf(told, told.meta.outcome, durationMs));
}

/** The kernel has not taken all of an answer at once. From here on it is as with any response that is owed. */
export function owe(owing: Owing, { socket, told, startedMs, onSent }: Written): void {
  const { connections, load, config, observer, clock } = owing;
  const turn = connections.owe(socket, false);
  load.requestsInFlight += 1;
  let isSent = false;
  const onTimeout = (): void => {
    // A response behind it may have had the same timeout, and ended the connection.
    if (socket.writableLength === 0 || socket.destroyed) return;
    whenStillUnsent(socket, (hasTaken) => {
      // It has left, and another time is counted; or one behind it has ended the connection.
      if (isSent || socket.destroyed) return;
      if (hasTaken) {
        socket.setTimeout(config.timeouts.sendMs);
        return;
      }
      observer.limit('server.timeouts.send');
      socket.destroy();
    });
  };
  socket.setTimeout(config.timeouts.sendMs);
  socket.on('timeout', onTimeout);
  // Of no bytes: its turn has come when all before it have left.
  socket.write(NOTHING, (error) => {
    isSent = true;
    socket.off('timeout', onTimeout);
    onSent();
    load.requestsInFlight -= 1;
    connections.settle(socket, turn);
    // What is owed behind it has a timeout of its own.
    if (!connections.owes(socket)) socket.setTimeout(config.timeouts.keepAliveMs);
    const outcome: RequestRecord['outcome'] = error instanceof Error ? 'aborted' : told.meta.outcome;
    observer.request(recordOf(told, outcome, clock.monotonicMs() - startedMs));
  });
}

const NOTHING = Buffer.alloc(0);
