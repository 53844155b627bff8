import type { FillLock, FillOutcome } from '../../cache/fleet-ports.ts';
import type { Clock } from '../../cache/ports.ts';
import { outcomeWord } from './claim-reply.ts';
import { releaseScript, renewScript } from './data-scripts.ts';
import type { RedisGate } from './gate.ts';
import type { RedisStore } from './redis-store.ts';

export interface HeldLockOptions {
  readonly gate: RedisGate;
  readonly store: Pick<RedisStore, 'settled' | 'entryOf'>;
  readonly clock: Pick<Clock, 'after'>;
  readonly fillLockMs: number;
}

/** What a lock is of, and how it is held. */
export interface Held {
  readonly entry: string;
  /** Of the entry. */
  readonly route: string;
  readonly lockKey: string;
  readonly value: string;
}

/** For so long those who wait are told what came of a fetch that is not shared: longer than they pause between two looks. */
const saidMs = 1000;

/** Renewed until it is released, or is another's. */
export function holdLock(options: HeldLockOptions, held: Held): FillLock {
  const { gate, clock, fillLockMs, store } = options;
  const { entry, route, lockKey, value } = held;
  const everyMs = Math.max(1, Math.floor(fillLockMs / 3));
  let isHeld = true;
  const renew = async (): Promise<void> => {
    const answer = await gate.write({
      operation: 'claim',
      key: entry,
      send: (link) => link.run(renewScript, [lockKey], [value, fillLockMs]),
    });
    if (answer !== undefined) gate.tell('claim', 'ok', { durationMs: answer.durationMs });
    // Until what was fetched is in Redis it goes on: a large value may take longer than a lock lasts.
    if (isHeld && answer?.value !== 'lost') cancel = clock.after(everyMs, () => void renew());
  };
  let cancel = clock.after(everyMs, () => void renew());
  const end = (said: FillOutcome): void => {
    isHeld = false;
    cancel();
    void letGo(gate, held, said);
  };
  let isReleased = false;
  return {
    release(outcome, keys = []) {
      if (isReleased) return;
      isReleased = true;
      const entries = new Set([entry, ...keys.flatMap((key) => store.entryOf(key, route) ?? [])]);
      const writes = Array.from(entries, (one) => store.settled(one)).filter((write) => write !== undefined);
      if (writes.length === 0) end(outcome);
      else void endWhenWritten(writes, outcome, end);
    },
  };
}

/**
 * Not before all that was fetched is in Redis: else the next to claim would find neither it nor the lock. What Redis did not
 * take cannot be shared either; else all who wait would fetch one after the other.
 */
async function endWhenWritten(
  writes: readonly Promise<boolean>[],
  outcome: FillOutcome,
  end: (said: FillOutcome) => void,
): Promise<void> {
  const isThere = (await Promise.all(writes)).every(Boolean);
  end(outcome === 'stored' && !isThere ? 'unshared' : outcome);
}

/** Lets the lock go, and says what those who wait should know; nothing where what they wait for is stored, or is theirs to fetch. */
export async function letGo(
  gate: RedisGate,
  { lockKey, value }: Pick<Held, 'lockKey' | 'value'>,
  outcome: FillOutcome,
): Promise<void> {
  const said = outcome === 'stored' || outcome === 'left' ? ['', 0] : [outcomeWord(outcome), saidMs];
  const answer = await gate.write({
    operation: 'release',
    key: lockKey,
    send: (link) => link.run(releaseScript, [lockKey], [value, ...said]),
  });
  if (answer !== undefined) gate.tell('release', 'ok', { durationMs: answer.durationMs });
}
