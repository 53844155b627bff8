import { randomUUID } from 'node:crypto';

import type { FillAnswer, FillClaim, FillLocks } from '../../cache/fleet-ports.ts';
import type { Clock, PurgeLog, StoreRead } from '../../cache/ports.ts';
import { lockValue, parseClaimReply, type ClaimReply } from './claim-reply.ts';
import { encodeHead, headBytes } from './codec.ts';
import { claimScript } from './data-scripts.ts';
import type { RedisGate } from './gate.ts';
import { holdLock, letGo, type Held } from './held-lock.ts';
import type { RedisKeys } from './keys.ts';
import type { RedisStore } from './redis-store.ts';

export interface FillLockOptions {
  readonly gate: RedisGate;
  readonly keys: Pick<RedisKeys, 'lock'>;
  readonly store: RedisStore;
  readonly purgeLog: Pick<PurgeLog, 'position'>;
  readonly clock: Pick<Clock, 'after' | 'monotonicMs'>;
  readonly skewMs: () => number;
  /** A lock lapses so long after its holder was last heard of. */
  readonly fillLockMs: number;
  /** Puts what was found into the memory tier; `undefined` where a purge covers it by now. */
  readonly adopt: (read: StoreRead) => StoreRead | undefined;
}

/** {@link FillLocks} that can be asked beforehand. */
export interface ForeseeingLocks extends FillLocks {
  /**
   * What the claim is for is being looked for, and the claim follows where it is not found. Where Redis is so far away that
   * one budget has no room for two questions after each other, the claim is sent at once, and {@link claim} has its answer.
   * A lock that nobody comes for is given back after {@link unclaimedMs}.
   */
  foresee(claim: FillClaim): void;
}

/** Reckonings of Redis's clock differ by less than this; at worst, a response this much newer is fetched once more. */
const skewToleranceMs = 20;

/** A look-up and the claim after it are of one moment; this is for a process that is busy. */
const unclaimedMs = 50;

/** The lock is of the same slot as what it is for, and on the same connection as the write to it. */
export function createFillLocks(options: FillLockOptions): ForeseeingLocks {
  const { gate, clock } = options;
  // As many as there are look-ups under way, and for a moment longer.
  const foreseen = new Map<string, Foreseen>();
  return {
    async claim(claim) {
      try {
        const asking = askingOf(options, claim);
        if (asking === undefined) return { kind: 'unavailable' };
        const early = foreseen.get(asking.entry);
        foreseen.delete(asking.entry);
        return await (early === undefined ? ask(options, asking) : askLate(options, asking, early));
      } catch (error) {
        // A bug, such as an epoch that is none: the request goes on, and fetches for itself.
        gate.bug(error);
        return { kind: 'unavailable' };
      }
    },
    foresee(claim) {
      try {
        const entry = options.store.entryFor(claim.key, claim.asked);
        // Before all else: where Redis is near, as it nearly always is, nothing more is to be done for a hit.
        if (entry === undefined || !gate.isFar(entry) || foreseen.has(entry)) return;
        const asking = askingOf(options, claim);
        if (asking === undefined) return;
        const early: Foreseen = { known: asking.known, sent: send(options, asking, true) };
        foreseen.set(asking.entry, early);
        const forget = (): void => {
          if (foreseen.get(asking.entry) !== early) return;
          foreseen.delete(asking.entry);
          void giveBack(options, early);
        };
        void early.sent.then(() => clock.after(unclaimedMs, forget));
      } catch (error) {
        gate.bug(error);
      }
    },
  };
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

function askingOf({ store, skewMs }: FillLockOptions, claim: FillClaim): Asking | undefined {
  const entry = store.entryFor(claim.key, claim.asked);
  if (entry === undefined) return undefined;
  const known = claim.known === undefined ? Buffer.alloc(0) : encodeHead(claim.known, skewMs());
  return { claim, entry, known, waitedMs: claim.waitedMs ?? claim.asked.waitedMs ?? 0, again: true };
}

/** A claim that has been sent, and what lock it would be. */
interface Sent {
  readonly held: Held;
  /** `undefined`: Redis has not answered. */
  readonly reply: ClaimReply | undefined;
}

interface Foreseen {
  readonly known: Buffer;
  readonly sent: Promise<Sent>;
}

/** Sends the claim, at once. `isEarly`: beside a look-up, which brings the value itself. */
async function send(options: FillLockOptions, asking: Asking, isEarly = false): Promise<Sent> {
  const { gate, keys, fillLockMs, purgeLog } = options;
  const { entry, known, waitedMs, claim } = asking;
  const lockKey = keys.lock(entry);
  const value = lockValue(randomUUID(), purgeLog.position());
  const held: Held = { entry, route: claim.asked.route.name, lockKey, value };
  const args = [known, value, fillLockMs, skewToleranceMs, isEarly ? 0 : 1];
  const answer = await gate.read({
    operation: 'claim',
    key: entry,
    waitedMs,
    isBeside: isEarly,
    send: async (link) => parseClaimReply(await link.run(claimScript, [entry, lockKey], args)),
    // Nobody would fetch under a lock that nobody knows to have: it would only make others wait.
    late: (reply) => {
      if (reply.kind === 'ours') void letGo(gate, held, 'stored');
    },
  });
  if (answer === undefined) return { held, reply: undefined };
  const { value: reply, durationMs } = answer;
  const bytes = reply.kind === 'stored' ? reply.value.byteLength : 0;
  gate.tell('claim', reply.kind === 'stored' ? 'hit' : 'ok', { durationMs, bytes });
  return { held, reply };
}

async function ask(options: FillLockOptions, asking: Asking): Promise<FillAnswer> {
  const { clock } = options;
  const startMs = clock.monotonicMs();
  const { held, reply } = await send(options, asking);
  if (reply?.kind !== 'stored') return answerOf(options, asking, held, reply);
  return useStored(options, { ...asking, waitedMs: asking.waitedMs + clock.monotonicMs() - startMs }, reply.value);
}

/** With a claim that was sent before: its answer, where it was about the same. */
async function askLate(options: FillLockOptions, asking: Asking, early: Foreseen): Promise<FillAnswer> {
  if (!early.known.equals(asking.known)) {
    void giveBack(options, early);
    return ask(options, asking);
  }
  const { held, reply } = await early.sent;
  return reply?.kind === 'stored' ? ask(options, asking) : answerOf(options, asking, held, reply);
}

async function giveBack({ gate }: FillLockOptions, early: Foreseen): Promise<void> {
  const { held, reply } = await early.sent;
  if (reply?.kind === 'ours') await letGo(gate, held, 'stored');
}

function answerOf(
  options: FillLockOptions,
  { claim }: Asking,
  held: Held,
  reply: Exclude<ClaimReply, { kind: 'stored' }> | undefined,
): FillAnswer {
  switch (reply?.kind) {
    case undefined:
      return { kind: 'unavailable' };
    case 'ours':
      return { kind: 'ours', lock: holdLock(options, held) };
    case 'theirs':
      return { kind: 'theirs', ...(reply.position === undefined ? {} : { position: reply.position }) };
    case 'unshared':
      return { kind: 'unshared' };
    case 'timeout':
      // It is over for those who came after it: upstream may answer them.
      return { kind: claim.hasWaited === true ? 'timeout' : 'unshared' };
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
