/**
 * Which eviction keeps the most hits: the memory tier as it is (S3-FIFO) against LRU, SIEVE and W-TinyLFU, on traces that
 * differ in what ruins a cache. `node bench/eviction.ts [--json]`; docs/decisions/0001 has its table and what follows from it.
 * Seeded: each run gives the same numbers.
 */
import { sizeOfItem } from '../src/store/item-size.ts';
import { createLocalPurgeLog } from '../src/store/local-purge-log.ts';
import { createMemoryStore } from '../src/store/memory-store.ts';
import { Lru, Sieve, TinyLfu } from './eviction-rivals.ts';
import type { Policy } from './eviction-rivals.ts';
import { storedItemForBench, systemClock } from './store-support.ts';

const capacity = 2000;

/** The real store with room for `capacity` responses of equal size. */
function memoryTier(): Policy {
  const clock = systemClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'bench' });
  const body = Buffer.alloc(0);
  const item = (key: number) =>
    storedItemForBench({ key: `r|/${String(key).padStart(9, '0')}`, body, position: purgeLog.position() });
  const maxBytes = capacity * sizeOfItem(item(0), capacity * 1000);
  const store = createMemoryStore({ maxBytes, routeLimits: new Map(), purgeLog, clock });
  return {
    ask: (key) => {
      const one = item(key);
      if (store.get(one.key) !== undefined) return true;
      store.put(one);
      return false;
    },
  };
}

/** A small seeded generator (mulberry32), 0 to 1. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = Math.trunc(state + 0x6d2b79f5);
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function zipf(keys: number, exponent: number, random: () => number): () => number {
  const sums: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= keys; rank += 1) {
    sum += 1 / rank ** exponent;
    sums.push(sum);
  }
  return () => {
    const wanted = random() * sum;
    let low = 0;
    let high = keys - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

type Trace = () => Generator<number>;

const length = 400_000;

const traces: Readonly<Record<string, Trace>> = {
  'zipf 1.0 over 20,000 keys': function* skewed() {
    const next = zipf(20_000, 1, seeded(1));
    for (let ask = 0; ask < length; ask += 1) yield next();
  },
  'zipf 0.8 over 50,000 keys': function* flat() {
    const next = zipf(50_000, 0.8, seeded(2));
    for (let ask = 0; ask < length; ask += 1) yield next();
  },
  'zipf with scans: every 40,000 asks 10,000 keys once': function* scanned() {
    const next = zipf(20_000, 1, seeded(3));
    let scan = 1_000_000;
    for (let ask = 0; ask < length; ask += 1) {
      yield next();
      if (ask % 40_000 !== 20_000) continue;
      for (let key = 0; key < 10_000; key += 1) yield (scan += 1);
    }
  },
  'hot set of 1,000 in a flood of keys asked once, 1 to 4': function* flooded() {
    const random = seeded(4);
    let flood = 1_000_000;
    for (let ask = 0; ask < length; ask += 1) yield ask % 5 === 0 ? Math.floor(random() * 1000) : (flood += 1);
  },
  'the same, each flood key asked twice at once': function* doubled() {
    const random = seeded(5);
    let flood = 1_000_000;
    for (let ask = 0; ask < length; ask += 1) {
      if (ask % 5 === 0) yield Math.floor(random() * 1000);
      else yield ask % 2 === 0 ? (flood += 1) : flood;
    }
  },
  'loop over 2,400 keys (warming, 1.2 of what fits)': function* looped() {
    for (let ask = 0; ask < length; ask += 1) yield ask % 2400;
  },
  'loop over 4,000 keys (twice what fits)': function* farLooped() {
    for (let ask = 0; ask < length; ask += 1) yield ask % 4000;
  },
  'zipf 1.0 whose favourites change every 50,000 asks': function* shifting() {
    const next = zipf(20_000, 1, seeded(6));
    for (let ask = 0; ask < length; ask += 1) yield next() + Math.floor(ask / 50_000) * 20_000;
  },
  'recency: keys near a front that moves on': function* moving() {
    const random = seeded(7);
    for (let ask = 0; ask < length; ask += 1) yield Math.floor(ask / 4) + Math.floor(random() ** 3 * 6000);
  },
};

const policies: Readonly<Record<string, () => Policy>> = {
  'memory tier (S3-FIFO)': memoryTier,
  LRU: () => new Lru(capacity),
  SIEVE: () => new Sieve(capacity),
  'W-TinyLFU': () => new TinyLfu(capacity),
};

function percent(hits: number, asked: number): string {
  return `${((100 * hits) / asked).toFixed(1)} %`;
}

function hitRatio(policy: Policy, trace: Trace): string {
  let hits = 0;
  let asked = 0;
  for (const key of trace()) {
    asked += 1;
    if (policy.ask(key)) hits += 1;
  }
  return percent(hits, asked);
}

/** Hits of a hot set of 1,000 before and during a flood of 1,000,000 distinct keys, one hot ask for ten of the flood. */
function inFlood(policy: Policy): { readonly before: string; readonly during: string } {
  const random = seeded(8);
  const askHot = () => policy.ask(Math.floor(random() * 1000));
  for (let ask = 0; ask < 20_000; ask += 1) askHot();
  let before = 0;
  for (let ask = 0; ask < 20_000; ask += 1) before += askHot() ? 1 : 0;
  let during = 0;
  for (let key = 0; key < 1_000_000; key += 1) {
    policy.ask(10_000_000 + key);
    if (key % 10 === 0) during += askHot() ? 1 : 0;
  }
  return { before: percent(before, 20_000), during: percent(during, 100_000) };
}

const ratios = Object.fromEntries(
  Object.entries(traces).map(([name, trace]) => [
    name,
    Object.fromEntries(Object.entries(policies).map(([policy, make]) => [policy, hitRatio(make(), trace)])),
  ]),
);
const floods = Object.fromEntries(Object.entries(policies).map(([name, make]) => [name, inFlood(make())]));

if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ capacity, ratios, floods }));
} else {
  console.log(`Hit ratio with room for ${capacity} responses`);
  console.table(ratios);
  console.log('Hits of a hot set of 1,000 in a flood of 1,000,000 distinct keys, ten for each ask of the hot set');
  console.table(floods);
}
