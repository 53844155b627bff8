import type { LoadResult } from './load.ts';

/** One measured row. */
export interface Row {
  readonly server: string;
  readonly connections: number;
  readonly load: LoadResult;
  /** Processor time of the server, microseconds a request; NaN where the clock of /proc is too coarse for so few. */
  readonly cpuUs: number;
}

const headings = ['server', 'conns', 'req/s', 'p50', 'p90', 'p99', 'p99.9', 'max', 'CPU µs/req', 'errors'] as const;

/** The table, latencies in milliseconds. */
export function tableLines(rows: readonly Row[]): readonly string[] {
  const cells = rows.map(({ server, connections, load, cpuUs }) => [
    server,
    String(connections),
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

/** What the rows say beside each other, for each number of connections. */
export function ratioLines(rows: readonly Row[]): readonly string[] {
  const find = (server: string, connections: number): Row | undefined =>
    rows.find((row) => row.server === server && row.connections === connections);
  return [...new Set(rows.map(({ connections }) => connections))].flatMap((connections) => {
    const ours = find('forecache', connections);
    const without = find('no cache', connections);
    const nginx = find('nginx', connections);
    if (ours === undefined) return [];
    const lines: string[] = [];
    if (without !== undefined) {
      const times = (without.load.p50 / ours.load.p50).toFixed(0);
      const more = (ours.load.perSecond / without.load.perSecond).toFixed(0);
      lines.push(
        `${connections} conns: a hit is ${times} times as fast as no cache (p50), with ${more} times the requests`,
      );
    }
    if (nginx !== undefined) {
      const rate = (ours.load.perSecond / nginx.load.perSecond).toFixed(2);
      const cpu = (ours.cpuUs / nginx.cpuUs).toFixed(2);
      const p50 = (ours.load.p50 / nginx.load.p50).toFixed(2);
      lines.push(
        `${connections} conns: beside nginx ${rate} of its requests, ${cpu} of its CPU a request, ${p50} of its p50`,
      );
    }
    return lines;
  });
}
