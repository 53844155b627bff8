/**
 * What a stored response takes beside its body and fields, measured: `node --expose-gc bench/memory-overhead.ts`.
 * docs/decisions/0017 has its table. Each case is a process of its own, so that nothing is left over.
 */
import { spawnSync } from 'node:child_process';
import type { FieldLines } from '../src/core/fields.ts';
import { storedItemForBench, systemClock } from './store-support.ts';
import { createLocalPurgeLog } from '../src/store/local-purge-log.ts';
import { createMemoryStore } from '../src/store/memory-store.ts';

interface Case {
  readonly name: string;
  readonly responses: number;
  readonly bodyBytes: number;
  readonly fields: number;
  /** Tags that many responses share, and tags of one response alone. */
  readonly sharedTags: number;
  readonly ownTags: number;
  readonly marker: boolean;
  readonly read: boolean;
}

const plain = { responses: 100_000, bodyBytes: 1024, fields: 0, sharedTags: 0, ownTags: 0, marker: false, read: false };
const cases: readonly Case[] = [
  { ...plain, name: 'bare' },
  { ...plain, name: 'bare, read once', read: true },
  { ...plain, name: '7 fields', fields: 7 },
  { ...plain, name: '3 shared tags', sharedTags: 3 },
  { ...plain, name: '1 own tag', ownTags: 1 },
  { ...plain, name: '3 own tags', ownTags: 3 },
  { ...plain, name: 'typical: 7 fields, 2 shared and 1 own tag', fields: 7, sharedTags: 2, ownTags: 1, read: true },
  {
    ...plain,
    name: 'typical, 10 KB',
    bodyBytes: 10_240,
    responses: 20_000,
    fields: 7,
    sharedTags: 2,
    ownTags: 1,
    read: true,
  },
  { ...plain, name: 'Vary marker', marker: true },
];

/** Strings made at run time, as those of a request and a response are: nothing is shared with the next. */
function fresh(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function measure(which: Case): void {
  const clock = systemClock();
  const purgeLog = createLocalPurgeLog({ clock, instanceId: 'bench' });
  const store = createMemoryStore({ maxBytes: 4e9, routeLimits: new Map(), purgeLog, clock });
  const item = (index: number) => {
    const fields: FieldLines = Array.from({ length: which.fields }, (__, line) => [
      fresh(`field-name-${line}`),
      fresh(`value of ${line} and ${index % 1000}`),
    ]);
    const tags = [
      ...Array.from({ length: which.sharedTags }, (_, tag) => fresh(`shared:${tag}:${index % 100}`)),
      ...Array.from({ length: which.ownTags }, (_, tag) => fresh(`own:${tag}:${index}`)),
    ];
    const key = fresh(`weather-forecast|/v1/forecast?location=city-${index}&days=7&units=metric`);
    const body = Buffer.allocUnsafeSlow(which.bodyBytes).fill(120);
    return storedItemForBench({ key, fields, tags, body, position: purgeLog.position(), marker: which.marker });
  };
  let text = 0;
  let content = 0;
  // As many before as are measured, so that what V8 keeps in hand (young generation, slack) has grown already.
  for (let index = 0; index < which.responses; index += 1) store.put(item(index));
  globalThis.gc?.();
  globalThis.gc?.();
  const before = process.memoryUsage();
  const countedBefore = store.stats().bytes;
  for (let index = which.responses; index < 2 * which.responses; index += 1) {
    const one = item(index);
    text += one.key.length + one.url.length + one.tags.join('').length;
    if (one.kind === 'response') content += one.body.byteLength + one.fields.flat().join('').length;
    store.put(one);
    if (which.read) store.get(one.key);
  }
  globalThis.gc?.();
  globalThis.gc?.();
  const after = process.memoryUsage();
  const each = (bytes: number) => Math.round(bytes / which.responses);
  const row = {
    case: which.name,
    'body and fields': each(content),
    'key, url, tags': each(text),
    'heap + external': each(after.heapUsed - before.heapUsed + after.external - before.external),
    rss: each(after.rss - before.rss),
    counted: each(store.stats().bytes - countedBefore),
    'over body and fields by rss': each(after.rss - before.rss - content),
  };
  console.log(JSON.stringify(row));
}

const asked = process.argv[2];
if (asked === undefined) {
  const rows = cases.map((_, index) => {
    const script = new URL(import.meta.url).pathname;
    const run = spawnSync(process.execPath, ['--expose-gc', script, String(index)], { encoding: 'utf8' });
    if (run.status !== 0) throw new Error(run.stderr);
    const row: unknown = JSON.parse(run.stdout);
    return row;
  });
  console.table(rows);
} else {
  const which = cases[Number(asked)];
  if (which !== undefined) measure(which);
}
