import { describe, expect, it } from 'vitest';
import { chooseCores, cpuSeconds } from '../../bench/http/cores.ts';
import { parseResult, type LoadMode } from '../../bench/http/load.ts';
import { ratioLines, tableLines, type Row } from '../../bench/http/table.ts';

const one: LoadMode = { name: '1', connections: 1, thinkMs: 0 };
const result =
  'Running 3s test\nRESULT {"requests":6000,"durationUs":3000000,"bytes":9,"errors":2,"p50":118,"p90":2885,"p99":17200,"p999":55100,"max":59300}\n';

function row(server: string, perSecond: number, p50: number, cpuUs: number): Row {
  const load = { requests: 1, perSecond, errors: 0, p50, p90: p50, p99: p50, p999: p50, max: p50 };
  return { server, mode: one, load, cpuUs };
}

describe('the load', () => {
  it('reads the line of the script: microseconds become milliseconds', () => {
    const { requests, perSecond, errors, ...latencies } = parseResult(result);
    expect([requests, perSecond, errors]).toEqual([6000, 2000, 2]);
    expect(latencies).toEqual({ p50: 0.118, p90: 2.885, p99: 17.2, p999: 55.1, max: 59.3 });
  });

  it('is refused where it gave no result', () => {
    expect(() => parseResult('unable to connect to 127.0.0.1:1')).toThrow(/unable to connect/);
  });
});

describe('the table', () => {
  const rows = [row('forecache', 6000, 0.1, 50), row('nginx', 12_000, 0.05, 25), row('no cache', 4, 250, Number.NaN)];

  it('has a line for each row, under headings of the same width', () => {
    const lines = tableLines(rows);
    expect(lines.length).toBe(5);
    expect(new Set(lines.map(({ length }) => length)).size).toBe(1);
    expect(lines[0]).toMatch(/^server .* p50 +p90 +p99 +p99\.9 +max +CPU µs\/req +errors$/);
    expect(lines[4]).toMatch(/^no cache +1 +4\.0 +250\.0 .* - +0$/);
  });

  it('is followed by what the rows say beside each other', () => {
    expect(ratioLines(rows)).toEqual([
      '1: p50 of a hit 2500 times shorter than without a cache, 1500 times the requests a second',
      "1: 0.50 times nginx's requests a second, 2.00 times its CPU a request, 2.00 times its p50",
    ]);
    expect(ratioLines(rows.slice(0, 1))).toEqual([]);
  });
});

describe('the processor', () => {
  it("has its time read from /proc: this process's own grows with what it does", () => {
    const before = cpuSeconds(process.pid);
    const own = process.cpuUsage();
    while (process.cpuUsage(own).user < 100_000) JSON.stringify(process.memoryUsage());
    const used = cpuSeconds(process.pid) - before;
    expect(used).toBeGreaterThan(0.05);
    expect(used).toBeLessThan(5);
  });

  it('has a core for the servers and one for the load', () => {
    const { server, load } = chooseCores();
    expect(Number.isInteger(server)).toBe(true);
    expect(load).toBeGreaterThanOrEqual(server);
  });
});
