import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';

import { builtMain } from '../support/program.ts';
import { parseConformance, UsageError } from './run-arguments.ts';
import { warning } from './score.ts';
import { freePort } from './suite.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * A suite in the shape of the public one: a server that notes its process and counts requests, and a client that asks
 * one thing twice by way of the proxy and calls it stored where the server saw it once.
 */
const server = `
import { writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
writeFileSync('server.pid', String(process.pid));
if (process.env.npm_config_protocol !== 'http' || !process.env.npm_config_pidfile) throw new Error('settings are missing');
let count = 0;
createServer((request, response) => {
  response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Server-Request-Count': ++count });
  response.end('content');
}).listen(Number(process.env.npm_config_port));
`;

const cli = `
import { writeFileSync } from 'node:fs';
writeFileSync('client.pid', String(process.pid));
const base = process.env.npm_config_base;
if ((process.env.npm_config_id || process.env.npm_package_config_id) !== '') throw new Error('one test was asked for');
const counts = [];
for (let at = 0; at < 2; at++) counts.push((await fetch(base + '/test/one')).headers.get('Server-Request-Count'));
const results = JSON.parse(RESULTS);
results.stored = counts.join() === '1,1' ? true : ['Assertion', 'counts ' + counts];
console.log('ERROR: a line that is no result');
console.log(JSON.stringify(results, null, 2));
`;

interface FakeSuite {
  readonly folder: string;
  /** Process ids of its programs that ran. */
  pids(): readonly number[];
}

interface FakeOptions {
  /** How many optimal tests pass, of 105. */
  readonly optimal?: number;
  readonly cli?: string;
  readonly server?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function fakeSuite(options: FakeOptions = {}): FakeSuite {
  const folder = mkdtempSync(join(tmpdir(), 'fake-suite-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const optimal = Array.from({ length: 105 }, (_, at) => ({ id: `o${at}`, name: `optimal ${at}`, kind: 'optimal' }));
  const results = Object.fromEntries(
    optimal.map(({ id }, at) => [id, at < (options.optimal ?? 99) ? true : ['Assertion', 'not stored']]),
  );
  const groups = [
    {
      id: 'basic',
      tests: [
        { id: 'stored', name: 'is stored' },
        { id: 'b', name: 'browsers', browser_only: true },
      ],
    },
    { id: 'better', tests: optimal },
  ];
  const files = {
    'package.json': JSON.stringify({
      version: '9.8.7',
      scripts: { server: 'node engine/server.mjs', cli: 'node --no-warnings engine/cli.mjs' },
      dependencies: options.dependencies ?? {},
    }),
    'tests/index.mjs': `export default ${JSON.stringify(groups)}`,
    'engine/server.mjs': options.server ?? server,
    'engine/cli.mjs': `const RESULTS = ${JSON.stringify(JSON.stringify(results))};${options.cli ?? cli}`,
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const pids = (): readonly number[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.pid'))
      .map((name) => Number(readFileSync(join(folder, name), 'utf8')));
  return { folder, pids };
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Runner {
  /** What is started; the runner by itself unless told otherwise. */
  readonly command?: readonly string[];
  readonly onOutput?: (pid: number) => void;
}

/** Runs the runner as npm does: npm's own settings in its environment. Whatever its end, no folder of its own is left. */
async function conformance(args: readonly string[], { command, onOutput }: Runner = {}): Promise<Ended> {
  await builtMain();
  const temporary = mkdtempSync(join(tmpdir(), 'conformance-test-'));
  onTestFinished(() => rmSync(temporary, { recursive: true, force: true }));
  const [file = '', ...before] = command ?? [process.execPath, 'test/conformance/run.ts'];
  const child = spawn(file, [...before, ...args], {
    cwd: root,
    env: {
      PATH: process.env['PATH'] ?? '',
      TMPDIR: temporary,
      // npm's own.
      NODE_DISABLE_COMPILE_CACHE: '1',
      npm_config_base: 'http://127.0.0.1:9',
      npm_package_config_id: 'no-such',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGTERM'));
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (data: Buffer) => {
      text[name] += data.toString();
      if (child.pid !== undefined) onOutput?.(child.pid);
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  expect(entriesOf(temporary)).toEqual([]);
  return { code, ...text };
}

/** None where the test has been given up meanwhile. */
function entriesOf(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** A proxy, as somebody else's: it forwards to the port, or answers everything itself. Gives its base URL. */
async function otherProxy(port: number | undefined): Promise<{ readonly base: string; readonly targets: string[] }> {
  const targets: string[] = [];
  const proxy = createServer((request, response) => {
    targets.push(request.url ?? '');
    if (port === undefined) {
      response.end('welcome');
      return;
    }
    const upstream = get({ port, path: request.url, agent: false }, (answer) => {
      // What it has stored it says again: the suite's server has been asked once.
      response.writeHead(answer.statusCode ?? 0, { ...answer.headers, 'server-request-count': '1' });
      answer.pipe(response);
    });
    upstream.on('error', () => response.writeHead(502).end());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', () => resolve()));
  onTestFinished(() => void proxy.close());
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return { base: `http://127.0.0.1:${address.port}`, targets };
}

function lives(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

// Up to four processes each, one behind the other, on a machine that may be busy.
describe('the runner', { timeout: 60_000 }, () => {
  it('runs a suite through the built program and prints its score', async () => {
    const suite = fakeSuite();
    const out = join(suite.folder, 'out.json');
    const { code, stdout, stderr } = await conformance(['--suite', suite.folder, '--out', out]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('cache-tests 9.8.7: 106 tests, against the built program with config/honour.yaml');
    expect(stdout).toMatch(/^basic +1\/1 +- +-$/m);
    expect(stdout).toMatch(/^all +1\/1 +99\/105 +-$/m);
    expect(stdout).toContain('  optimal fail: better/o104: Assertion: not stored\n    optimal 104\n');
    expect(stdout).toContain(warning);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({ stored: true, o104: ['Assertion', 'not stored'] });
    expect(suite.pids()).toHaveLength(2);
    expect(suite.pids().filter(lives)).toEqual([]);
  });

  it('fails below the bar', async () => {
    const suite = fakeSuite({ optimal: 98 });
    const { code, stdout } = await conformance(['--suite', suite.folder]);
    expect(code).toBe(1);
    expect(stdout).toContain('The bar (all required, at least 99 optimal) is not met.');
  });

  it('tests a proxy that runs already, and starts none', async () => {
    const suite = fakeSuite();
    const port = await freePort();
    const { base, targets } = await otherProxy(port);
    const args = ['--suite', suite.folder, '--base', `${base}/`, '--origin', String(port)];
    const { code, stdout } = await conformance(args);
    expect(code).toBe(0);
    // It was tried first.
    expect(targets).toEqual([expect.stringMatching(/^\/probe-/), '/test/one', '/test/one']);
    expect(stdout).toContain(`106 tests, against ${base}\n`);
  });

  it.each<readonly [what: string, base: () => Promise<string>, words: RegExp]>([
    ['is not there', async () => `http://127.0.0.1:${await freePort()}`, /: ECONNREFUSED$/m],
    ['answers by itself', async () => (await otherProxy(undefined)).base, /: it answers 200 without asking there$/m],
    ['forwards elsewhere', async () => (await otherProxy(await freePort())).base, /: it answers 502 without/],
  ])('gives no score of a proxy that %s', async (_what, baseOf, words) => {
    const suite = fakeSuite();
    const [base, port] = [await baseOf(), await freePort()];
    const args = ['--suite', suite.folder, '--base', base, '--origin', String(port)];
    const { code, stdout, stderr } = await conformance(args);
    expect(code).toBe(2);
    expect(stderr).toContain(`${base} does not pass requests on to the suite's server at port ${port}: `);
    expect(stderr).toMatch(words);
    expect(stdout).not.toContain('0/');
    expect(suite.pids()).toEqual([]);
  });

  it.each<readonly [what: string, config: string | undefined, words: RegExp]>([
    ['that is not there', undefined, /the program did not start with \S+config\.yaml/],
    ['that is wrong', 'routes: [', /the program did not start with \S+config\.yaml/],
    [
      'of another upstream',
      `server: { listen: "\${FORECACHE_LISTEN}" }
admin: { listen: "\${FORECACHE_ADMIN_LISTEN}" }
upstreams: { other: { origin: "http://127.0.0.1:9" } }
routes: [{ name: all, match: /*, upstream: other, upstreamCacheControl: honour }]
`,
      /config\.yaml does not pass requests on to the suite's server at port \d+: it answers 502 without asking there/,
    ],
  ])('gives no score of a configuration %s', async (_what, config, words) => {
    const suite = fakeSuite();
    const file = join(suite.folder, 'config.yaml');
    if (config !== undefined) writeFileSync(file, config);
    const { code, stderr } = await conformance(['--suite', suite.folder, '--config', file]);
    expect(code).toBe(2);
    expect(stderr).toMatch(words);
    expect(stderr).not.toContain('    at ');
    expect(suite.pids()).toEqual([]);
  });

  it('finds at once that it cannot write the results', async () => {
    const suite = fakeSuite();
    const out = join(suite.folder, 'missing/out.json');
    const { code, stderr } = await conformance(['--suite', suite.folder, '--out', out]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^the results cannot be written to \S+missing\/out\.json: ENOENT/);
    expect(stderr).not.toContain('    at ');
    expect(suite.pids()).toEqual([]);
  });

  it('keeps results of before where there are none now', async () => {
    const suite = fakeSuite({ cli: 'console.log("nothing today")' });
    const out = join(suite.folder, 'out.json');
    writeFileSync(out, 'of before, and longer');
    expect((await conformance(['--suite', suite.folder, '--out', out])).code).toBe(2);
    expect(readFileSync(out, 'utf8')).toBe('of before, and longer');
  });

  it.each([
    ['a folder that is none', () => '/nowhere/at/all', /\/nowhere\/at\/all is no checkout of http-tests\/cache-tests/],
    [
      'a checkout without its packages',
      () => fakeSuite({ dependencies: { undici: '*' } }).folder,
      /lacks undici: run `npm install` in it/,
    ],
    [
      'a server that ends at once',
      () => fakeSuite({ server: 'console.error("no port for me"); process.exit(3)' }).folder,
      /the suite's server does not listen on port \d+:\nno port for me/,
    ],
    [
      'a client that gives no results',
      () => fakeSuite({ cli: 'console.log("nothing today")' }).folder,
      /the suite gave no results:\nnothing today/,
    ],
  ])('says what is wrong with %s, and ends all of it', async (_what, make, words) => {
    const { code, stderr } = await conformance(['--suite', make()]);
    expect(code).toBe(2);
    expect(stderr).toMatch(words);
    // Words for the user, not for us.
    expect(stderr).not.toContain('    at ');
  });

  it.each<readonly [who: string, command: readonly string[] | undefined]>([
    ['it', undefined],
    // npm hands a signal to the shell that it has started, and the shell to nobody.
    ['npm', ['npm', 'run', '--silent', 'conformance', '--']],
  ])('leaves nothing behind when %s is told to end', async (_who, command) => {
    const suite = fakeSuite({
      cli: `import { writeFileSync } from 'node:fs'; writeFileSync('client.pid', String(process.pid)); setInterval(() => {}, 1000);`,
    });
    let runner = 0;
    const over = conformance(['--suite', suite.folder], {
      ...(command === undefined ? {} : { command }),
      onOutput: (pid) => {
        runner = pid;
      },
    });
    await expect.poll(() => suite.pids().filter(lives), { timeout: 50_000 }).toHaveLength(2);
    const pids = suite.pids();
    process.kill(runner, 'SIGTERM');
    expect((await over).code).toBe(143);
    await expect.poll(() => pids.filter(lives), { timeout: 10_000 }).toEqual([]);
  });
});

describe('the command line of the runner', () => {
  it('needs a suite, and has the shipped configuration', () => {
    expect(parseConformance(['--suite', 'x'])).toEqual({
      suite: 'x',
      out: undefined,
      tested: { kind: 'program', config: 'config/honour.yaml' },
      originPort: 0,
    });
    expect(parseConformance(['--help'])).toBeUndefined();
  });

  it.each([
    ['', /--suite DIR names the checkout/],
    ['--suite=', /--suite DIR names the checkout/],
    ['--suite x --origin 0', /--origin is a port from 1 to 65535, not '0'/],
    ['--suite x --origin 65536', /--origin is a port/],
    ['--suite x --base http://a', /--base needs --origin PORT/],
    ['--suite x --base ftp://a --origin 1', /--base is the URL of a proxy/],
    ['--suite x --base here --origin 1', /--base is the URL of a proxy/],
    ['--suite x --base http://a --origin 1 --config y', /--config is for the program/],
    ['--suite x --sweet y', /Unknown option '--sweet'/],
    ['x', /Unexpected argument 'x'/],
  ])('refuses `%s`', (line, words) => {
    const parse = () => parseConformance(line.split(' ').filter(Boolean));
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(words);
  });
});
