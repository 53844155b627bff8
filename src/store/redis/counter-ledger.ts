import type {
  CounterFlush,
  CounterLedger,
  LedgerMember,
  LedgerReading,
  LedgerState,
  RedisResult,
} from '../../cache/fleet-ports.ts';
import type { Clock, Observer } from '../../cache/ports.ts';
import { askScript, flushScript, heardScript, leaveScript, readScript, resetScript } from './counter-scripts.ts';
import type { RedisKeys } from './keys.ts';
import { RedisFailure, type RedisLink, type RedisScript } from './link.ts';

export interface CounterLedgerParts {
  /** The control connection: counters never wait behind a large reply. */
  readonly link: Pick<RedisLink, 'run'>;
  readonly keys: Pick<RedisKeys, 'counters' | 'bell'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Random per process start, without spaces: it is whose flushes are numbered. */
  readonly instanceId: string;
  readonly observer: Pick<Observer, 'fleet'>;
}

/** The counters of the fleet in one hash of Redis. See {@link CounterLedger}. */
export function createCounterLedger(parts: CounterLedgerParts): CounterLedger {
  const { keys, instanceId } = parts;
  const run = (script: RedisScript, args: readonly (string | number)[]): Promise<unknown> =>
    runScript(parts, script, args);
  return {
    flush: async (flush) => stateOf(await run(flushScript, [instanceId, ...flushArgs(flush)])),
    reset: async (knownRoot) => numberOf(await run(resetScript, [instanceId, knownRoot])),
    ask: async () => numberOf(await run(askScript, [keys.bell])),
    read: async () => readingOf(await run(readScript, [])),
    heard: async (ids) => {
      const reply = await run(heardScript, ids);
      return isList(reply) ? reply.map((one) => numberOf(one) ?? 0) : undefined;
    },
    leave: async () => (await run(leaveScript, [instanceId])) === 'ok' || undefined,
  };
}

function flushArgs(flush: CounterFlush): readonly (string | number)[] {
  const { number, after, generation, root, sinceMs = '', heard, rebuild, counts } = flush;
  return [number, after, generation, root, sinceMs, heard, rebuild ? 1 : 0, ...[...counts].flat()];
}

/** `undefined`: it failed, or may have. Nobody waits for counters, so nothing is to be done but to try again. */
async function runScript(
  { link, keys, clock, observer }: CounterLedgerParts,
  script: RedisScript,
  args: readonly (string | number)[],
): Promise<unknown> {
  const startMs = clock.monotonicMs();
  const tell = (result: RedisResult, isUnsent = false): void => {
    const durationMs = isUnsent ? undefined : clock.monotonicMs() - startMs;
    observer.fleet({ kind: 'redis', operation: 'counters', result, durationMs, bytes: 0 });
  };
  try {
    const reply = await link.run(script, [keys.counters], args);
    tell('ok');
    return reply;
  } catch (error) {
    if (error instanceof RedisFailure) tell(error.kind, error.isUnsent);
    else tell('other');
    return undefined;
  }
}

function stateOf(reply: unknown): LedgerState | undefined {
  if (!isList(reply)) return undefined;
  const [generation, ...rest] = reply;
  const [root, sinceMs, applied, nowMs] = rest.map(numberOf);
  if (typeof generation !== 'string' || root === undefined || sinceMs === undefined) return undefined;
  return applied === undefined || nowMs === undefined ? undefined : { generation, root, sinceMs, applied, nowMs };
}

function readingOf(reply: unknown): LedgerReading | undefined {
  if (!isList(reply)) return undefined;
  const nowMs = numberOf(reply[0]);
  const pairs = fieldMap(reply[1]);
  const sinceMs = numberOf(pairs.get('since'));
  // Without it there is no ledger: nobody has flushed since Redis lost it.
  if (nowMs === undefined || sinceMs === undefined) return undefined;
  const counts = new Map<string, number>();
  const members: LedgerMember[] = [];
  for (const [field, value] of pairs) {
    if (field.startsWith('n:')) counts.set(field.slice(2), numberOf(value) ?? 0);
    if (!field.startsWith('f:')) continue;
    const [, flushedMs, heard, left] = value.split(' ');
    if (left !== undefined) continue;
    members.push({ id: field.slice(2), idleMs: nowMs - (numberOf(flushedMs) ?? 0), heard: numberOf(heard) ?? 0 });
  }
  return { sinceMs, counts, members };
}

function fieldMap(reply: unknown): ReadonlyMap<string, string> {
  const flat = isList(reply) ? reply.map(String) : [];
  const pairs = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) pairs.set(flat[at] ?? '', flat[at + 1] ?? '');
  return pairs;
}

function isList(reply: unknown): reply is readonly unknown[] {
  return Array.isArray(reply);
}

/** Whole numbers alone; they come as text, for Lua's would lose digits. */
function numberOf(value: unknown): number | undefined {
  if (typeof value !== 'string' || !/^-?\d{1,16}$/.test(value)) return undefined;
  return Number(value);
}
