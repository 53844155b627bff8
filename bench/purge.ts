/**
 * What a purge and a hit cost as more is stored: `node --max-old-space-size=4096 bench/purge.ts`. docs/decisions/0002 has its
 * table. Pauses are the longest time between two turns of the event loop while the purge is carried out in the background.
 */
import { createLocalPurgeLog } from '../src/store/local-purge-log.ts';
import { createMemoryStore } from '../src/store/memory-store.ts';
import { storedItemForBench, systemClock } from './store-support.ts';

function filled(responses: number, bodyBytes: number) {
  const clock = systemClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'bench' });
  const store = createMemoryStore({ maxBytes: 16e9, routeLimits: new Map(), purgeLog, clock });
  const position = purgeLog.position();
  for (let index = 0; index < responses; index += 1) {
    const key = keyOf(index);
    const tags = ['location:lima', `point:${index % 1000}`, 'route:weather-forecast', 'upstream:weather'];
    store.put(storedItemForBench({ key, tags, body: Buffer.allocUnsafeSlow(bodyBytes), position }));
  }
  return { store, purgeLog };
}

function keyOf(index: number): string {
  return Buffer.from(`weather-forecast|/v1/forecast?location=city-${index}&days=7&units=metric`).toString('latin1');
}

interface Pauses {
  longestMs: number;
  readonly stop: () => void;
}

function watchPauses(): Pauses {
  let lastMs = performance.now();
  let running = true;
  const pauses: Pauses = {
    longestMs: 0,
    stop: () => {
      running = false;
    },
  };
  const turn = () => {
    const nowMs = performance.now();
    pauses.longestMs = Math.max(pauses.longestMs, nowMs - lastMs);
    lastMs = nowMs;
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

async function purge(scope: string, soft: boolean, responses: number) {
  const { store, purgeLog } = filled(responses, 1024);
  globalThis.gc?.();
  const idle = watchPauses();
  await wait(500);
  idle.stop();
  const pauses = watchPauses();
  await wait(10);
  const startMs = performance.now();
  const matched = await store.count([scope]);
  const countedMs = performance.now();
  await purgeLog.append({ scopes: [scope], soft });
  const answeredMs = performance.now();
  const left = () => (soft ? 0 : store.stats().responses);
  while (left() > 0) await wait(5);
  const reapedMs = performance.now();
  await wait(500);
  pauses.stop();
  store[Symbol.dispose]();
  return {
    purge: `${soft ? 'soft ' : ''}${scope}`,
    matched,
    'count ms': (countedMs - startMs).toFixed(2),
    'append ms': (answeredMs - countedMs).toFixed(2),
    'memory freed after ms': soft ? '' : (reapedMs - answeredMs).toFixed(0),
    'longest pause ms': pauses.longestMs.toFixed(1),
    'the same, idle': idle.longestMs.toFixed(1),
  };
}

function hit(responses: number) {
  const { store, purgeLog } = filled(responses, 0);
  const keys = Array.from({ length: 200 }, (_, index) => keyOf(index * Math.floor(responses / 200)));
  const round = () => {
    const startMs = performance.now();
    for (let repeat = 0; repeat < 5000; repeat += 1) for (const key of keys) store.get(key);
    return ((performance.now() - startMs) * 1e6) / 1_000_000;
  };
  for (let warm = 0; warm < 5; warm += 1) round();
  const rounds = Array.from({ length: 7 }, round).toSorted((a, b) => a - b);
  const startMs = performance.now();
  for (let time = 0; time < 2000; time += 1) {
    void purgeLog.append({ scopes: [`t:none-${time}`], soft: false });
    for (const key of keys.slice(0, 10)) store.get(key);
  }
  const checkedNs = ((performance.now() - startMs) * 1e6) / 20_000;
  store[Symbol.dispose]();
  return { stored: responses, 'hit ns': rounds[3]?.toFixed(0), 'hit after a purge ns': checkedNs.toFixed(0) };
}

console.table([hit(1000), hit(100_000), hit(1_000_000)]);
const rows = [];
for (const scope of ['t:location:lima', 'all', 'r:weather-forecast', 'p:/v1/']) {
  rows.push(await purge(scope, false, 100_000));
}
rows.push(await purge('t:location:lima', true, 100_000));
console.table(rows);
