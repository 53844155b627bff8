// Kept to syntax that any Node since 18 can read: main.ts loads this before it knows on which one it runs.

/** What tells `serve` to stop, heard from the moment of its making until {@link StopAsks.release}. */
export interface StopAsks {
  /** Settles with the first ask. */
  readonly first: Promise<void>;
  /** Settles with the second ask of one kind, {@link sameAskMs} or more behind the first: whoever sends it does not want to wait any longer. */
  readonly second: Promise<void>;
  /** Whether the first one has come. */
  readonly heard: () => boolean;
  /** Hears no more. A channel that is listened to would keep the process alive. */
  readonly release: () => void;
}

/**
 * Hears SIGTERM, SIGINT and SIGHUP, and from a parent process that started this one through IPC the signals that it
 * got, and that it is gone. The second ask is the second of one kind: a signal to both processes is one ask, and so is one that
 * is repeated in the moment of the first. SIGHUP is only ever a first one: when a terminal closes, the kernel and the shell may
 * both send it. Nothing is heard where it does not `hear`.
 */
export function hearStopAsks(hears: boolean): StopAsks {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let heard = false;
  const firstAtMs = new Map<Kind, number>();
  const heed = (kind: Kind, signal: unknown): void => {
    heard = true;
    first.resolve();
    if (signal === 'SIGHUP') return;
    const nowMs = performance.now();
    const sinceMs = firstAtMs.get(kind);
    if (sinceMs === undefined) firstAtMs.set(kind, nowMs);
    else if (nowMs - sinceMs >= sameAskMs) second.resolve();
  };
  const signalled = (signal: NodeJS.Signals): void => heed('signal', signal);
  const told = (message?: unknown): void => heed('told', message);
  if (hears) for (const signal of stopSignals) process.on(signal, signalled);
  if (hears && process.env['FORECACHE_PARENT'] === 'ipc') {
    process.on('message', told);
    process.on('disconnect', told);
    process.send?.('serving');
  }
  return {
    first: first.promise,
    second: second.promise,
    heard: () => heard,
    release() {
      for (const signal of stopSignals) process.off(signal, signalled);
      process.off('message', told);
      process.off('disconnect', told);
    },
  };
}

/**
 * How long a repeated signal is the same ask. GNU `timeout` sends its signal to the program and then to the group that the program is
 * in, and `npm start` passes on the Ctrl-C that the terminal has sent to both: two of a kind, milliseconds apart, more on a
 * busy machine. Nobody presses Ctrl-C twice so fast and means it. Counted from the first, so that going on with it ends the program.
 */
const sameAskMs = 250;

/** By which way an ask came: to this process, or through the parent. */
type Kind = 'signal' | 'told';

/** The signals that mean: stop, and take the time that the configuration gives. */
export const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
