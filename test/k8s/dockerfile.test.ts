import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parseDockerfile, type DockerStage } from '../support/dockerfile.ts';

const root = new URL('../..', import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8');
const stages = parseDockerfile(read('Dockerfile'));

function all(stage: DockerStage | undefined, name: string): readonly string[] {
  return stage?.instructions.filter((instruction) => instruction.name === name).map(({ text }) => text) ?? [];
}

const [build, image] = stages;

describe('the Dockerfile', () => {
  it('has a stage that builds and one that ships', () => {
    expect(stages.map(({ name }) => name)).toEqual(['build', undefined]);
    expect(all(build, 'RUN')).toEqual(['npm ci --ignore-scripts', 'npm run build']);
  });

  it('pins the Node on Debian that the project is developed on', () => {
    const version = /"node": "([\d.]+)"/.exec(read('package.json'))?.[1];
    expect(stages.map(({ base }) => base)).toEqual(stages.map(() => `node:${version}-bookworm-slim`));
  });

  it('ships the build and the configuration, and runs nothing to make them', () => {
    expect(all(image, 'RUN')).toEqual([]);
    expect(all(image, 'COPY')).toEqual(['package.json ./', 'config ./config', '--from=build /src/dist ./dist']);
  });

  it('fetches nothing but packages, by their lock file', () => {
    const runs = stages.flatMap((stage) => all(stage, 'RUN')).join('\n');
    expect(runs).not.toMatch(/curl|wget|apt|\bnpm (i|install)\b/);
    expect(stages.flatMap((stage) => all(stage, 'ADD'))).toEqual([]);
  });

  it('is not run by root, by a number that Kubernetes can check', () => {
    expect(all(image, 'USER')).toEqual(['1000:1000']);
  });

  it('starts and checks itself without a shell', () => {
    for (const text of [...all(image, 'ENTRYPOINT'), ...all(image, 'CMD')]) {
      expect(JSON.parse(text)).toBeInstanceOf(Array);
    }
    const [health = ''] = all(image, 'HEALTHCHECK');
    const command: unknown = JSON.parse(health.slice(health.indexOf('CMD') + 3));
    expect(command).toEqual(['node', '/app/dist/healthcheck.js']);
    expect(read('src/healthcheck.ts')).toContain('FORECACHE_ADMIN_LISTEN');
  });

  it('has an environment in which pages of the memory tier that are given back are resident no more', async () => {
    const env = Object.fromEntries(all(image, 'ENV').map((text) => text.split('=')));
    const trial = fileURLToPath(new URL('test/support/given-back.ts', root));
    const { stdout } = await promisify(execFile)(process.execPath, [trial], { env, timeout: 30_000 });
    expect(Number(/"part":([\d.]+)/.exec(stdout)?.[1])).toBeGreaterThan(0.9);
  });

  it('is given by .dockerignore just what it copies', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = stages
      .flatMap((stage) => all(stage, 'COPY'))
      .filter((text) => !text.startsWith('--from'))
      .flatMap((text) => text.split(' ').slice(0, -1));
    expect(new Set(copied)).toEqual(new Set(allowed));
    expect(read('.dockerignore')).toMatch(/^\*$/m);
  });
});

/** Runs the health check as the image does and gives its exit code and what it said. */
function check(listen: string, path?: string): Promise<{ code: number; said: string }> {
  const script = fileURLToPath(new URL('src/healthcheck.ts', root));
  const env = { FORECACHE_ADMIN_LISTEN: listen };
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...(path === undefined ? [] : [path])], { env }, (error, _out, said) => {
      resolve({ code: error === null ? 0 : Number(error.code), said });
    });
  });
}

describe('the health check', () => {
  it('passes on a 200 and fails on all else, also where the listener is on all addresses', async () => {
    const server = createServer((request, response) => {
      response.statusCode = request.url === '/healthz' ? 200 : 503;
      response.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    expect(await check(`127.0.0.1:${port}`)).toEqual({ code: 0, said: '' });
    expect(await check(`0.0.0.0:${port}`)).toEqual({ code: 0, said: '' });
    expect(await check(`127.0.0.1:${port}`, '/readyz')).toEqual({ code: 1, said: 'unhealthy: answered 503\n' });
    server.close();
    await once(server, 'close');
    expect(await check(`127.0.0.1:${port}`)).toMatchObject({
      code: 1,
      said: expect.stringMatching(/^unhealthy: .*ECONNREFUSED/),
    });
  });

  it('fails where the address is none', async () => {
    expect(await check('not an address')).toMatchObject({ code: 1 });
  });
});
