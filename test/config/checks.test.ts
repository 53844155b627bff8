import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { formatIssue } from '../../src/config/issue.ts';
import { loadConfigFile } from '../../src/offline.ts';

const folder = mkdtempSync(join(tmpdir(), 'forecache-checks-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = join(folder, 'f.yaml');

/** The issues of a text as the program finds them, without the file's name. */
function issuesOf(text: string): readonly string[] {
  writeFileSync(file, text);
  const loaded = loadConfigFile(file, {});
  return loaded.ok
    ? []
    : loaded.error.map((issue) => formatIssue(issue).replaceAll(`${folder}/`, '').slice('f.yaml:'.length));
}

const routes = `upstreams: { api: { origin: "http://127.0.0.1:9" } }
routes:
  - name: days
    match: /days/:city
    upstream: api
    ttl: 1h
    query: { date: { type: date }, n: { type: integer, max: 3 } }
  - { name: at, match: /at, host: weather.test, upstream: api, ttl: 1h, query: { p: { type: point } } }
  - { name: live, match: /live/*, upstream: api, cache: off }
`;

describe('a file of certificate authorities', () => {
  writeFileSync(join(folder, 'good.pem'), `${rootCertificates[0]}\n${rootCertificates[1]}\n`);
  writeFileSync(join(folder, 'text.pem'), 'not a certificate\n');
  writeFileSync(join(folder, 'bad.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');

  test.each([
    ['good.pem', []],
    ['none.pem', ['1:59: upstreams.api.caFile: none.pem cannot be read: ENOENT']],
    ['.', ['1:59: upstreams.api.caFile: %folder cannot be read: EISDIR']],
    ['text.pem', ['1:59: upstreams.api.caFile: text.pem holds no certificate in PEM']],
    ['bad.pem', ['1:59: upstreams.api.caFile: bad.pem holds a certificate that is none']],
  ])('%s is read before the start', (name, issues) => {
    const found = issuesOf(routes.replace('9" }', `9", caFile: ${name} }`));
    expect(found).toEqual(issues.map((issue) => issue.replace('%folder', folder)));
  });
});

function issuesOfJob(job: string, locations = 'berlin'): readonly string[] {
  return issuesOf(`${routes}warm:\n  locations: [${locations}]\n  jobs:\n    - { every: 1h, ${job} }\n`);
}

describe('a job that warms', () => {
  test.each<readonly [string, readonly string[]]>([
    ['route: days, with: { city: "{location}", date: "{today+7d}", n: 3 }', []],
    ['route: days, with: { date: "{today}" }', ['13:39: warm.jobs[0].with: makes no request of route days: ']],
    ['route: days', ['13:7: warm.jobs[0].with: makes no request of route days: ']],
    [
      'route: days, with: { city: x, n: 4 }',
      ['13:53: warm.jobs[0].with.n: makes no request of route days: Parameter "n" must be an integer of at most 3.'],
    ],
    [
      'route: days, with: { city: x, date: "{location}" }',
      [
        '13:56: warm.jobs[0].with.date: makes no request of route days: Parameter "date" must be a date, YYYY-MM-DD. (with location "berlin")',
      ],
    ],
  ])('with %s makes its requests once before the start', (job, issues) => {
    const found = issuesOfJob(job);
    expect(found).toHaveLength(issues.length);
    expect(found[0] ?? '').toContain(issues[0] ?? '');
  });

  test('is tried with locations from the list', () => {
    expect(issuesOfJob('route: at, with: { p: "{location}" }', '"1,2", "3,4"')).toEqual([]);
    expect(issuesOfJob('route: at, with: { p: "{location}" }', '"1,2", berlin')).toHaveLength(1);
  });
});

function issuesOfPurge(selector: string): readonly string[] {
  return issuesOf(`${routes}purge:\n  schedule:\n    - { cron: "0 6 * * *", ${selector} }\n`);
}

describe('a purge by the clock', () => {
  test.each<readonly [string, readonly string[]]>([
    ['url: "/days/berlin?n=03"', []],
    ['url: "http://weather.test/at?p=1,2"', []],
    ['url: /at', []],
    ['prefix: /days/', []],
    ['prefix: //weather.test/', []],
    ['url: /dys/berlin', ['12:33: purge.schedule[0].url: No route governs this URL, so nothing can be stored of it.']],
    ['url: /live/x', ['12:33: purge.schedule[0].url: Route live governs this URL and is not cached']],
    ['url: "/days/berlin?n=x"', ['12:33: purge.schedule[0].url: Parameter "n" must be an integer']],
    [
      'prefix: "http://weather.test/at"',
      ['12:36: purge.schedule[0].prefix: must begin with / (with //host/ for routes that name a host), given "http://'],
    ],
  ])('of %s is tried before the start', (selector, issues) => {
    const found = issuesOfPurge(selector);
    expect(found).toHaveLength(issues.length);
    expect(found[0] ?? '').toContain(issues[0] ?? '');
  });

  test('is not judged while a route is unsound', () => {
    const text = `${routes.replace('ttl: 1h\n', 'ttl: 1x\n')}purge: { schedule: [{ cron: "0 6 * * *", url: /days/x }] }\n`;
    expect(issuesOf(text)).toHaveLength(1);
  });
});

test('what a check finds ends the program with 64 before anything is bound', () => {
  writeFileSync(file, routes.replace('9" }', '9", caFile: none.pem }'));
  const main = new URL('../../src/main.ts', import.meta.url).pathname;
  const run = (): void => {
    execFileSync(process.execPath, [main, 'serve', '--config', file], { stdio: 'pipe' });
  };
  expect(run).toThrow(expect.objectContaining({ status: 64 }));
});
