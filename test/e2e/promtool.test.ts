import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { beforeAll, expect, it } from 'vitest';
import { get } from '../../src/demo/http-get.ts';
import { startWeatherSimulator } from '../../src/demo/start-simulators.ts';
import { someCoherence, someEvents, someRedis, startMetrics, stopMetrics } from '../support/fleet-events.ts';
import { startProgram } from '../support/program.ts';
import { systemTool } from '../support/system-tools.ts';

let promtool = '';

beforeAll(async () => {
  promtool = await systemTool('promtool');
}, 300_000);

const config = `
server: { listen: "127.0.0.1:0" }
admin: { listen: "127.0.0.1:0" }
upstreams:
  weather: { origin: "\${WEATHER_ORIGIN}" }
routes:
  - name: weather-forecast
    match: /v1/forecast
    upstream: weather
    ttl: 1h
    query:
      location: { type: text, fold: true, required: true }
`;

/** What `promtool check metrics` says of a scrape, and its exit code. */
async function check(metrics: Buffer): Promise<{ readonly code: number | null; readonly said: string }> {
  const child = spawn(promtool, ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.end(metrics);
  await once(child, 'close');
  return { code: child.exitCode, said };
}

it('gives a scrape in which promtool finds nothing to mend, after hits, misses, errors, refusals and a purge', async () => {
  const weather = await startWeatherSimulator({ latency: { minMs: 0, maxMs: 0 } });
  await using program = await startProgram({ config: { text: config }, env: { WEATHER_ORIGIN: weather.origin } });
  const paths = ['/v1/forecast?location=berlin', '/v1/forecast?location=BERLIN', '/v1/forecast', '/nowhere'];
  const statuses: number[] = [];
  for (const path of paths) statuses.push((await get(`${program.proxy}${path}`)).status);
  await weather.close();
  statuses.push((await get(`${program.proxy}/v1/forecast?location=paris`)).status);
  expect(statuses).toEqual([200, 200, 400, 404, 502]);
  const purge = { method: 'POST', fields: { 'content-type': 'application/json' }, body: '{"all":true}' };
  expect((await get(`${program.admin}/api/purge`, purge)).status).toBe(200);

  const scrape = await get(`${program.admin}/metrics`);
  expect(scrape.status).toBe(200);
  expect(scrape.body.toString()).toMatch(/^forecache_\w+\{.*route="weather-forecast".*\} 1$/m);
  expect(await check(scrape.body)).toEqual({ code: 0, said: '' });
});

it('finds nothing to mend in the families of a fleet either', async () => {
  const { observer, prometheus } = startMetrics({ coherence: () => someCoherence, redis: () => someRedis });
  for (const event of someEvents) observer.fleet(event);
  const text = await prometheus();
  stopMetrics();
  expect(text).toContain('forecache_redis_operation_duration_seconds_bucket{operation="get",le="0.0005"} 1');
  expect(await check(Buffer.from(text))).toEqual({ code: 0, said: '' });
});

it('would have found something', async () => {
  const { code, said } = await check(Buffer.from('# TYPE forecache_hits counter\nforecache_hits 1\n'));
  expect(code).not.toBe(0);
  expect(said).toContain('forecache_hits');
});
