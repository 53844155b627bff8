/**
 * What hits, puts and purges cost as more is stored: `node --expose-gc bench/purge.ts`. docs/decisions/0002 and 0017 have its tables.
 * Pauses are the longest time between two turns of the event loop while a purge is carried out in the background; times of
 * puts are of the thread's own CPU, which other processes do not lengthen.
 */
import type { StoredItem } from '../src/core/stored-response.ts';
import { createLocalPurgeLog } from '../src/store/local-purge-log.ts';
import { createMemoryStore } from '../src/store/memory-store.ts';
import { storedItemForBench, systemClock } from './store-support.ts';

/** No divisor of the tags' numbers, so that each tag has some. */
const shortLivedEvery = 21;
const shortLifeMs = 600_000;

/**
 * With `hasExpired` some have just come to the end of their retention, all in the same moment, and none is removed yet: the clock goes on by
 * ten minutes at the end, and timers do not.
 */
function filled(responses: number, bodyBytes: number, hasExpired = false) {
  const system = systemClock();
  let aheadMs = 0;
  const clock = { ...system, nowMs: () => system.nowMs() + aheadMs };
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'bench' });
  const store = createMemoryStore({ maxBytes: 16e9, routeLimits: new Map(), purgeLog, clock });
  const position = purgeLog.position();
  for (let index = 0; index < responses; index += 1) {
    const key = keyOf(index);
    const tags = [index % 10 === 0 ? 'location:lima' : 'location:quito', `point:${index % 1000}`, 'route:forecast'];
    const item = storedItemForBench({ key, tags, body: Buffer.alloc(bodyBytes), position });
    store.put(hasExpired && index % shortLivedEvery === 0 ? shortLived(item) : item);
  }
  if (hasExpired) aheadMs = shortLifeMs + 1000;
  return { store, purgeLog, clock, position };
}

function shortLived(item: StoredItem): StoredItem {
  if (item.kind !== 'response') return item;
  const untilMs = item.responseTimeMs + shortLifeMs;
  const until = { freshUntilMs: untilMs, swrUntilMs: untilMs, sieUntilMs: untilMs, retainUntilMs: untilMs };
  return { ...item, freshness: { ...item.freshness, ...until } };
}

function keyOf(index: number): string {
  return Buffer.from(`weather-forecast|/v1/forecast?location=city-${index}&days=7&units=metric`).toString('latin1');
}

interface Pauses {
  longestMs: number;
  /** The same by the CPU time of this thread: what other processes do not lengthen. */
  longestCpuMs: number;
  readonly stop: () => void;
}

function watchPauses(): Pauses {
  let lastMs = performance.now();
  let lastCpuMs = cpuMs();
  let running = true;
  const pauses: Pauses = {
    longestMs: 0,
    longestCpuMs: 0,
    stop: () => {
      running = false;
    },
  };
  const turn = () => {
    const nowMs = performance.now();
    pauses.longestMs = Math.max(pauses.longestMs, nowMs - lastMs);
    lastMs = nowMs;
    const nowCpuMs = cpuMs();
    pauses.longestCpuMs = Math.max(pauses.longestCpuMs, nowCpuMs - lastCpuMs);
    lastCpuMs = nowCpuMs;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  return pauses;
}

async function wait(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

type Filled = ReturnType<typeof filled>;

async function purge({ store, purgeLog }: Filled, scope: string, soft: boolean) {
  globalThis.gc?.();
  const idle = watchPauses();
  await wait(500);
  idle.stop();
  const pauses = watchPauses();
  await wait(10);
  const stored = store.stats().responses;
  const startMs = performance.now();
  const matched = await store.count([scope]);
  const countedMs = performance.now();
  await purgeLog.append({ scopes: [scope], soft });
  const answeredMs = performance.now();
  const left = () => (soft ? 0 : store.stats().responses - (stored - matched));
  while (left() > 0) await wait(5);
  const reapedMs = performance.now();
  await wait(1000);
  pauses.stop();
  return {
    purge: `${soft ? 'soft ' : ''}${scope}`,
    stored,
    matched,
    'count ms': (countedMs - startMs).toFixed(2),
    'append ms': (answeredMs - countedMs).toFixed(2),
    'memory freed after ms': soft ? '' : (reapedMs - answeredMs).toFixed(0),
    'longest pause ms': pauses.longestMs.toFixed(1),
    'the same, idle': idle.longestMs.toFixed(1),
    'of CPU ms': pauses.longestCpuMs.toFixed(1),
    'MiB counted then': Math.round(store.stats().bytes / 2 ** 20),
  };
}

/** Of all that is past its retention at the same time. The put has the clock looked at, which went on without the timers. */
async function removal({ store, position }: Filled) {
  const pauses = watchPauses();
  const stored = store.stats().responses;
  const startMs = performance.now();
  store.put(storedItemForBench({ key: keyOf(-1), body: Buffer.alloc(1), position }));
  let before = -1;
  while (store.stats().evictedRetention !== before || before === 0) {
    before = store.stats().evictedRetention;
    await wait(1500);
  }
  pauses.stop();
  return {
    stored,
    'removed as ended': before,
    'within ms': (performance.now() - startMs - 1500).toFixed(0),
    'longest pause ms': pauses.longestMs.toFixed(1),
    'of CPU ms': pauses.longestCpuMs.toFixed(1),
  };
}

/** Milliseconds of CPU that this thread has taken. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** The costliest of 20,000 puts beside what is stored. */
function puts({ store, position }: Filled, from: number): string {
  const tags = ['location:quito', 'route:forecast'];
  const costs = Array.from({ length: 20_000 }, (_, index) => {
    const item = storedItemForBench({ key: keyOf(from + index), tags, body: Buffer.alloc(1024), position });
    const startMs = cpuMs();
    store.put(item);
    return cpuMs() - startMs;
  }).toSorted((a, b) => b - a);
  return costs
    .slice(0, 3)
    .map((ms) => ms.toFixed(1))
    .join(' ');
}

function hit(made: Filled, responses: number) {
  const { store, purgeLog, clock } = made;
  const keys = Array.from({ length: 200 }, (_, index) => keyOf(index * Math.floor(responses / 200)));
  const timed = (once: () => void) => {
    const startMs = cpuMs();
    for (let repeat = 0; repeat < 1000; repeat += 1) once();
    return ((cpuMs() - startMs) * 1e6) / (1000 * keys.length);
  };
  const round = () =>
    timed(() => {
      for (const key of keys) store.get(key);
    });
  for (let warm = 0; warm < 5; warm += 1) round();
  const rounds = Array.from({ length: 7 }, round).toSorted((a, b) => a - b);
  const places = keys.map((key) => store.get(key)?.place);
  const agains = Array.from({ length: 7 }, () =>
    timed(() => {
      for (const place of places) place?.again(clock.nowMs(), false);
    }),
  ).toSorted((a, b) => a - b);
  const startMs = cpuMs();
  for (let time = 0; time < 2000; time += 1) {
    void purgeLog.append({ scopes: [`t:none-${time}`], soft: false });
    for (const key of keys.slice(0, 10)) store.get(key);
  }
  const checkedNs = ((cpuMs() - startMs) * 1e6) / 20_000;
  return {
    stored: responses,
    'hit ns': rounds[3]?.toFixed(0),
    'again ns': agains[3]?.toFixed(0),
    'hit after a purge ns': checkedNs.toFixed(0),
    'costliest puts ms': puts(made, responses),
  };
}

const hits = [];
for (const responses of [1000, 100_000]) {
  const made = filled(responses, 1024);
  hits.push(hit(made, responses));
  made.store[Symbol.dispose]();
}
const million = filled(1_000_000, 1024);
hits.push(hit(million, 1_000_000));
console.table(hits);
const rows = [];
rows.push(await purge(million, 't:location:lima', true));
for (const scope of ['t:location:lima', 'p:/v1/forecast?location=city-1', 'all']) {
  rows.push(await purge(million, scope, false));
}
console.table(rows);
million.store[Symbol.dispose]();

const partlyExpired = filled(1_000_000, 1024, true);
const slower = [await purge(partlyExpired, 't:location:lima', false)];
console.table([await removal(partlyExpired)]);
slower.push(await purge(partlyExpired, 'all', false));
console.log(
  `the same where every ${shortLivedEvery}st has just ended its retention, and when all of those have been removed`,
);
console.table(slower);
partlyExpired.store[Symbol.dispose]();
