import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { ExplainInput } from '../../src/cli/io.ts';
import { exitCode } from '../../src/cli/io.ts';
import { ok, refused } from '../../src/core/problem.ts';
import { cli } from '../support/cli.ts';
import { configWith } from '../support/config-value.ts';

describe('help and wrong use', () => {
  test('help goes to stdout with 0 and names every command and exit code', async () => {
    const { code, stdout, stderr } = await cli(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const name of ['serve', 'check', 'explain', 'purge', 'warm', 'stats'])
      expect(stdout).toContain(`\n  ${name} `);
    for (const number of Object.values(exitCode)) expect(stdout).toMatch(new RegExp(`\\n +${number}  `, 'u'));
  });

  test.each(['serve', 'check', 'explain', 'purge', 'warm', 'stats'])(
    'the help of %s has an example and its exit codes, and fits 100 columns',
    async (name) => {
      const { code, stdout } = await cli([name, '--help']);
      expect(code).toBe(0);
      expect(stdout).toMatch(/\nExamples?:\n {2}forecache /u);
      expect(stdout).toContain('Exit codes: 0 ');
      expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
      expect((await cli(['help', name])).stdout).toBe(stdout);
    },
  );

  test('the version is the program’s', async () => {
    expect(await cli(['--version'])).toEqual({ code: 0, stdout: '1.2.3\n', stderr: '' });
  });

  test.each([
    ['no command', []],
    ['an unknown command', ['purgee']],
    ['an unknown option', ['stats', '--tg', 'x']],
    ['a missing argument', ['explain']],
    ['a surplus argument', ['stats', 'now']],
    ['no config to serve', ['serve']],
    ['no config to check', ['check']],
    ['a timeout that is none', ['stats', '--timeout', '0']],
    ['a timeout past a day', ['stats', '--timeout', '86401']],
    ['an admin address that is no URL', ['stats', '--admin', 'localhost:9090']],
    ['an admin address of another scheme', ['stats', '--admin', 'ftp://127.0.0.1/']],
    ['a token on the command line', ['stats', '--token', 'x']],
    ['credentials in the admin address', ['stats', '--admin', 'http://me:hunter2@127.0.0.1:9/']],
    ['a token file that is not there', ['stats', '--token-file', '/nonexistent/token']],
    ['no selector', ['purge']],
    ['two selectors', ['purge', '--all', '--tag', 'x']],
    ['a header without a colon', ['explain', '-H', 'nothing', '/x']],
    ['a response header without a colon', ['explain', '--response-header', 'nothing', '/x']],
    ['a status of no final answer', ['explain', '--status', '103', '/x']],
    ['a status that is none', ['explain', '--status', '200x', '/x']],
    ['a status of four digits', ['explain', '--status', '1000', '/x']],
    ['config and admin at once', ['explain', '--config', 'f', '--admin', 'http://127.0.0.1:9', '/x']],
    ['nothing to warm', ['warm']],
    ['locations and a route', ['warm', '--location', 'x', '--route', 'r']],
    ['parameters without a route', ['warm', '--location', 'x', '--with', 'a=b']],
    ['a parameter without a name', ['warm', '--route', 'r', '--with', '=b']],
    ['too many combinations', ['warm', '--route', 'r', ...Array.from({ length: 1001 }, (_, n) => `--with=a=${n}`)]],
  ])('%s ends with 64, on stderr alone', async (_what, argv) => {
    const { code, stdout, stderr } = await cli(argv);
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).not.toBe('');
    expect(stderr).not.toContain('hunter2');
  });

  test.each([
    ['purge', '--url', '/a', '--url', '/b'],
    ['purge', '--key', 'a', '--key', 'a'],
    ['purge', '--route', 'a', '--route', 'b'],
    ['purge', '--prefix', '/a', '--prefix', '/b'],
    ['warm', '--route', 'a', '--route', 'b'],
  ])('%s %s is refused where it is given twice, since one would go without', async (...argv) => {
    const { code, stdout, stderr } = await cli(argv);
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).toMatch(/'--\w+ <\w+>' argument '[^']+' is invalid\. It can be given once\./);
  });

  test('a misspelt command is told the nearest', async () => {
    expect((await cli(['purgee'])).stderr).toContain('Did you mean purge?');
  });

  test('help of a command that there is not names it, like the command itself', async () => {
    for (const name of ['nope', 'purgee', '__proto__', '', '\u001b[2J']) {
      const asked = await cli(['help', name]);
      expect(asked).toEqual(await cli([name]));
      expect(asked).toMatchObject({ code: 64, stdout: '' });
      expect(asked.stderr).toContain('unknown command');
    }
    expect((await cli(['help', 'purgee', '--json'])).stderr).toContain(
      "unknown command 'purgee'\n(Did you mean purge?)",
    );
    const general = await cli(['--help']);
    expect(await cli(['help'])).toEqual(general);
    expect(await cli(['help', 'help'])).toEqual(general);
  });

  test('what is quoted of the arguments cannot steer the terminal', async () => {
    expect((await cli(['\u001b[2J'])).stderr).toContain('\\u{1b}[2J');
    expect((await cli(['warm', '--route', 'r', '--with', '\u001b[2J'])).stderr).toContain('\\u{1b}[2J');
  });
});

describe('serve', () => {
  test('hands the file over and ends with what it ended with', async () => {
    const served: string[] = [];
    const serve = (file: string): Promise<number> => {
      served.push(file);
      return Promise.resolve(7);
    };
    expect(await cli(['serve', '--config', 'a.yaml'], { serve })).toEqual({ code: 7, stdout: '', stderr: '' });
    expect(served).toEqual(['a.yaml']);
  });
});

const sound = async () => ok(configWith({ routes: 2, upstreams: 1, jobs: 1, purges: 0 }));

describe('check', () => {
  const issues = [
    { file: 'a.yaml', line: 3, column: 5, path: 'routes[0].ttl', message: '"1 fortnight" is no duration' },
    { file: 'a.yaml', line: 9, column: 1, path: 'upstreams', message: '\u001b[2J' },
  ];

  test('says every issue on its line, on stderr, with 64', async () => {
    const { code, stdout, stderr } = await cli(['check', '-c', 'a.yaml'], { loadConfig: async () => refused(issues) });
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).toBe('a.yaml:3:5: routes[0].ttl: "1 fortnight" is no duration\na.yaml:9:1: upstreams: \\u001b[2J\n');
  });

  test('sums a sound configuration up in one line', async () => {
    expect(await cli(['check', '--config', 'a.yaml'], { loadConfig: sound })).toEqual({
      code: 0,
      stdout: 'a.yaml: ok, 2 routes, 1 upstream, 1 warm job, 0 scheduled purges\n',
      stderr: '',
    });
  });

  test('says the same as JSON', async () => {
    const good = await cli(['check', '--config', 'a.yaml', '--json'], { loadConfig: sound });
    expect(JSON.parse(good.stdout)).toEqual({
      ok: true,
      file: '/etc/forecache.yaml',
      routes: 2,
      upstreams: 1,
      warmJobs: 1,
      scheduledPurges: 0,
      notes: [],
    });
    const bad = await cli(['check', '--config', 'a.yaml', '--json'], { loadConfig: async () => refused(issues) });
    expect(bad.code).toBe(64);
    expect(JSON.parse(bad.stdout)).toEqual({ ok: false, issues });
  });
});

describe('check of what is hardly meant', () => {
  const note = { file: 'a.yaml', line: 7, column: 12, path: 'routes[0].cache', message: 'tags do nothing' };
  const loadConfig = async () => ok({ ...configWith({ routes: 1, upstreams: 1, jobs: 0, purges: 0 }), notes: [note] });

  test('says so in front of the sum, and ends with 0', async () => {
    expect(await cli(['check', '--config', 'a.yaml'], { loadConfig })).toEqual({
      code: 0,
      stdout:
        'a.yaml:7:12: note: routes[0].cache: tags do nothing\na.yaml: ok, 1 route, 1 upstream, 0 warm jobs, 0 scheduled purges\n',
      stderr: '',
    });
  });

  test('says the same as JSON', async () => {
    const { stdout } = await cli(['check', '--config', 'a.yaml', '--json'], { loadConfig });
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, notes: [note] });
  });
});

describe('explain offline', () => {
  const explanation = {
    method: 'GET',
    route: 'weather-forecast',
    key: 'weather-forecast|/v1/forecast?days=7&location=berlin',
    url: '/weather/forecast?days=7&location=berlin',
    tags: ['route:weather-forecast', 'location:berlin'],
    upstream: {
      name: 'weather',
      method: 'GET',
      target: 'https://weather.test/v1/forecast?days=7&location=berlin&apikey=***',
    },
    steps: [
      { part: 'query', name: 'location', before: 'Berlin', after: 'berlin', rule: 'text, folded' },
      { part: 'query', name: 'days', after: '7', rule: 'default' },
      { part: 'query', name: 'units', before: '', rule: 'ignored' },
    ],
    stored: null,
    decision: { would: 'miss', fwd: 'uri-miss', reason: 'nothing stored under this key' },
    problem: null,
  };

  test('shows the decision first, then the facts, then each parameter before and after', async () => {
    const asked: (readonly [string, ExplainInput])[] = [];
    const { code, stdout, stderr } = await cli(['explain', '--config', 'a.yaml', '/weather/forecast?location=Berlin'], {
      explainOffline: (file, input) => {
        asked.push([file, input]);
        return Promise.resolve({ kind: 'explained', explanation });
      },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(asked).toEqual([['a.yaml', { url: '/weather/forecast?location=Berlin' }]]);
    expect(stdout).toBe(`would be  miss (fwd=uri-miss)
because   nothing stored under this key

route     weather-forecast
key       weather-forecast|/v1/forecast?days=7&location=berlin
url       /weather/forecast?days=7&location=berlin
upstream  weather: GET https://weather.test/v1/forecast?days=7&location=berlin&apikey=***
tags      route:weather-forecast, location:berlin

PART   NAME      BEFORE       AFTER     RULE
query  location  Berlin    →  berlin    text, folded
query  days      (absent)  →  7         default
query  units     (empty)   →  (absent)  ignored

stored    (nothing)
`);
  });

  test('takes a listener, a method and request fields', async () => {
    const asked: ExplainInput[] = [];
    await cli(
      [
        'explain',
        '-c',
        'f',
        '-l',
        'internal',
        '-m',
        'HEAD',
        '-H',
        'Accept-Language: de',
        '-H',
        'accept-language: en',
        '-H',
        '__proto__: x',
        '-H',
        'Cookie: a=1',
        '-H',
        'Cookie: b=2',
        '/x',
      ],
      {
        explainOffline: (_file, input) => {
          asked.push(input);
          return Promise.resolve({ kind: 'explained', explanation });
        },
      },
    );
    const headers = Object.fromEntries([
      ['accept-language', 'de, en'],
      ['__proto__', 'x'],
      ['cookie', 'a=1; b=2'],
    ]);
    expect(asked.map((input) => JSON.stringify(input))).toEqual([
      JSON.stringify({ url: '/x', listener: 'internal', method: 'HEAD', headers }),
    ]);
  });

  test.each<[readonly string[], object | undefined]>([
    [[], undefined],
    [['--status', '404'], { status: 404, headers: {} }],
    [['--status', '999'], { status: 999, headers: {} }],
    [
      ['--response-header', 'Cache-Control: max-age=60', '--response-header', 'cache-control: public'],
      { status: 200, headers: { 'cache-control': 'max-age=60, public' } },
    ],
  ])('takes the answer of %j', async (options, response) => {
    const asked: ExplainInput[] = [];
    await cli(['explain', '-c', 'f', ...options, '/x'], {
      explainOffline: (_file, input) => {
        asked.push(input);
        return Promise.resolve({ kind: 'explained', explanation });
      },
    });
    expect(JSON.stringify(asked)).toBe(JSON.stringify([{ url: '/x', response }]));
  });

  test('prints the explanation as JSON', async () => {
    const explainOffline = () => Promise.resolve({ kind: 'explained', explanation } as const);
    const { stdout } = await cli(['explain', '-c', 'f', '/x', '--json'], { explainOffline });
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(explanation)));
  });

  test('config issues end with 64, a refusal with 1', async () => {
    const issues = [{ file: 'a.yaml', line: 1, column: 1, path: '(file)', message: 'bad' }];
    const config = await cli(['explain', '-c', 'f', '/x'], {
      explainOffline: () => Promise.resolve({ kind: 'config', issues }),
    });
    expect(config).toEqual({ code: 64, stdout: '', stderr: 'a.yaml:1:1: (file): bad\n' });
    const problem = { status: 400, code: 'explain-invalid', title: 'Not a request', detail: 'The method is no token.' };
    const no = await cli(['explain', '-c', 'f', '/x'], {
      explainOffline: () => Promise.resolve({ kind: 'refused', problem }),
    });
    expect(no).toEqual({ code: 1, stdout: '', stderr: 'forecache: 400 Not a request: The method is no token.\n' });
  });
  test('with --json both are on stdout, a refusal in the form of an admin listener', async () => {
    const issues = [{ file: 'a.yaml', line: 1, column: 1, path: '(file)', message: 'bad' }];
    const config = await cli(['explain', '-c', 'f', '/x', '--json'], {
      explainOffline: () => Promise.resolve({ kind: 'config', issues }),
    });
    expect(config.code).toBe(64);
    expect(JSON.parse(config.stdout)).toEqual({ ok: false, issues });
    const extra = { listeners: ['default'] };
    const problem = { status: 400, code: 'listener-unknown', title: 'Unknown listener', detail: 'No such one.', extra };
    const no = await cli(['explain', '-c', 'f', '/x', '--json'], {
      explainOffline: () => Promise.resolve({ kind: 'refused', problem }),
    });
    expect(no.code).toBe(1);
    expect(JSON.parse(no.stdout)).toEqual({
      type: 'urn:forecache:problem:listener-unknown',
      title: 'Unknown listener',
      status: 400,
      detail: 'No such one.',
      listeners: ['default'],
    });
  });
});

describe('the admin token', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'forecache-cli-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([
    ['an empty file', ' \n', 'is empty'],
    ['a file of two lines', 'one\ntwo\n', 'visible ASCII'],
  ])('%s is refused without showing it', async (_what, text, why) => {
    const file = join(folder, 'token');
    writeFileSync(file, text);
    const { code, stderr } = await cli(['stats', '--token-file', file]);
    expect(code).toBe(64);
    expect(stderr).toContain(why);
    expect(stderr).not.toContain('two');
  });

  test('a token that cannot be sent is refused without showing it', async () => {
    const { code, stderr } = await cli(['stats'], { env: { FORECACHE_ADMIN_TOKEN: 'hun\u001bter2' } });
    expect(code).toBe(64);
    expect(stderr).not.toContain('hun');
  });
});
