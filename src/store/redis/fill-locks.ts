import { randomUUID } from 'node:crypto';

import type { FillAnswer, FillClaim, FillLock, FillLocks } from '../../cache/fleet-ports.ts';
import type { Clock, StoreRead } from '../../cache/ports.ts';
import type { RedisKeys } from './keys.ts';
import { encodeHead, headBytes } from './codec.ts';
import { claimScript, releaseScript, renewScript } from './data-scripts.ts';
import type { RedisGate } from './gate.ts';
import type { RedisStore } from './redis-store.ts';

export interface FillLockOptions {
  readonly gate: RedisGate;
  readonly keys: Pick<RedisKeys, 'lock'>;
  readonly store: RedisStore;
  readonly clock: Pick<Clock, 'after' | 'monotonicMs'>;
  readonly skewMs: () => number;
  /** A lock lapses so long after its holder was last heard of. */
  readonly fillLockMs: number;
  /** Puts what was found into the memory tier; `undefined` where a purge covers it by now. */
  readonly adopt: (read: StoreRead) => StoreRead | undefined;
}

/** For so long those who wait are told that what was fetched cannot be shared: longer than they pause between two looks. */
const unsharedMs = 1000;

/** Reckonings of Redis's clock differ by less than this; at worst, a response this much newer is fetched once more. */
const skewToleranceMs = 20;

/** See {@link FillLocks}. The lock is of the same slot as what it is for, and on the same connection as the write to it. */
export function createFillLocks(options: FillLockOptions): FillLocks {
  return {
    async claim(claim) {
      try {
        return await begin(options, claim);
      } catch (error) {
        // A bug, such as an epoch that is none: the request goes on, and fetches for itself.
        options.gate.bug(error);
        return { kind: 'unavailable' };
      }
    },
  };
}

async function begin(options: FillLockOptions, claim: FillClaim): Promise<FillAnswer> {
  const { store, skewMs } = options;
  const entry = store.entryOf(claim.key, claim.asked.route.name);
  if (entry === undefined) return { kind: 'unavailable' };
  const known = claim.known === undefined ? Buffer.alloc(0) : encodeHead(claim.known, skewMs());
  return ask(options, { claim, entry, known, waitedMs: claim.waitedMs ?? 0, again: true });
}

interface Asking {
  readonly claim: FillClaim;
  readonly entry: string;
  /** Header of what is known not to be good enough. */
  readonly known: Buffer;
  readonly waitedMs: number;
  /** Whether it is worth asking once more, where what is stored proves to be of no use. */
  readonly again: boolean;
}

async function ask(options: FillLockOptions, asking: Asking): Promise<FillAnswer> {
  const { gate, keys, fillLockMs, clock } = options;
  const { entry, known, waitedMs } = asking;
  const token = randomUUID();
  const lockKey = keys.lock(entry);
  const startMs = clock.monotonicMs();
  const answer = await gate.read({
    operation: 'claim',
    key: entry,
    waitedMs,
    send: async (link) =>
      parseReply(await link.run(claimScript, [entry, lockKey], [known, token, fillLockMs, skewToleranceMs])),
    // Nobody would fetch under a lock that nobody knows to have: it would only make others wait.
    late: (reply) => {
      if (reply.kind === 'ours') void release(options, lockKey, token, 0);
    },
  });
  if (answer === undefined) return { kind: 'unavailable' };
  const { value: reply, durationMs } = answer;
  const bytes = reply.kind === 'stored' ? reply.value.byteLength : 0;
  gate.tell('claim', reply.kind === 'stored' ? 'hit' : 'ok', { durationMs, bytes });
  switch (reply.kind) {
    case 'ours':
      return { kind: 'ours', lock: holdLock(options, { entry, lockKey, token }) };
    case 'stored':
      return useStored(options, { ...asking, waitedMs: waitedMs + clock.monotonicMs() - startMs }, reply.value);
    case 'theirs':
    case 'unshared':
      return { kind: reply.kind };
  }
}

async function useStored(options: FillLockOptions, asking: Asking, value: Buffer): Promise<FillAnswer> {
  const { claim, again } = asking;
  // The reply may be a view of a chunk that decompressing outlives.
  const known = Buffer.from(value.subarray(0, headBytes));
  const found = await options.store.open(value, claim.key, claim.asked);
  const read = found === undefined ? undefined : options.adopt(found);
  if (read !== undefined) return { kind: 'stored', read };
  // Purged, of another epoch, or damaged: as good as absent.
  return again ? ask(options, { ...asking, known, again: false }) : { kind: 'unavailable' };
}

type Reply = { readonly kind: 'ours' | 'theirs' | 'unshared' } | { readonly kind: 'stored'; readonly value: Buffer };

function parseReply(reply: unknown): Reply {
  const [word, value]: readonly unknown[] = Array.isArray(reply) ? reply : [];
  switch (String(word)) {
    case 'stored':
      return Buffer.isBuffer(value) ? { kind: 'stored', value } : { kind: 'theirs' };
    case 'ours':
      return { kind: 'ours' };
    case 'unshared':
      return { kind: 'unshared' };
    default:
      return { kind: 'theirs' };
  }
}

interface Held {
  readonly entry: string;
  readonly lockKey: string;
  readonly token: string;
}

/** Renewed until it is released, or is another's. */
function holdLock(options: FillLockOptions, { entry, lockKey, token }: Held): FillLock {
  const { gate, clock, fillLockMs, store } = options;
  const everyMs = Math.max(1, Math.floor(fillLockMs / 3));
  let isHeld = true;
  const renew = async (): Promise<void> => {
    const answer = await gate.write({
      operation: 'claim',
      key: entry,
      send: (link) => link.run(renewScript, [lockKey], [token, fillLockMs]),
    });
    if (answer !== undefined) gate.tell('claim', 'ok', { durationMs: answer.durationMs });
    if (isHeld && answer?.value !== 'lost') cancel = clock.after(everyMs, () => void renew());
  };
  let cancel = clock.after(everyMs, () => void renew());
  return {
    release(outcome) {
      if (!isHeld) return;
      isHeld = false;
      cancel();
      void releaseWhenWritten(options, { entry, lockKey, token }, outcome === 'unshared', store.settled(entry));
    },
  };
}

/** Not before what was fetched is in Redis: else the next to claim would find neither it nor the lock. */
async function releaseWhenWritten(
  options: FillLockOptions,
  { lockKey, token }: Held,
  isUnshared: boolean,
  written: Promise<boolean> | undefined,
): Promise<void> {
  const isThere = written === undefined ? true : await written;
  // What Redis did not take cannot be shared either; else all who wait would fetch one after the other.
  await release(options, lockKey, token, isUnshared || !isThere ? unsharedMs : 0);
}

async function release(
  { gate }: Pick<FillLockOptions, 'gate'>,
  lockKey: string,
  token: string,
  sayUnsharedMs: number,
): Promise<void> {
  const answer = await gate.write({
    operation: 'release',
    key: lockKey,
    send: (link) => link.run(releaseScript, [lockKey], [token, sayUnsharedMs]),
  });
  if (answer !== undefined) gate.tell('release', 'ok', { durationMs: answer.durationMs });
}
