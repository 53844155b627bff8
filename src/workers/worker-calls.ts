import type { StoredSummary } from '../cache/ports.ts';
import { variantOf } from '../cache/variant.ts';
import { warmTarget } from '../cache/warm-target.ts';
import type { KeyedRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import { routeByName } from '../core/route-table.ts';
import type { StoredItem } from '../core/stored-response.ts';
import { countsOf } from '../metrics/counts.ts';
import type { ThreadNumbers } from '../metrics/process-families.ts';
import type { Parts } from '../parts.ts';
import { sha256 } from '../sha256.ts';
import { sizeOfItem } from '../store/item-size.ts';
import type { MemoryStore } from '../store/memory-store.ts';
import type { Adopted, Refreshed, RefreshCall, WorkerNumbers } from './messages.ts';

/** Nobody stops what a coordinator has asked for but the end of the worker. */
const neverAborted = new AbortController().signal;

export function numbersOf(parts: Parts, thread: ThreadNumbers | undefined): WorkerNumbers {
  const { metrics, tiers, load } = parts;
  return {
    counts: countsOf(metrics.counters),
    totals: metrics.reporter.totals(),
    root: parts.fleetCounters?.root,
    store: tiers.memory.stats(),
    load: { ...load },
    coherence: tiers.shared?.coherence(),
    redis: tiers.shared?.redis(),
    thread,
  };
}

const noBytes = Buffer.alloc(0);

/** Without bodies and fields, which no listing shows: they would be copied from thread to thread. */
export function summariesOf(summaries: readonly StoredSummary[]): readonly StoredSummary[] {
  return summaries.map((summary) =>
    summary.item.kind === 'vary' ? summary : { ...summary, item: { ...summary.item, fields: [], body: noBytes } },
  );
}

/** What could be served under these keys, as a listing shows it. */
export function byKey(
  memory: Pick<MemoryStore, 'inspect' | 'tier'>,
  keys: readonly string[],
): readonly StoredSummary[] {
  return keys.flatMap((key) => {
    const read = memory.inspect(key);
    if (read === undefined || read.invalid !== undefined || read.item.kind === 'vary') return [];
    const { item, tally, staleSinceMs } = read;
    return [{ item, tier: memory.tier, sizeBytes: sizeOfItem(item), hits: tally.hits, staleSinceMs }];
  });
}

/** Warms one request here, and gives what is stored for it to be adopted by others. */
export async function refresh(parts: Parts, call: RefreshCall): Promise<Refreshed> {
  const { table } = parts.deps;
  const { route: name, values, reuseAbove, withoutCall } = call;
  const route = routeByName(table, name);
  const target = route && warmTarget({ table, sha256 }, route, values);
  // The coordinator has made the same request of the same configuration.
  if (route === undefined || target?.ok !== true) throw new Error('no such request');
  const { keyed } = target.value;
  const input = { route, keyed, purpose: 'warm', reuseAbove, withoutCall } as const;
  const outcome = await parts.refresher.refresh(input, neverAborted);
  return { outcome, items: outcome.result === 'failed' ? [] : itemsFor(parts, route, keyed) };
}

/** Nothing on routes whose rules for queries a worker learns by itself: others would key the same request otherwise. */
function itemsFor({ tiers }: Parts, route: Route, keyed: KeyedRequest): readonly StoredItem[] {
  if (route.noVarySearch || tiers.shared !== undefined) return [];
  const read = tiers.memory.peek(keyed.key);
  // Soft purges are known by positions, and whoever adopts takes a later one.
  if (read === undefined || read.staleSinceMs !== undefined) return [];
  const { item } = read;
  if (item.kind === 'response') return [item];
  const variant = tiers.memory.peek(variantOf(sha256, { route, keyed, requestFields: [] }, item).key);
  return variant === undefined || variant.staleSinceMs !== undefined ? [] : [item, variant.item];
}

/**
 * Takes into memory what another worker has stored, unless something as new is there. The position is this worker's own, from
 * before the other looked up what it hands over: whatever the other did not know of is behind it.
 */
export function adopt({ tiers }: Parts, { items, position }: Adopted): undefined {
  for (const item of items) {
    if (isAsNew(tiers.memory.peek(item.key)?.item, item)) continue;
    // Between threads a Buffer arrives as the plain array that it is made of.
    const adopted = item.kind === 'vary' ? { ...item, position } : { ...item, position, body: asBuffer(item.body) };
    tiers.memory.put(adopted);
  }
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function isAsNew(known: StoredItem | undefined, item: StoredItem): boolean {
  if (known === undefined || known.kind !== item.kind) return false;
  if (known.kind === 'vary' || item.kind === 'vary') return true;
  return known.responseTimeMs >= item.responseTimeMs;
}
