import type { LoadMode, LoadResult } from './load.ts';

/** One measured row. */
export interface Row {
  readonly server: string;
  readonly mode: LoadMode;
  readonly load: LoadResult;
  /** Processor time of the server, microseconds a request; NaN where the clock of /proc is too coarse for so few. */
  readonly cpuUs: number;
}

const headings = [
  'server',
  'connections',
  'req/s',
  'p50',
  'p90',
  'p99',
  'p99.9',
  'max',
  'CPU µs/req',
  'errors',
] as const;

/** The table, latencies in milliseconds. */
export function tableLines(rows: readonly Row[]): readonly string[] {
  const cells = rows.map(({ server, mode, load, cpuUs }) => [
    server,
    mode.name,
    load.perSecond.toFixed(load.perSecond < 1000 ? 1 : 0),
    ...[load.p50, load.p90, load.p99, load.p999, load.max].map((ms) => (ms < 10 ? ms.toFixed(3) : ms.toFixed(1))),
    Number.isNaN(cpuUs) ? '-' : cpuUs.toFixed(1),
    String(load.errors),
  ]);
  const widths = headings.map((heading, i) => Math.max(heading.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  return [line(headings), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(line)];
}

/** What the rows say beside each other, for each way to ask. */
export function ratioLines(rows: readonly Row[]): readonly string[] {
  return rows
    .filter(({ server }) => server === 'forecache')
    .flatMap((ours) => {
      const beside = (server: string): Row | undefined =>
        rows.find((row) => row.server === server && row.mode.name === ours.mode.name);
      const without = beside('no cache');
      const nginx = beside('nginx');
      return [
        ...(without === undefined ? [] : [`${ours.mode.name}: ${againstNone(ours, without)}`]),
        ...(nginx === undefined ? [] : [`${ours.mode.name}: ${againstNginx(ours, nginx)}`]),
      ];
    });
}

function againstNone(ours: Row, without: Row): string {
  const times = (without.load.p50 / ours.load.p50).toFixed(0);
  const more = (ours.load.perSecond / without.load.perSecond).toFixed(0);
  return `p50 of a hit ${times} times shorter than without a cache, ${more} times the requests a second`;
}

function againstNginx(ours: Row, nginx: Row): string {
  const rate = (ours.load.perSecond / nginx.load.perSecond).toFixed(2);
  const cpu = (ours.cpuUs / nginx.cpuUs).toFixed(2);
  const p50 = (ours.load.p50 / nginx.load.p50).toFixed(2);
  return `${rate} times nginx's requests a second, ${cpu} times its CPU a request, ${p50} times its p50`;
}
