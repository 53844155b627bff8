import { describe, expect, test } from 'vitest';

import { FakeClock } from '../support/clock.ts';
import { cli, type CliRun } from '../support/cli.ts';
import { startOrigin } from '../support/origin.ts';
import { startTestProxy, yamlFor } from '../support/proxy.ts';

const routes = `
  - name: forecast
    match: /forecast
    upstream: api
    ttl: 3h
    query: { location: { type: text, fold: true, required: true } }
    tags: ["location:{location}"]
`;

describe('the command line against a running proxy', () => {
  test('warms, explains, counts and purges what agents asked for', async () => {
    await using origin = await startOrigin((request, peer) =>
      request.target.includes('atlantis')
        ? peer.respond(404, { 'content-type': 'application/json' }, '{}')
        : peer.respond(200, { 'content-type': 'application/json' }, '{"sunny":true}'),
    );
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes) });
    const run = (...argv: string[]): Promise<CliRun> => cli([...argv, '--admin', proxy.admin]);

    await proxy.get('/forecast?location=lima');
    const warmed = await run(
      'warm',
      '--route',
      'forecast',
      ...['LIMA', 'Lima Sur', 'atlantis'].map((name) => `--with=location=${name}`),
    );
    expect(warmed.code).toBe(1);
    expect(warmed.stdout).toContain('1 fetched, 1 reused, 1 failed');

    const explained = await run('explain', '/forecast?location=%20LIMA%20SUR');
    expect(explained).toMatchObject({ code: 0, stderr: '' });
    expect(explained.stdout).toContain('would be  hit\n');
    expect(explained.stdout).toContain('forecast|/forecast?location=lima%20sur');

    expect((await run('purge', '--tag', 'location:lima', '--dry-run')).stdout).toContain(
      'would purge 1 stored response;',
    );
    expect((await run('purge', '--tag', 'location:lima')).stdout).toContain('purged 1 stored response here; complete');
    expect((await run('explain', '/forecast?location=lima')).stdout).toContain('would be  miss (fwd=uri-miss)\n');
    expect((await run('explain', '/forecast?location=lima+sur')).stdout).toContain('would be  hit\n');

    const stats = await run('stats');
    expect(stats.stdout).toMatch(/\nforecast +1 +0 +1 +0 +0\.0 % +0 +0 +3 /u);
    expect(stats.stdout).toContain('purges         1, covering 1 stored responses');
    expect(await run('stats', '--reset')).toMatchObject({ code: 0 });
    expect((await run('stats')).stdout).toMatch(/\nall +0 +0 +0 /u);

    const wrong = await run('purge', '--route', 'forcast');
    expect(wrong).toEqual({
      code: 1,
      stdout: '',
      stderr: 'forecache: 400 Unknown route: There is no route "forcast"; did you mean "forecast"?\n',
    });
  });

  test('configured jobs and purges happen at their times', async () => {
    await using origin = await startOrigin((_request, peer) => peer.respond(200, {}, '{}'));
    const jobs = `
warm:
  locations: [lima, quito]
  jobs: [{ route: forecast, with: { location: "{location}" }, every: 30m, jitter: 0s }]
purge:
  schedule: [{ cron: "0 13 * * *", route: forecast }]
`;
    const clock = new FakeClock();
    await using proxy = await startTestProxy({ yaml: yamlFor(origin.url, routes, jobs), clock });
    const stats = async (): Promise<unknown> =>
      JSON.parse((await cli(['stats', '--json', '--admin', proxy.admin])).stdout);
    clock.advance(0);
    await expect.poll(stats).toMatchObject({ warm: { runs: 1, fetched: 2, failed: 0 }, store: { responses: 2 } });
    clock.advance(59 * 60_000);
    await expect.poll(stats).toMatchObject({ warm: { runs: 2, fetched: 2, reused: 2 }, purges: 0 });
    clock.advance(60_000);
    await expect.poll(stats).toMatchObject({ purges: 1, purged_responses: 2 });
  });
});
