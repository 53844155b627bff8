import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { buildFirst } from '../support/build-first.ts';
import { ask } from '../support/http.ts';
import { configFile, launch } from '../support/launch.ts';
import { builtMain } from '../support/program.ts';
import { scriptedAdmin } from '../support/scripted-admin.ts';

buildFirst();

const run = promisify(execFile);

/** Runs a shell line in which `forecache` is the built program; gives what it says on standard error, and `code=N`. */
async function shell(line: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const script = `forecache() { "$NODE" "$MAIN" "$@"; }; ${line}; echo "code=$?" >&2`;
  const { stderr } = await run('bash', ['--norc', '-c', script], {
    env: { PATH: process.env['PATH'] ?? '', NODE: process.execPath, MAIN: await builtMain(), ...env },
  });
  return stderr;
}

/** A line of bash that opens `$unread`, a pipe whose reader has gone. */
const unread = 'exec {unread}> >(exec true); wait $!';

describe('Output that nobody reads', () => {
  it('is no error of a command', async () => {
    expect(await shell(`${unread}; forecache --help >&"$unread"`)).toBe('code=0\n');
    await using admin = await scriptedAdmin(() => ({ status: 200, json: { requests: 1 } }));
    const env = { FORECACHE_ADMIN: admin.url };
    expect(await shell(`${unread}; forecache stats --json >&"$unread"`, env)).toBe('code=0\n');
  });

  it('leaves a proxy running until it is told to stop', async () => {
    const yaml = `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: info }
upstreams: { api: { origin: "http://127.0.0.1:1" } }
routes: [{ name: plain, match: /plain, upstream: api, ttl: 1h }]
`;
    const program = await launch({
      args: ['serve', '--config', configFile(yaml)],
      node: ['bash', '--norc', '-c', `${unread}; exec "$NODE" "$0" "$@" >&"$unread"`],
      env: { NODE: process.execPath },
    });
    const [, admin = ''] = await program.says('stderr', /"admin":"([^"]+)"/);
    expect((await ask(`http://${admin}`, '/readyz')).status).toBe(200);
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });
});

describe.runIf(existsSync('/dev/full'))('Output that cannot be written', () => {
  it('is told in one line, and the command has failed', async () => {
    expect(await shell('forecache --help >/dev/full')).toMatch(/^forecache: standard output: ENOSPC: .*\ncode=1\n$/u);
  });

  it('is no success either where not even that can be told', async () => {
    expect(await shell('forecache --help >/dev/full 2>/dev/full')).toBe('code=1\n');
  });
});
