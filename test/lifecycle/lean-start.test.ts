import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startProxy, type ProxyProcess } from '../../src/demo/proxy-process.ts';
import { buildFirst } from '../support/build-first.ts';
import { ask } from '../support/http.ts';
import { configFile, launchServe } from '../support/launch.ts';
import { builtMain } from '../support/program.ts';

buildFirst();

const root = fileURLToPath(new URL('../..', import.meta.url));

const yaml = `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
upstreams: { api: { origin: "http://127.0.0.1:1" } }
routes:
  - { name: plain, match: /plain, upstream: api, ttl: 1h }
  - { name: passed, match: /passed, upstream: api, cache: off }
`;

/** Files of the build, without their hashes, that only some processes need. */
const onDemand = [
  'client',
  'coordinator',
  'dashboard-html',
  'explain',
  'graphql-text',
  'openapi',
  'program',
  'prom-client',
  'relay',
  'shared-tier',
];

/** Says at the end of the process which files it has loaded. */
const telling = `
process.on('exit', () => {
  const names = Object.keys(require.cache).map((file) => file.split('/').at(-1).replace(/-.{8}\\.js$/, ''));
  process.stderr.write('loaded:' + JSON.stringify(names) + '\\n');
});
`;

async function loadedBy(use: (proxy: string, admin: string) => Promise<unknown>): Promise<readonly string[]> {
  const folder = temporary();
  const probe = join(folder, 'probe.cjs');
  writeFileSync(probe, telling);
  const program = await launchServe(yaml, { node: [process.execPath, '--require', probe] });
  await use(program.proxy, program.admin);
  program.signal('SIGTERM');
  const [, names = '[]'] = await program.says('stderr', /loaded:(.*)\n/);
  const parsed: unknown = JSON.parse(names);
  return Array.isArray(parsed) ? parsed.map(String).filter((name) => onDemand.includes(name)) : [];
}

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe('a start', () => {
  it('reads nothing that only some processes need', async () => {
    expect(await loadedBy((_proxy, admin) => ask(admin, '/readyz'))).toEqual([]);
  });

  // With a second one V8 optimises two of Node's functions by which files are loaded, and keeps 2.6 MiB more of its own file in memory.
  it('reads one file before V8 is told to keep it small', async () => {
    const [before = ''] = readFileSync(await builtMain(), 'utf8').split('startLean()');
    const read = [...before.matchAll(/require\("\.\/(.+?)-.{8}\.js"\)/g)].map(([, name]) => name);
    expect(read).toEqual(['start']);
  });

  it('leaves undici to the first call', async () => {
    expect(await loadedBy((proxy) => ask(proxy, '/plain'))).toEqual(['client']);
  });

  it('leaves http-proxy-3 to the first relayed request', async () => {
    expect(await loadedBy((proxy) => ask(proxy, '/passed'))).toEqual(['relay']);
  });

  it('leaves prom-client to the first scrape', async () => {
    expect(await loadedBy((_proxy, admin) => ask(admin, '/metrics'))).toEqual(['prom-client']);
  });

  it('leaves what pages and explanations are made of to the first that is asked for', async () => {
    const loaded = await loadedBy(async (_proxy, admin) => {
      expect((await ask(admin, '/')).text).toContain('<!doctype html>');
      expect((await ask(admin, '/openapi.json')).text).toContain('"openapi"');
      const asked = { method: 'POST', body: '{"url":"/plain"}', headers: { 'content-type': 'application/json' } };
      expect((await ask(admin, '/api/explain', asked)).text).toContain('plain|/plain');
    });
    expect(loaded.toSorted()).toEqual(['dashboard-html', 'explain', 'openapi']);
  });

  it('reads none of the modules of Node that take megabytes', async () => {
    const folder = join(await builtMain(), '..');
    const read = await started(join(folder, 'main.js'));
    const files = [...read.output().matchAll(/for CommonJS (\S+\.js) was accepted/g)].map(([, file = '']) => file);
    expect(files.length).toBeGreaterThan(3);
    // At the beginning of a line: what is read later stands in a function.
    const atOnce = /^(?:let|const|var) .*require\("(?:node:)?(crypto|zlib|child_process|tls|https|http2)"\)/m;
    for (const file of files) expect(readFileSync(file, 'utf8')).not.toMatch(atOnce);
  });
});

/** The build, somewhere else. */
async function copied(change: (compiled: string) => void): Promise<string> {
  const main = await builtMain();
  const folder = temporary();
  cpSync(join(main, '..'), join(folder, 'dist'), { recursive: true });
  copyFileSync(join(root, 'package.json'), join(folder, 'package.json'));
  change(join(folder, 'dist/compiled'));
  return join(folder, 'dist/main.js');
}

async function started(main: string, env: Readonly<Record<string, string>> = {}): Promise<ProxyProcess> {
  const program = await startProxy({
    main,
    args: ['serve', '--config', configFile(yaml)],
    // Documented with the compile cache: Node tells what becomes of each file.
    env: { NODE_DEBUG_NATIVE: 'COMPILE_CACHE', ...env },
  });
  onTestFinished(async () => void (await program.stopAtOnce()));
  return program;
}

function filesOf(compiled: string): readonly string[] {
  return readdirSync(compiled, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe('compiled functions', () => {
  it('are taken for all that a start loads, wherever the build was copied to', async () => {
    const program = await started(await copied(() => {}));
    expect(program.output()).toMatch(/V8 code cache for CommonJS \S*serving-\S* was accepted/);
    expect(program.output()).not.toContain('was rejected');
  });

  it('are taken for what is read after the start too, once a process like this one has run', async () => {
    const main = await copied(() => {});
    const names = ['client', 'prom-client'];
    const taken = new RegExp(names.map((name) => `(?=[^]*/${name}-\\S* was accepted)`).join(''));
    const use = async (): Promise<ProxyProcess> => {
      const program = await started(main);
      await ask(program.proxy, '/plain');
      await ask(program.admin, '/metrics');
      return program;
    };
    // One with threads, which other tests run, leaves what fits its own flags.
    await (await use()).stop();
    const program = await use();
    await expect.poll(() => program.output()).toMatch(taken);
    expect(program.output()).not.toContain('was rejected');
  });

  it('are taken by whoever gives Node options', async () => {
    const program = await started(await copied(() => {}), { NODE_OPTIONS: '--no-deprecation' });
    expect(program.output()).toMatch(/V8 code cache for CommonJS \S*serving-\S* was accepted/);
    expect(program.output()).not.toContain('was rejected');
  });

  it('that are broken do no harm', async () => {
    const main = await copied((compiled) => {
      for (const file of filesOf(compiled)) {
        const bytes = readFileSync(file);
        writeFileSync(file, bytes.fill(0x5a, bytes.length / 2));
      }
    });
    const program = await started(main);
    expect((await ask(program.admin, '/readyz')).status).toBe(200);
    expect(program.output()).not.toContain('was accepted');
  });

  it('that can be neither read nor written do no harm', async () => {
    const main = await copied((compiled) => {
      rmSync(compiled, { recursive: true });
      writeFileSync(compiled, 'no directory');
    });
    expect((await ask((await started(main)).admin, '/readyz')).status).toBe(200);
  });
});

describe('the build', () => {
  it('is below 15 MB with all that it needs', async () => {
    const main = await builtMain();
    // The files of earlier builds may lie there too.
    const oldestMs = statSync(main).mtimeMs - 60_000;
    const files = filesOf(join(main, '..')).map((file) => statSync(file));
    const bytes = files.reduce((sum, { size, mtimeMs }) => sum + (mtimeMs < oldestMs ? 0 : size), 0);
    expect(bytes).toBeLessThan(15_000_000);
  });

  it('holds of undici what calls take, and reads node:tls with the first upstream that has TLS', async () => {
    const folder = join(await builtMain(), '..');
    const program = await started(join(folder, 'main.js'));
    await ask(program.proxy, '/plain');
    // Which of the modules in a file gives it its name is the bundler's choice. What a process with other options has written of it is
    // not taken, which makes no difference here.
    const read = (): readonly string[] =>
      [...program.output().matchAll(/for CommonJS (\S+\.js) was (?:accepted|rejected)/g)].map(([, file = '']) => file);
    const textOfUndici = (): string =>
      read()
        .map((file) => readFileSync(file, 'utf8'))
        .find((one) => one.includes('undici/lib/dispatcher/pool.js')) ?? '';
    // What it says of itself may come behind its answer.
    await expect.poll(() => textOfUndici() !== '').toBe(true);
    const text = textOfUndici();
    // As texts: a failed match would print all of the file.
    const held = [
      ...text.matchAll(/undici\/lib\/(?:web\/websocket|mock|interceptor|cache)\/[\w-]+|require\("node:http2"\)/g),
    ];
    expect(held.map(String)).toEqual([]);
    expect([...text.matchAll(/^(?:let|const|var) .*require\("(?:node:)?tls"\)/gm)].map(String)).toEqual([]);
  });

  it('makes a program that can be run, also where it was linked to before', async () => {
    const { mode } = statSync(await builtMain());
    expect((mode & 0o777).toString(8)).toBe('755');
  });

  it('names the packages in it, with their licences', async () => {
    const folder = join(await builtMain(), '..');
    const inventory = readFileSync(join(folder, 'forecache.cdx.json'), 'utf8');
    const texts = readFileSync(join(folder, 'third-party-licences.txt'), 'utf8');
    for (const name of ['undici', 'ioredis', 'pino', 'yaml', 'valibot', 'bintrees']) {
      expect(inventory).toMatch(new RegExp(`"purl": "pkg:npm/${name}@[\\d.]+"`));
      expect(texts).toMatch(new RegExp(`^${name} [\\d.]+ \\(`, 'm'));
    }
  });
});
