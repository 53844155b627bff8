import { describe, expect, it } from 'vitest';

import { contractFile } from '../support/config-text.ts';
import { configFile, runProgram } from '../support/launch.ts';
import { startMission, startUpstreams } from '../support/mission.ts';

const nobody = 'http://127.0.0.1:1';
const forecast = '/weather/forecast?location=Lima&days=07';
const key = 'weather-forecast|/v1/forecast?days=7&location=lima&units=metric';

describe('the command line without a running program', () => {
  it('check says that the configuration of the contract is good', async () => {
    const file = configFile(contractFile);
    expect(await runProgram(['check', '--config', file])).toEqual({
      code: 0,
      stdout: `${file}: ok, 6 routes, 2 upstreams, 2 warm jobs, 1 scheduled purge\n`,
      stderr: '',
    });
    const { code, stdout } = await runProgram(['check', '--config', file, '--json']);
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      { ok: true, file, routes: 6, upstreams: 2, warmJobs: 2, scheduledPurges: 1, notes: [] },
    ]);
  });

  it('check says every issue of a bad one on stderr and ends with 64', async () => {
    const file = configFile(contractFile.replace('ttl: 1h', 'tll: 1h').replace('ttl: 30m', 'ttl: 30 minutes'));
    const { code, stdout, stderr } = await runProgram(['check', '--config', file]);
    expect([code, stdout]).toEqual([64, '']);
    expect(stderr.replaceAll(file, 'FILE')).toBe(`\
FILE:33:5: routes[0].tll: unknown key; did you mean ttl?
FILE:70:10: routes[3].ttl: expected a duration such as 500ms, 30s, 10m, 1h or 7d, given "30 minutes"
`);
    const json = await runProgram(['check', '--config', file, '--json']);
    const first = { file, line: 33, column: 5, path: 'routes[0].tll', message: 'unknown key; did you mean ttl?' };
    const second = { file, line: 70, column: 10, path: 'routes[3].ttl' };
    expect([json.code, JSON.parse(json.stdout)]).toMatchObject([64, { ok: false, issues: [first, second] }]);
  });

  it('explain --config shows the key and what a first request does', async () => {
    const file = configFile(contractFile);
    const { code, stdout } = await runProgram(['explain', '--config', file, forecast]);
    expect(code).toBe(0);
    expect(stdout).toContain(key);
    expect(stdout).toMatch(/would be +miss \(fwd=uri-miss\)/);
    const json = await runProgram(['explain', '--config', file, forecast, '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ route: 'weather-forecast', key, stored: null });
  });

  it.each([
    ['stats', ['stats']],
    ['purge', ['purge', '--all']],
    ['warm', ['warm', '--location', 'lima']],
    ['explain', ['explain', forecast]],
  ])('%s ends with 69 where nobody answers', async (_name, args) => {
    const { code, stdout, stderr } = await runProgram([...args, '--admin', nobody]);
    expect([code, stdout]).toEqual([69, '']);
    expect(stderr).toContain('127.0.0.1:1');
  });

  it('a wrong use ends with 64 and says what is right', async () => {
    expect(await runProgram(['purge'])).toMatchObject({ code: 64, stdout: '' });
    expect(await runProgram(['frobnicate'])).toMatchObject({ code: 64, stdout: '' });
    const help = await runProgram(['--help']);
    expect(help.code).toBe(0);
    for (const command of ['serve', 'check', 'explain', 'purge', 'warm', 'stats'])
      expect(help.stdout).toContain(command);
  });
});

describe('the command line beside a running program', () => {
  it('warms, explains, counts and purges it', async () => {
    const mission = await startMission();
    const admin = ['--admin', mission.admin];
    const warmed = await runProgram(['warm', '--route', 'weather-forecast', '--with', 'location=lima', ...admin]);
    expect(warmed).toMatchObject({ code: 0, stderr: '' });
    expect(warmed.stdout).toMatch(/1 fetched, 0 reused, 0 failed in \d/);

    const explained = await runProgram(['explain', forecast, ...admin]);
    expect(explained.code).toBe(0);
    expect(explained.stdout).toContain(key);
    expect(explained.stdout).toMatch(/would be +hit\n/);
    expect(explained.stdout).toContain('days');

    await mission.get(forecast);
    const stats = await runProgram(['stats', '--json', ...admin]);
    expect([stats.code, JSON.parse(stats.stdout)]).toMatchObject([0, { requests: 1, hits: 1, hit_rate: 100 }]);
    expect((await runProgram(['stats', ...admin])).stdout).toMatch(/weather-forecast +1 +1 +0 +0 +100\.0 %/);
    expect(await runProgram(['stats', '--reset', ...admin])).toMatchObject({
      code: 0,
      stdout: 'counters set to zero\n',
    });

    const dry = await runProgram(['purge', '--tag', 'location:lima', '--dry-run', ...admin]);
    expect(dry).toMatchObject({ code: 0, stdout: 'would purge 1 stored response; nothing was changed\n' });
    const purged = await runProgram(['purge', '--tag', 'location:lima', '--json', ...admin]);
    expect([purged.code, JSON.parse(purged.stdout)]).toMatchObject([0, { complete: true, matched: 1 }]);
    expect((await mission.get(forecast)).cacheStatus).toBe('forecache; fwd=uri-miss; stored');
    // By the environment too.
    const env = { FORECACHE_ADMIN: mission.admin };
    expect(await runProgram(['stats'], env)).toMatchObject({ code: 0, stderr: '' });
  });

  it('ends with 1 where the program refuses it or a part of it fails', async () => {
    const mission = await startMission();
    const admin = ['--admin', mission.admin];
    const unknown = await runProgram(['purge', '--route', 'event-serch', ...admin]);
    expect([unknown.code, unknown.stdout]).toEqual([1, '']);
    expect(unknown.stderr).toContain('event-search');
    const failing = await runProgram([
      'warm',
      '--route',
      'weather-forecast',
      '--with',
      'location=42',
      '--json',
      ...admin,
    ]);
    expect([failing.code, JSON.parse(failing.stdout)]).toMatchObject([1, { fetched: 0, failed: 1 }]);
  });

  it('sends the bearer token of the environment, and says what is missing without it', async () => {
    const upstreams = await startUpstreams();
    const env = { ...upstreams.env, FORECACHE_ADMIN_TOKEN: 'secret-token-of-admins' };
    const { admin } = await startMission({ ...upstreams, env });
    expect(await runProgram(['stats', '--admin', admin], env)).toMatchObject({ code: 0, stderr: '' });
    const refused = await runProgram(['stats', '--admin', admin]);
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toContain('FORECACHE_ADMIN_TOKEN');
    const wrong = await runProgram(['stats', '--admin', admin], { FORECACHE_ADMIN_TOKEN: 'another-secret-token' });
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).not.toContain('secret-token');
  });
});
