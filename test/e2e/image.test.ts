import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get } from '../../src/demo/http-get.ts';
import { startProxy } from '../../src/demo/proxy-process.ts';
import { parseDockerfile, type DockerInstruction } from '../support/dockerfile.ts';

// No container engine is needed: the Dockerfile's own steps are carried out in folders, one for each stage.

const root = fileURLToPath(new URL('../..', import.meta.url));
const stages = parseDockerfile(readFileSync(join(root, 'Dockerfile'), 'utf8'));
const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

let folder = '';
let node = '';
/** Root of the file system that the last stage would have. */
let image = '';
let workdir = '/';
const env: Record<string, string> = {};
let user = '';
let start: readonly string[] = [];
let health: readonly string[] = [];

/** Takes the text after an optional keyword as the JSON array that the exec form is. */
function execForm(text: string): readonly string[] {
  const parsed: unknown = JSON.parse(text.slice(text.indexOf('[')));
  return Array.isArray(parsed) ? parsed.map(String) : [];
}

/** Instructions that tell how the image is run; they change no file. */
function note({ name, text }: DockerInstruction): void {
  if (name === 'ENV') {
    const [variable = '', value = ''] = text.split('=');
    env[variable] = value;
  } else if (name === 'USER') user = text;
  else if (name === 'ENTRYPOINT' || name === 'CMD') start = [...start, ...execForm(text)];
  else if (name === 'HEALTHCHECK') health = execForm(text);
  else expect(['EXPOSE', 'STOPSIGNAL']).toContain(name);
}

async function carryOut(stageRoot: string, instruction: DockerInstruction): Promise<void> {
  const { name, text } = instruction;
  if (name === 'WORKDIR') {
    workdir = text;
    mkdirSync(join(stageRoot, text), { recursive: true });
  } else if (name === 'COPY') copy(join(stageRoot, workdir), text.split(' '));
  else if (name === 'RUN') await runStep(join(stageRoot, workdir), text);
  else note(instruction);
}

function copy(cwd: string, parts: readonly string[]): void {
  const from = parts[0]?.startsWith('--from=') === true ? parts[0].slice('--from='.length) : undefined;
  const target = parts.at(-1) ?? '';
  for (const source of parts.slice(from === undefined ? 0 : 1, -1)) {
    const to = target.endsWith('/') ? join(cwd, target, source) : join(cwd, target);
    cpSync(join(from === undefined ? root : join(folder, from), source), to, { recursive: true });
  }
}

/** As in a build: none of what npm and vitest tell the processes that they start, and the image's Node first. */
async function runStep(cwd: string, command: string): Promise<void> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => name.toLowerCase() === 'npm_config_registry' || !/^(npm_|VITEST|NODE_ENV$|NODE_OPTIONS$)/i.test(name),
  );
  await run('sh', ['-c', command], {
    cwd,
    env: {
      ...Object.fromEntries(inherited),
      PATH: `${join(folder, 'bin')}:/usr/local/bin:/usr/bin:/bin`,
      // The packages are those that this checkout was installed from a moment ago: no need to ask for them again.
      npm_config_prefer_offline: 'true',
      npm_config_audit: 'false',
      npm_config_fund: 'false',
    },
    timeout: 300_000,
  });
}

/** A path in the image as a path here. */
function here(path: string): string {
  return path.startsWith('/') ? join(image, path) : path;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'forecache-image-'));
  chmodSync(folder, 0o755);
  // The image's Node, outside of any node_modules.
  mkdirSync(join(folder, 'bin'));
  node = join(folder, 'bin/node');
  copyFileSync(process.execPath, node);
  for (const stage of stages) {
    workdir = '/';
    image = join(folder, stage.name ?? 'image');
    mkdirSync(image);
    for (const instruction of stage.instructions) await carryOut(image, instruction);
  }
}, 600_000);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the image', () => {
  it('holds the build and no packages beside it', () => {
    expect(readdirSync(join(image, workdir)).toSorted()).toEqual(['config', 'dist', 'package.json']);
  });

  it(
    'starts as the user that it names, serves, passes its health check, and fails it when it is gone',
    { timeout: 60_000 },
    async () => {
      const [uid = Number.NaN] = user.split(':').map(Number);
      expect(uid).toBeGreaterThan(0);
      const [, main = '', ...args] = start.map(here);
      const proxy = await startProxy({
        main,
        args,
        node,
        env: { ...env, FORECACHE_LISTEN: '127.0.0.1:0', FORECACHE_ADMIN_LISTEN: '127.0.0.1:0' },
        ...(isRoot ? { user: uid } : {}),
      });
      const [, script = ''] = health.map(here);
      const check = (): Promise<unknown> =>
        run(node, [script], { env: { ...env, FORECACHE_ADMIN_LISTEN: new URL(proxy.admin).host } });
      expect(env['NODE_ENV']).toBe('production');
      expect((await get(`${proxy.proxy}/no-such-route`)).status).toBe(404);
      await expect(check()).resolves.toMatchObject({ stderr: '' });
      await proxy.stopAtOnce();
      await expect(check()).rejects.toThrow(/unhealthy/);
    },
  );

  it('can run the simulators of the Kubernetes example', { timeout: 30_000 }, async () => {
    const { stdout } = await run(node, [here('/app/dist/demo/simulators.js'), '--help']);
    expect(stdout).toContain('--host');
  });
});
