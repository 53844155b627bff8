import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { CoherenceRules } from '../../src/store/coherence/rules.ts';
import { startRedis, type RedisProcess } from '../support/redis.ts';
import type { AlterationName } from './alterations.ts';
import { askOf } from './ask-sidecar.ts';
import type { WiredSidecar } from './fleet-faults.ts';
import type { Purge, Read } from './history.ts';
import { keyPrefix } from './keys.ts';
import type { Unsafe } from './learn-world.ts';
import { changePlace, purgePlaces } from './purge-places.ts';
import { seededRandom } from './random.ts';
import { startSidecarProcess } from './sidecar-process.ts';
import { emptyRecord, readPlace, type Recorded } from './traffic.ts';
import { startVersionedUpstream, type VersionedUpstream } from './upstream.ts';
import { waitUntil } from './wait-until.ts';
import { startWire } from './wire.ts';
import { places, type Selection, sidecarYaml, urlSelection, type Place } from './world.ts';

/** A small fleet for a scenario that is told step by step; all that happens is recorded. */
export interface Rig {
  readonly recorded: Recorded;
  readonly sidecars: readonly [WiredSidecar, WiredSidecar];
  /** The first one is where both begin; the others follow it. */
  readonly nodes: readonly RedisProcess[];
  readonly leaseMs: number;
  read(at: WiredSidecar, place: Place): Promise<Read | undefined>;
  /** By its URL. */
  purge(at: WiredSidecar, place: Place): Promise<Purge>;
  purgeBy(at: WiredSidecar, selection: Selection): Promise<Purge>;
  change(at: WiredSidecar, unsafe: Unsafe): Promise<Purge>;
  /** Reads the place until it comes from memory: the sidecar holds it, and a lease. */
  hold(at: WiredSidecar, place: Place): Promise<void>;
  /** Reads that the sidecar has got and not answered yet. */
  inFlight(at: WiredSidecar): Promise<number>;
  readonly upstream: VersionedUpstream;
}

export interface RigOptions {
  readonly rules: Partial<CoherenceRules>;
  readonly altered?: readonly AlterationName[];
  readonly leaseMs: number;
  /** Replicas of the first node; with any, one is asked for. */
  readonly replicas?: number;
  readonly stack: AsyncDisposableStack;
}

export async function startRig(options: RigOptions): Promise<Rig> {
  const { leaseMs, stack } = options;
  const folder = mkdtempSync(join(tmpdir(), 'forecache-rig-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const nodes = await startNodes(options);
  const upstream = stack.use(await startVersionedUpstream(seededRandom(1), { leastMs: 5, mostMs: 5 }, true));
  const ground = { ...options, folder, upstreamPort: upstream.port, redisPort: nodes[0].port };
  const sidecars = await Promise.all([startOne('s1', ground), startOne('s2', ground)] as const);
  const recorded = emptyRecord();
  const { signal } = new AbortController();
  const read: Rig['read'] = ({ sidecar }, { target }) => readPlace({ recorded, signal }, sidecar, { target });
  const purgeBy: Rig['purgeBy'] = ({ sidecar }, selection) =>
    purgePlaces({ recorded, signal }, sidecar, { selection, upstream });
  return {
    recorded,
    sidecars,
    nodes,
    leaseMs,
    read,
    purge: (at, place) => purgeBy(at, urlSelection(place)),
    purgeBy,
    change: ({ sidecar }, unsafe) => changePlace({ recorded, signal }, sidecar, unsafe),
    hold: (at, place) =>
      waitUntil(async () => (await read(at, place))?.source === 'memory', `${place.target} in memory`),
    inFlight: ({ sidecar }) => inFlightOf(sidecar),
    upstream,
  };
}

async function startNodes({ stack, replicas = 0 }: RigOptions): Promise<readonly [RedisProcess, ...RedisProcess[]]> {
  const master = stack.use(await startRedis());
  const config = [`replicaof 127.0.0.1 ${master.port}`];
  const others = await Promise.all(
    Array.from({ length: replicas }, async () => stack.use(await startRedis({ config }))),
  );
  const isWhole = async (): Promise<boolean> =>
    (await master.info('replication', 'connected_slaves')) === String(replicas);
  await waitUntil(isWhole, 'all replicas');
  return [master, ...others];
}

interface Ground extends RigOptions {
  readonly folder: string;
  readonly upstreamPort: number;
  readonly redisPort: number;
}

async function startOne(name: string, ground: Ground): Promise<WiredSidecar> {
  const { folder, upstreamPort, redisPort, leaseMs, rules, altered = [], stack, replicas = 0 } = ground;
  const wire = stack.use(await startWire(redisPort));
  const least = replicas > 0 ? ', minReplicas: 1' : '';
  const redis = `url: "redis://127.0.0.1:${wire.port}", keyPrefix: ${keyPrefix}${least}`;
  const yaml = sidecarYaml({ upstreamPort, redis, leaseMs });
  return { sidecar: stack.use(await startSidecarProcess({ name, folder, yaml, rules, altered }, 0)), wires: [wire] };
}

async function inFlightOf({ ports }: WiredSidecar['sidecar']): Promise<number> {
  const { text = '' } = (await askOf(ports?.adminPort, '/metrics', {})) ?? {};
  return Number(/^forecache_requests_in_flight (\d+)$/m.exec(text)?.[1]);
}

/** The place with that number, of the route whose answers stay fresh. */
export function placeAt(index: number): Place {
  const place = places[index];
  if (place === undefined || place.route !== 'near') throw new RangeError('no such place');
  return place;
}
