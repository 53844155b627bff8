import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';
import { Agent, getGlobalDispatcher, setGlobalDispatcher } from 'undici';

import { cli, type CliRun } from '../support/cli.ts';
import { selfSigned } from '../support/certificate.ts';
import { scriptedAdmin, type ScriptedAdmin, type ScriptedAnswer } from '../support/scripted-admin.ts';

async function adminWith(answer: ScriptedAnswer): Promise<ScriptedAdmin> {
  const admin = await scriptedAdmin(() => answer);
  onTestFinished(() => admin[Symbol.asyncDispose]());
  return admin;
}

async function ask(
  argv: readonly string[],
  answer: ScriptedAnswer,
): Promise<{ readonly run: CliRun; readonly admin: ScriptedAdmin }> {
  const admin = await adminWith(answer);
  return { run: await cli([...argv, '--admin', admin.url]), admin };
}

const receipt = { id: 'one-1', complete: true, matched: 3, dryRun: false, soft: false, missing: [] };
const purged = { status: 200, json: { ...receipt, sidecars: [{ id: 'one', appliedMs: 0.25 }] } };

describe('forecache purge', () => {
  test.each<[readonly string[], object]>([
    [['--tag', 'location:lima'], { tag: 'location:lima' }],
    [['--tag', 'a', '--tag', 'b', '--soft'], { tags: ['a', 'b'], soft: true }],
    [['--url', '/x?y=1', '--dry-run'], { url: '/x?y=1', dryRun: true }],
    [['--key', 'k|/x'], { key: 'k|/x' }],
    [['--route', 'r'], { route: 'r' }],
    [['--prefix', '/x'], { prefix: '/x' }],
    [['--all'], { all: true }],
  ])('%j asks for %j', async (argv, body) => {
    const { run, admin } = await ask(['purge', ...argv], purged);
    expect(run.code).toBe(0);
    expect(admin.seen).toMatchObject([{ method: 'POST', url: '/api/purge', body }]);
    expect(admin.seen[0]?.headers['content-type']).toBe('application/json');
  });

  test('says what was purged and who has applied it', async () => {
    const { run } = await ask(['purge', '--all'], purged);
    expect(run).toEqual({
      code: 0,
      stdout: 'purged 3 stored responses here; complete (purge one-1)\n  applied by  one  after 0.3 ms\n',
      stderr: '',
    });
  });

  test('a dry run says that nothing was changed', async () => {
    const { run } = await ask(['purge', '--all', '--dry-run'], {
      status: 200,
      json: { ...receipt, matched: 1, dryRun: true, soft: true, sidecars: [] },
    });
    expect(run.stdout).toBe('would mark stale 1 stored response; nothing was changed\n');
  });

  test('a purge that is not complete ends with 75 and names who is missing', async () => {
    const { run } = await ask(['purge', '--all'], {
      status: 202,
      json: { ...receipt, complete: false, sidecars: [], missing: ['two', 'three\n'] },
    });
    expect(run.code).toBe(75);
    expect(run.stdout).toBe(
      'purged 3 stored responses here; NOT complete yet (purge one-1)\n' +
        '  not acknowledged by two, three\\n\n' +
        '  it may still be served there; repeating the purge is safe\n',
    );
  });

  test('a purge that is not complete says from when it is', async () => {
    const completeBy = '2026-11-23T12:05:00.000Z';
    const { run } = await ask(['purge', '--all'], {
      status: 202,
      json: { ...receipt, complete: false, sidecars: [], missing: ['two'], completeBy },
    });
    expect(run.code).toBe(75);
    expect(run.stdout).toContain(`it may still be served there until ${completeBy}; repeating the purge is safe\n`);
    const json = await ask(['purge', '--all', '--json'], { status: 202, json: { ...receipt, complete: false } });
    expect(json.run.code).toBe(75);
  });

  test('a complete purge ends with 0 also where somebody is missing, and says what that means', async () => {
    const { run } = await ask(['purge', '--all'], {
      status: 200,
      json: { ...receipt, sidecars: [], missing: ['two'] },
    });
    expect(run).toEqual({
      code: 0,
      stdout:
        'purged 3 stored responses here; complete (purge one-1)\n' +
        '  not acknowledged by two\n' +
        '  (what has not acknowledged serves nothing from store until it has caught up)\n',
      stderr: '',
    });
  });

  test('a purge that cannot be guaranteed ends with 75, with the proxy’s sentence and when to repeat it', async () => {
    const json = { title: 'Purge not guaranteed', detail: 'Redis does not answer.', status: 503, retryAfter: 2 };
    const { run } = await ask(['purge', '--all'], { status: 503, json });
    expect(run).toEqual({
      code: 75,
      stdout: '',
      stderr: 'forecache: 503 Purge not guaranteed: Redis does not answer.\nRepeat it in 2 s.\n',
    });
  });
});

describe('forecache warm', () => {
  const report = {
    fetched: 1,
    reused: 1,
    failed: 0,
    durationMs: 1234,
    items: [
      { result: 'fetched', status: 200, route: 'r', url: '/x?a=1' },
      { result: 'reused', route: 'r', url: '/x?a=2' },
    ],
  };

  test.each<[readonly string[], object]>([
    [['--location', 'lima', '--location', 'new york'], { locations: ['lima', 'new york'] }],
    [['--route', 'r'], { route: 'r', with: [{}] }],
    [['--route', 'r', '--with', 'a=1', '--with', 'b=x=y'], { route: 'r', with: [{ a: '1', b: 'x=y' }] }],
    [
      ['--route', 'r', '--with', 'a=1', '--with', 'a=2', '--with', 'b='],
      {
        route: 'r',
        with: [
          { a: '1', b: '' },
          { a: '2', b: '' },
        ],
      },
    ],
  ])('%j asks for %j', async (argv, body) => {
    const { run, admin } = await ask(['warm', ...argv], { status: 200, json: report });
    expect(run.code).toBe(0);
    expect(admin.seen).toMatchObject([{ method: 'POST', url: '/api/warm' }]);
    expect(admin.seen[0]?.body).toEqual(body);
  });

  test('shows each request and the counts', async () => {
    const { run } = await ask(['warm', '--location', 'x'], { status: 200, json: report });
    expect(run.stdout).toBe(`RESULT   STATUS  ROUTE  URL     DETAIL
fetched     200  r      /x?a=1
reused        -  r      /x?a=2
1 fetched, 1 reused, 0 failed in 1.23 s
`);
  });

  test('ends with 1 where a request failed', async () => {
    const items = [{ result: 'failed', status: 503, route: 'r', url: '/x', detail: 'up\u001b[2Jstream' }];
    const { run } = await ask(['warm', '--location', 'x'], {
      status: 200,
      json: { fetched: 0, reused: 0, failed: 1, durationMs: 5, items },
    });
    expect(run.code).toBe(1);
    expect(run.stdout).toContain('up\\u{1b}[2Jstream');
    expect(run.stdout).not.toContain('\u001b');
  });
});

describe('forecache stats', () => {
  const numbers = {
    requests: 12,
    hits: 8,
    misses: 3,
    errors: 1,
    hit_rate: 72.73,
    stale: 0,
    collapsed: 1,
    upstream_calls: 3,
    upstream_calls_avoided: 9,
  };
  const report = {
    scope: 'process',
    since: '2026-11-23T12:00:00.000Z',
    ...numbers,
    bytes_sent: 2_097_152,
    bytes_from_store: 1_048_576,
    upstream_seconds_saved_estimate: 1.5,
    purges: 2,
    purged_responses: 5,
    warm: { runs: 1, fetched: 2, reused: 3, failed: 0 },
    store: { responses: 4, bytes: 1_048_576, max_bytes: 268_435_456, tags: 9, evicted: 0 },
    routes: { forecast: numbers, idle: { requests: 0 } },
  };

  test('shows a line for each route that was asked, and all', async () => {
    const { run, admin } = await ask(['stats'], { status: 200, json: report });
    expect(admin.seen).toMatchObject([{ method: 'GET', url: '/api/metrics/cache' }]);
    expect(run).toEqual({
      code: 0,
      stdout: `since 2026-11-23T12:00:00.000Z (process)

ROUTE     REQUESTS  HITS  MISSES  ERRORS  HIT RATE  STALE  COLLAPSED  UPSTREAM CALLS  AVOIDED
forecast        12     8       3       1    72.7 %      0          1               3        9
all             12     8       3       1    72.7 %      0          1               3        9

waiting saved  about 1.5 s
sent           2.0 MiB, of it 1.0 MiB from store
stored         4 responses, 1.0 MiB of 256.0 MiB, 0 evicted
purges         2, covering 5 stored responses
warming        1 runs: 2 fetched, 3 reused, 0 failed
`,
      stderr: '',
    });
  });

  test('shows a route that was warmed alone', async () => {
    const routes = { warmed: { requests: 0, upstream_calls: 5, upstream_calls_avoided: -5 }, idle: { requests: 0 } };
    const { run } = await ask(['stats'], { status: 200, json: { ...report, routes } });
    expect(run.stdout).toMatch(/^warmed +0 .* 5 +-5$/m);
    expect(run.stdout).not.toContain('idle');
  });

  test('--reset sets the counters to zero', async () => {
    const { run, admin } = await ask(['stats', '--reset'], { status: 200, json: report });
    expect(admin.seen).toMatchObject([{ method: 'POST', url: '/api/metrics/cache/reset', body: undefined }]);
    expect(run).toEqual({ code: 0, stdout: 'counters set to zero\n', stderr: '' });
  });

  test('--reset names who has not heard of it', async () => {
    const { run } = await ask(['stats', '--reset'], { status: 200, json: { ...report, missing: ['a-1', 'b\u009b2'] } });
    expect(run.stdout).toMatch(/^counters set to zero\nnot heard of yet by a-1, b.*2, whose counts are dropped/);
    expect(run.stdout).not.toContain('\u009b');
    expect(run.code).toBe(0);
  });

  test('says of how many proxies the counters are', async () => {
    const { run } = await ask(['stats'], { status: 200, json: { ...report, scope: 'fleet', sidecars: 3 } });
    expect(run.stdout).toContain('since 2026-11-23T12:00:00.000Z (fleet of 3)\n');
  });

  test('--json prints the answer, safe to print and otherwise the same', async () => {
    const odd = { ...report, scope: 'pro\u009bcess\u202e' };
    const { run } = await ask(['stats', '--json'], { status: 200, json: odd });
    expect(JSON.parse(run.stdout)).toEqual(odd);
    expect(run.stdout).not.toMatch(/[\u009b\u202e]/u);
  });

  test('an answer of another form is shown as far as it goes', async () => {
    const { run } = await ask(['stats'], { status: 200, json: [1, null] });
    expect(run.code).toBe(0);
    expect(run.stdout).toContain('since ? (?)');
  });
});

describe('forecache explain', () => {
  test('asks the running proxy and shows what is stored', async () => {
    const stored = {
      key: 'k|v',
      tier: 'memory',
      status: 200,
      ageSeconds: 60,
      ttlSeconds: -5,
      sizeBytes: 11,
      hits: null,
      position: { epoch: 'one', seq: 4 },
      staleSince: '2026-11-23T12:00:55.000Z',
      storedAt: '2026-11-23T12:00:00.000Z',
      freshUntil: '2026-11-23T13:00:00.000Z',
      retainUntil: '2026-11-24T12:00:00.000Z',
      source: 'rule ttl',
    };
    const { run, admin } = await ask(['explain', '-H', 'Host: news.test', '/v1/news'], {
      status: 200,
      json: { method: 'GET', route: 'r', key: 'k', stored, decision: { would: 'miss', fwd: 'stale', reason: 'stale' } },
    });
    expect(admin.seen[0]?.body).toEqual({ url: '/v1/news', headers: { host: 'news.test' } });
    expect(run.code).toBe(0);
    expect(run.stdout).toContain(`stored    memory: status 200, 11 bytes
          age 60 s, stale for 5 s, lifetime by rule ttl, hits not counted
          stored 2026-11-23T12:00:00.000Z, fresh until 2026-11-23T13:00:00.000Z
          kept until 2026-11-24T12:00:00.000Z
          purge position one/4
          soft-purged at 2026-11-23T12:00:55.000Z
          variant k|v
`);
  });

  test('shows the refusal of a request that would be refused, and ends with 0', async () => {
    const { run } = await ask(['explain', '/x'], {
      status: 200,
      json: {
        method: 'GET',
        route: null,
        decision: { would: 'rejected', fwd: null, reason: 'No route.' },
        problem: { status: 404, title: 'No route', detail: 'No route matches.' },
      },
    });
    expect(run.code).toBe(0);
    expect(run.stdout).toContain('answer    404 No route\n          No route matches.\n');
    expect(run.stdout).toContain('route     (none)\n');
  });
});

describe('where and as whom it asks', () => {
  test('the address comes from the option, else from FORECACHE_ADMIN; a path in it is kept', async () => {
    const first = await adminWith({ status: 200 });
    const second = await adminWith({ status: 200 });
    const env = { FORECACHE_ADMIN: `${first.url}/ops` };
    await cli(['stats'], { env });
    await cli(['stats', '--admin', second.url], { env });
    expect(first.seen.map(({ url }) => url)).toEqual(['/ops/api/metrics/cache']);
    expect(second.seen.map(({ url }) => url)).toEqual(['/api/metrics/cache']);
  });

  test('the token comes from the file, else from the environment, and is sent as a bearer token', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'forecache-cli-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'token');
    writeFileSync(file, 'from-file\n');
    const admin = await adminWith({ status: 200 });
    const env = { FORECACHE_ADMIN: admin.url, FORECACHE_ADMIN_TOKEN: 'from-env' };
    await cli(['stats'], { env });
    await cli(['stats', '--token-file', file], { env });
    await cli(['stats'], { env: { FORECACHE_ADMIN: admin.url } });
    expect(admin.seen.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer from-env',
      'Bearer from-file',
      undefined,
    ]);
  });

  test('a redirect is not followed, so the token goes nowhere else', async () => {
    const elsewhere = await adminWith({ status: 200 });
    const admin = await adminWith({ status: 307, location: `${elsewhere.url}/` });
    const env = { FORECACHE_ADMIN: admin.url, FORECACHE_ADMIN_TOKEN: 's3cret' };
    const run = await cli(['purge', '--all'], { env });
    expect(run.code).toBe(69);
    expect(run.stderr).toContain('unexpected redirect');
    expect(elsewhere.seen).toEqual([]);
    expect(run.stderr).not.toContain('s3cret');
  });
});

describe('answers that are not the wished-for one', () => {
  const problem = { title: 'Unknown route', detail: 'There is no route "x\u001b[2J"\nexit 0', status: 400 };

  test('a refusal is printed on stderr with 1', async () => {
    const { run } = await ask(['purge', '--route', 'x'], { status: 400, json: problem });
    expect(run).toEqual({
      code: 1,
      stdout: '',
      stderr: 'forecache: 400 Unknown route: There is no route "x\\u{1b}[2J"\\nexit 0\n',
    });
  });

  test('with --json it is printed on stdout as it came', async () => {
    const { run } = await ask(['purge', '--route', 'x', '--json'], { status: 400, json: problem });
    expect(run.code).toBe(1);
    expect(JSON.parse(run.stdout)).toEqual(problem);
  });

  test('a missing token is told how to be given', async () => {
    const { run } = await ask(['stats'], { status: 401, json: { title: 'Unauthorized' } });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('FORECACHE_ADMIN_TOKEN');
  });

  test('a host name that is not taken without a token is not told as a want of one', async () => {
    const json = { title: 'Not allowed', detail: 'Without a token, Host must be an IP address.' };
    const { run } = await ask(['stats'], { status: 403, json });
    expect(run).toEqual({ code: 1, stdout: '', stderr: `forecache: 403 ${json.title}: ${json.detail}\n` });
  });

  test.each([400, 401, 404, 409, 413, 429, 500, 501, 502, 503, 504, 507])(
    '%i ends with the code that docs/cli.md says',
    async (status) => {
      const { run } = await ask(['purge', '--all'], { status, json: { title: 'Not done' } });
      const docs = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
      const rows = [...docs.matchAll(/^\| (\d+) \| (.*) \|$/gmu)].map(
        ([, code, means = '']) => [Number(code), means] as const,
      );
      const named = rows.filter(([, means]) => means.includes(String(status)));
      const ofClass = rows.filter(([, means]) => means.includes(`${String(status)[0]}xx`));
      expect([run.code]).toEqual((named.length > 0 ? named : ofClass).map(([code]) => code));
    },
  );

  test.each([429, 502, 503, 504])('%i ends with 75 and says when to repeat it', async (status) => {
    const { run } = await ask(['purge', '--all'], { status, json: { title: 'Not now', retryAfter: 3 } });
    expect(run.code).toBe(75);
    expect(run.stderr).toBe(`forecache: ${status} Not now\nRepeat it in 3 s.\n`);
  });

  test.each([
    ['a page', { status: 200, text: '<html>' }],
    ['nothing', { status: 200, text: '' }],
    ['a page with an error', { status: 404, text: 'not found' }],
  ])('%s instead of JSON ends with 69', async (_what, answer) => {
    const { run } = await ask(['stats'], answer);
    expect(run.code).toBe(69);
    expect(run.stderr).toContain('not a Forecache admin listener');
  });

  test.each(['', 'nginx'])('JSON of another server (%j) ends with 69', async (server) => {
    const { run } = await ask(['purge', '--all'], { ...purged, server });
    expect(run).toMatchObject({ code: 69, stdout: '' });
    expect(run.stderr).toContain('not a Forecache admin listener (status 200)');
  });

  test('an answer that does not come in time ends with 69', async () => {
    const { run } = await ask(['stats', '--timeout', '0.05'], undefined);
    expect(run).toMatchObject({ code: 69, stdout: '' });
    expect(run.stderr).toContain('no answer within 0.05 s');
  });

  test.each(['2.01', '1.001', '8.2'])(
    'a timeout of %s s, which is no whole number of ms as a float, is taken',
    async (given) => {
      const { run } = await ask(['purge', '--all', '--timeout', given], purged);
      expect(run).toMatchObject({ code: 0, stderr: '' });
    },
  );

  test('a timeout of less than 1 ms is 1 ms', async () => {
    const { run } = await ask(['stats', '--timeout', '0.0005'], undefined);
    expect(run.code).toBe(69);
    expect(run.stderr).toContain('no answer within 0.001 s');
  });

  // `warm` waits for ten minutes and more; Node's own client, which `fetch` is, gives up after five.
  test('an answer is waited for as long as the option says, however patient another client is', async () => {
    const usual = getGlobalDispatcher();
    const impatient = new Agent({ headersTimeout: 50, bodyTimeout: 50 });
    setGlobalDispatcher(impatient);
    onTestFinished(async () => {
      setGlobalDispatcher(usual);
      await impatient.destroy();
    });
    const { run } = await ask(['warm', '--location', 'x', '--timeout', '1.5'], undefined);
    expect(run).toMatchObject({ code: 69, stdout: '' });
    expect(run.stderr).toContain('no answer within 1.5 s');
  });

  test('an answer that breaks off ends with 69', async () => {
    const server = createServer((socket) => {
      socket.once('data', () => {
        socket.end('HTTP/1.1 200 OK\r\nserver: forecache\r\ncontent-length: 50\r\n\r\n{"matched":');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const run = await cli(['purge', '--all', '--admin', `http://127.0.0.1:${address.port}`]);
    expect(run).toMatchObject({ code: 69, stdout: '' });
  });

  test('an admin address with TLS is spoken to by TLS, and an unknown certificate ends with 69', async () => {
    using certificate = await selfSigned();
    const server = createTlsServer({ key: certificate.key, cert: certificate.cert });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const run = await cli(['stats', '--admin', `https://127.0.0.1:${address.port}`]);
    expect(run).toMatchObject({ code: 69, stdout: '' });
    expect(run.stderr).toContain('self-signed certificate');
  });

  test('a refused connection ends with 69 and names the address', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    server.close();
    await once(server, 'close');
    const run = await cli(['stats', '--admin', `http://127.0.0.1:${address.port}`]);
    expect(run).toMatchObject({ code: 69, stdout: '' });
    expect(run.stderr).toContain(`http://127.0.0.1:${address.port}/`);
    expect(run.stderr).toContain('ECONNREFUSED');
  });
});
