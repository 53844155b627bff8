import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it, onTestFinished } from 'vitest';

import { buildFirst } from '../support/build-first.ts';
import { ask } from '../support/http.ts';
import { configFile, launch, launchServe } from '../support/launch.ts';
import { builtMain } from '../support/program.ts';

buildFirst();

const yaml = `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
upstreams: { api: { origin: "http://127.0.0.1:1" } }
routes: [{ name: plain, match: /plain, upstream: api, ttl: 1h }]
`;

/** True where the process has a handler for SIGHUP (proc(5), `SigCgt`): the program's last one, and none of node's own. */
function catchesHangup(pid: number): boolean {
  const [, mask = '0'] = /^SigCgt:\s*([\da-f]+)$/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return (BigInt(`0x${mask}`) & 1n) !== 0n;
}

async function untilItCatches(pid: number): Promise<void> {
  while (!catchesHangup(pid)) await delay(1);
}

/** A pipe in the place of a configuration: whoever reads it waits there until something is written. */
function heldFile(): string {
  const file = `${configFile('')}.pipe`;
  execFileSync('mkfifo', [file]);
  return file;
}

/** What stands in front of `node` so that it is the first process of a namespace of its own, as in a container. */
const firstProcess = ['unshare', '--pid', '--fork', '--mount-proc'] as const;

function mayUnshare(): boolean {
  try {
    execFileSync(firstProcess[0], [...firstProcess.slice(1), 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('A signal while the program starts', () => {
  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('ends it with 0 before anything is bound: %s', async (signal) => {
    const file = heldFile();
    const program = await launch({ args: ['serve', '--config', file] });
    await untilItCatches(program.pid);
    program.signal(signal);
    await writeFile(file, yaml);
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.stdout()).toBe('');
    expect(program.stderr()).toBe('');
  });

  it('ends another command as any program', async () => {
    const program = await launch({ args: ['stats', '--admin', 'http://192.0.2.1:9'] });
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it.runIf(mayUnshare())('is not lost on the first process of a container', async () => {
    const [command, ...options] = firstProcess;
    const args = [...options, process.execPath, await builtMain(), 'serve', '--config', configFile(yaml)];
    const child = spawn(command, args, { stdio: 'ignore', detached: true });
    const { pid = 0 } = child;
    const ended = once(child, 'exit');
    onTestFinished(() => {
      if (child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGKILL');
    });
    let first: number | undefined;
    while (first === undefined) {
      await delay(1);
      const [found] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
      if (found !== undefined) first = Number(found);
    }
    await untilItCatches(first);
    process.kill(first, 'SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});

describe('A terminal that closes', () => {
  it('asks once, however many signals come of it', async () => {
    const program = await launchServe(yaml.replace(':0 }', ':0, drainDelay: 3s }'));
    program.signal('SIGHUP');
    await program.says('stderr', /"msg":"draining"/);
    program.signal('SIGHUP');
    expect((await ask(program.admin, '/readyz')).status).toBe(503);
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });
});

describe('npm start and npm run demo', () => {
  it.each(['start', 'demo'])('%s: the shell makes way for the program, so that a signal reaches it', (name) => {
    const manifest = new URL('../../package.json', import.meta.url);
    const parsed: { scripts?: Record<string, string> } = JSON.parse(readFileSync(manifest, 'utf8'));
    expect(parsed.scripts?.[name]).toMatch(/^exec node dist\//u);
  });
});
