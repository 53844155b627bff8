import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseCores, cpuSeconds, memoryMib } from '../../bench/http/cores.ts';
import { parseResult } from '../../bench/http/load.ts';
import { hotPaths, warm, withoutOrigin } from '../../bench/http/measure.ts';
import { readLog, refuseUnlike } from '../../bench/http/open-loop.ts';
import { metricIn } from '../../bench/http/scrape.ts';
import { refuseFewStored } from '../../bench/latency.ts';
import { fillIn, originCounts, startOrigin, type Server } from '../../bench/http/servers.ts';

const result =
  'Running 3s test\nRESULT {"requests":6000,"durationUs":3000000,"bytes":9,"errors":2,"p50":118,"p90":2885,"p99":17200,"p999":55100,"max":59300}\n';

async function* linesOf(...lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

describe('the closed load', () => {
  it('reads the line of the script: microseconds become milliseconds', () => {
    const { requests, perSecond, errors, ...latencies } = parseResult(result);
    expect([requests, perSecond, errors]).toEqual([6000, 2000, 2]);
    expect(latencies).toEqual({ p50: 0.118, p90: 2.885, p99: 17.2, p999: 55.1, max: 59.3 });
  });

  it('is refused where it gave no result', () => {
    expect(() => parseResult('unable to connect to 127.0.0.1:1')).toThrow(/unable to connect/);
  });
});

describe('the open load', () => {
  it('takes latencies, failures and the rate from the log of each request', async () => {
    const lines = Array.from({ length: 101 }, (_, i) => `${1_000_000 + i * 1000}\t${i === 7 ? 500 : 200}\t400`);
    const { sent, failed, perSecond, p50, max } = await readLog(linesOf(...lines), { intervalUs: 10_000, settleUs: 0 });
    expect({ sent, failed, perSecond }).toEqual({ sent: 101, failed: 1, perSecond: 1010 * (100 / 101) });
    expect(p50).toBeCloseTo(0.4, 2);
    expect(max).toBeCloseTo(0.4, 2);
  });

  it('counts the requests that were due while one waited: a pause of a second is no single slow request', async () => {
    const quick = Array.from({ length: 99 }, (_, i) => `${i * 10_000}\t200\t500`);
    const { sent, p50, max } = await readLog(linesOf(...quick, '1000000\t200\t1000000'), {
      intervalUs: 10_000,
      settleUs: 0,
    });
    expect(sent).toBe(100);
    // The hundred that were due every 10 ms within that second waited for 990, 980, … ms: half of all waited for long.
    expect(p50).toBeGreaterThan(1);
    expect(max).toBeCloseTo(1000, -1);
  });

  it('counts once what took no longer than the time between two requests, and rounds less than 1 µs up', async () => {
    const { p50, max } = await readLog(linesOf('0\t200\t9999', '1\t200\t0', '2\t200\t0'), {
      intervalUs: 10_000,
      settleUs: 0,
    });
    expect(p50).toBeCloseTo(0.001, 3);
    expect(max).toBeCloseTo(9.999, 1);
  });

  it('leaves out what was sent while the connections were opened', async () => {
    const lines = ['5000000\t200\t90000', '5999999\t-1\t90000', '6000000\t200\t300', '6500000\t200\t300'];
    const { sent, failed, max } = await readLog(linesOf(...lines), { intervalUs: 10_000, settleUs: 1e6 });
    expect([sent, failed]).toEqual([2, 0]);
    expect(max).toBeCloseTo(0.3, 2);
  });

  it('is refused where nothing was sent', async () => {
    await expect(readLog(linesOf(), { intervalUs: 10_000, settleUs: 0 })).rejects.toThrow(/sent nothing/);
  });
});

describe('an open loop that says nothing', () => {
  const good = { sent: 30_000, failed: 0, perSecond: 9700, loadBusy: 0.95 };
  const judged = (other: Partial<typeof good>) => () => refuseUnlike('nginx', { ...good, ...other }, 10_000);

  it('is none that reached 97 % of its rate with 95 % of its core', () => {
    expect(judged({})).not.toThrow();
  });

  it.each([
    ['did not reach its rate', { perSecond: 9699 }, /asked for 10000 a second and reached 9699/],
    ['had no rate', { perSecond: Number.NaN }, /reached NaN/],
    ['had its core full', { loadBusy: 0.951 }, /took 95 % of its core/],
    ['had a core whose time is not known', { loadBusy: Number.NaN }, /of its core/],
    ['had a request that failed', { failed: 1 }, /1 of 30000 requests failed/],
  ] as const)('is refused where it %s, and never judged', (_what, other, message) => {
    expect(judged(other)).toThrow(/^nginx could not be measured/);
    expect(judged(other)).toThrow(message);
  });
});

it('pauses are refused where fewer than 950 misses a second were stored', () => {
  expect(() => refuseFewStored(950)).not.toThrow();
  expect(() => refuseFewStored(949.4)).toThrow(/could not be measured: 949 misses/);
  expect(() => refuseFewStored(Number.NaN)).toThrow(/could not be measured/);
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

  it('has the time of living children counted with their parent, as of servers that work in one', async () => {
    const busy =
      'until = Date.now() + 60_000; while (process.cpuUsage().user < 300_000) {} console.log(1); setInterval(() => {}, 1e9)';
    const parent = `
      const child = require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(busy)}], { stdio: ['ignore', 'pipe', 'ignore'] });
      process.once('exit', () => child.kill('SIGKILL'));
      process.stdin.once('data', () => process.exit(0));
      child.stdout.once('data', () => console.log(process.cpuUsage().user));
    `;
    const child = spawn(process.execPath, ['-e', parent], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    const [said] = await once(child.stdout, 'data');
    const ownSeconds = Number(String(said)) / 1e6;
    expect(cpuSeconds(child.pid ?? 0) - ownSeconds).toBeGreaterThan(0.25);
    child.stdin.end('end\n');
    await ended;
  });

  it('has a core for the servers and one for the load', () => {
    const { server, load } = chooseCores();
    expect(Number.isInteger(server)).toBe(true);
    expect(load).toBeGreaterThanOrEqual(server);
  });
});

it('the memory of a process is told as it is and as it was at most', () => {
  const { now, peak } = memoryMib(process.pid);
  expect(now).toBeGreaterThan(20);
  expect(now).toBeLessThan(process.memoryUsage().rss / 1024 / 1024 + 50);
  expect(peak).toBeGreaterThanOrEqual(now);
});

it('a metric without labels is found in a scrape, and missed loudly', () => {
  const text = '# TYPE lag gauge\nlag_seconds_total 9\nlag_seconds 0.0125\n';
  expect(metricIn(text, 'lag_seconds')).toBe(0.0125);
  expect(metricIn('stored{tier="redis"} 1\nstored{tier="memory"} 2\n', 'stored{tier="memory"}')).toBe(2);
  expect(() => metricIn(text, 'lag')).toThrow(/do not have lag/);
});

it("a rival's configuration has all its places filled in", () => {
  expect(fillIn('bind ${HOST}:${PORT} $request_uri', { HOST: 'a', PORT: '1' })).toBe('bind a:1 $request_uri');
  expect(() => fillIn('bind ${PORT}', {})).toThrow(/no value for \$\{PORT\}/);
});

describe('the origin', () => {
  let origin: Server;
  beforeAll(async () => {
    origin = await startOrigin(chooseCores().load);
  });
  afterAll(async () => {
    await origin.stop();
  });

  it('answers bodies of the size that is asked for', async () => {
    for (const bytes of [1024, 10_240, 102_400]) {
      const answer = await fetch(origin.origin + (hotPaths(bytes, 1)[0] ?? ''));
      expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([200, bytes]);
    }
  });

  it('tells requests of each kind apart', async () => {
    const before = await originCounts(origin);
    await warm(origin, [...hotPaths(1024, 3), '/v1/forecast?location=flood12']);
    const after = await originCounts(origin);
    expect((after.get('city') ?? 0) - (before.get('city') ?? 0)).toBe(3);
    expect((after.get('flood') ?? 0) - (before.get('flood') ?? 0)).toBe(1);
  });

  it('gives away a measurement of hits that were none', async () => {
    const miss = (): Promise<void> => warm(origin, hotPaths(1024, 2));
    await expect(withoutOrigin(origin, 'city', miss)).rejects.toThrow(/2 requests .* reached the origin/);
    await expect(withoutOrigin(origin, 'flood', miss)).resolves.toBeUndefined();
  });

  it('refuses to warm a server that answers something else', async () => {
    const wrong = { ...origin, origin: `${origin.origin}0` };
    await expect(warm(wrong, hotPaths(1024, 1))).rejects.toThrow(/invalid url|port/i);
  });
});
