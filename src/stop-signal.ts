// Kept to syntax that any Node since 18 can read: main.ts loads this before it knows on which one it runs.

/** What tells `serve` to stop, heard from the moment of its making until {@link StopAsks.release}. */
export interface StopAsks {
  /** Settles with the first ask. */
  readonly first: Promise<void>;
  /** Settles with the second ask of one kind: whoever sends it does not want to wait any longer. */
  readonly second: Promise<void>;
  /** Whether the first one has come. */
  readonly heard: () => boolean;
  /** Hears no more. A channel that is listened to would keep the process alive. */
  readonly release: () => void;
}

/**
 * Hears SIGTERM, SIGINT and SIGHUP, and from a parent process that started this one through IPC the signals that it
 * got, and that it is gone. The second ask is the second of one kind: a signal to both processes is one ask. SIGHUP is
 * only ever a first one: when a terminal closes, the kernel and the shell may both send it. Nothing is heard where it does not `hear`.
 */
export function hearStopAsks(hears: boolean): StopAsks {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let heard = false;
  const kinds = new Set<Kind>();
  const heed = (kind: Kind, signal: unknown): void => {
    heard = true;
    first.resolve();
    if (signal === 'SIGHUP') return;
    if (kinds.has(kind)) second.resolve();
    kinds.add(kind);
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

/** By which way an ask came: to this process, or through the parent. */
type Kind = 'signal' | 'told';

/** The signals that mean: stop, and take the time that the configuration gives. */
export const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
