import { judge, type Figure } from '../bars.ts';
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

const figureHeadings = ['bar', 'what', 'ours', 'rival', 'its', 'ratio', 'spread', 'bar at', ''] as const;

/** The table of figures: medians of the rounds, and the range of what is judged. */
export function figureLines(figures: readonly Figure[]): readonly string[] {
  const cells = figures.map((figure) => {
    const { value, ours, rival, verdict } = judge(figure);
    const sign = figure.bound === 'least' ? '≥' : '≤';
    const unit = figure.unit === '' ? '' : ` ${figure.unit}`;
    return [
      figure.bar,
      figure.what,
      `${digits(ours.median)}${unit}`,
      figure.rival ?? '',
      rival === undefined ? '' : `${digits(rival.median)}${unit}`,
      rival === undefined ? '' : value.median.toFixed(2),
      figure.rounds.length < 2 ? '' : `${digits(value.min)}–${digits(value.max)}`,
      figure.limit === undefined ? '' : `${sign} ${figure.limit}${rival === undefined ? unit : ''}`,
      verdict === 'told' ? '' : verdict,
    ];
  });
  const widths = figureHeadings.map((heading, i) =>
    Math.max(heading.length, ...cells.map((row) => row[i]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (leftColumns.has(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(figureHeadings), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(line)];
}

const leftColumns = new Set([0, 1, 3, 8]);

/** Three figures that count, never an exponent. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return '-';
  if (size >= 100) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
}
