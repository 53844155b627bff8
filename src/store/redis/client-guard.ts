import { Redis } from 'ioredis';
import * as dataHandler from 'ioredis/built/DataHandler.js';
import { flushReadsOf } from './client-reads.ts';
import { GetGroup } from './client-group.ts';

/** Of the library's class, what is not in its types. */
interface Handler {
  returnFatalError(error: Error): void;
}

let guarded = false;

/** Event of a connection: the server lets in whoever comes, although a password is configured. */
export const openDoor = 'forecache-open-door';

/**
 * Closes five holes of ioredis 6.0.0, once per process. They are closed on its prototypes because it makes connections of its
 * own (to Sentinels, to each node of a cluster, to refresh the slots), which cannot be reached otherwise.
 */
export function guardLibrary(): void {
  if (guarded) return;
  contain();
  sendOnlyWhatIsAwaited();
  keepQuiet();
  tellNotByText();
  guarded = true;
}

/**
 * A command that timed out in a queue was sent all the same when the connection came (a node's offline queue; a cluster's
 * retries): a write that its caller took for failed, over newer data. And some of the library's own commands (`ASKING`,
 * `SUBSCRIBE`) are awaited by nobody, so that a connection that breaks under them ends the process.
 */
function sendOnlyWhatIsAwaited(): void {
  // Called with its `this` below.
  // oxlint-disable-next-line typescript/unbound-method
  const send = Redis.prototype.sendCommand;
  Redis.prototype.sendCommand = function sendCommand(this: Redis, command, stream): unknown {
    if (!(command instanceof GetGroup)) {
      flushReadsOf(this);
      command.promise.catch(ignore);
    }
    return command.isSettled ? command.promise : send.call(this, command, stream);
  };
}

/** What a reply made the library throw (a null that nobody asked for is enough) was thrown again where nobody can catch it. */
function contain(): void {
  const loaded: unknown = dataHandler.default;
  // Of a CommonJS module the default is all that it exports.
  const handler = isModule(loaded) ? loaded.default : loaded;
  if (typeof handler !== 'function' || !('dispatch' in handler.prototype)) {
    throw new TypeError('this ioredis is not the one that is guarded here');
  }
  Object.defineProperty(handler.prototype, 'dispatch', {
    value(this: Handler, handle: () => void): void {
      try {
        handle();
      } catch (error) {
        this.returnFatalError(error instanceof Error ? error : new Error('the reply cannot be read'));
      }
    },
  });
}

/** Connections of the library's own have no listener for errors, which it then writes to stderr, between the lines of the log. */
function keepQuiet(): void {
  // Called with its `this` below.
  // oxlint-disable-next-line typescript/unbound-method
  const emit = Redis.prototype.silentEmit;
  Redis.prototype.silentEmit = function silentEmit(this: Redis, event: string, argument?: unknown): boolean {
    if (event === 'error' && this.listenerCount('error') === 0) return false;
    return emit.call(this, event, argument);
  };
}

/**
 * Two replies in the handshake the library goes on from, and writes a line of its own to stderr for each time, between those of
 * the log: that no password is asked for, and that INFO is forbidden (which the look at the settings tells of).
 */
function tellNotByText(): void {
  const auth = methodOf('auth');
  const info = methodOf('info');
  Object.defineProperty(Redis.prototype, 'auth', {
    async value(this: Redis, ...words: unknown[]): Promise<unknown> {
      try {
        return await auth(this, words);
      } catch (error) {
        if (!/no password is set|without any password configured/.test(messageOf(error))) throw error;
        this.emit(openDoor);
        return 'OK';
      }
    },
  });
  Object.defineProperty(Redis.prototype, 'info', {
    value(this: Redis, ...words: unknown[]): unknown {
      const done = words.at(-1);
      if (typeof done !== 'function') return info(this, words);
      const hear = (error: unknown, reply: unknown): void => {
        const isForbidden = messageOf(error).includes('NOPERM');
        done(isForbidden ? null : error, isForbidden ? '' : reply);
      };
      return info(this, [...words.slice(0, -1), hear]);
    },
  });
}

function methodOf(name: string): (connection: Redis, words: readonly unknown[]) => unknown {
  const method: unknown = Reflect.get(Redis.prototype, name);
  if (typeof method !== 'function') throw new TypeError('this ioredis is not the one that is guarded here');
  return (connection, words) => Reflect.apply(method, connection, words);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : '';
}

function isModule(loaded: unknown): loaded is { readonly default: unknown } {
  return typeof loaded === 'object' && loaded !== null && 'default' in loaded;
}

function ignore(): void {
  // Whoever sent the command has its promise.
}
