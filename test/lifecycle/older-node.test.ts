import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { ask } from '../support/http.ts';
import { configFile, launch, launchServe } from '../support/launch.ts';
import { startOrigin } from '../support/origin.ts';
import { anotherAskMs, untilTaken } from '../support/signals.ts';

const yaml = `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
upstreams: { api: { origin: "http://127.0.0.1:1" } }
routes: [{ name: plain, match: /plain, upstream: api, ttl: 1h }]
`;

interface OlderNode {
  readonly name: string;
  readonly node: readonly [command: string, ...options: string[]];
}

/** This Node, saying that it is an older one: what the program goes by. */
const versions = { value: { ...process.versions, node: '20.19.2' } };
const script = `Object.defineProperty(process, 'versions', ${JSON.stringify(versions)})`;
const pretended: OlderNode = {
  name: 'pretended',
  node: [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(script)}`],
};

/** The machine's own Node where that is an older one, as on Debian. */
const installed = ['/usr/bin/node', '/usr/local/bin/node']
  .filter(isOlder)
  .map((path): OlderNode => ({ name: path, node: [path] }));

function isOlder(path: string): boolean {
  if (!existsSync(path)) return false;
  return Number.parseInt(execFileSync(path, ['--version'], { encoding: 'utf8' }).slice(1), 10) < 24;
}

/** The processes that it has started (proc(5)). */
function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

describe.each([pretended, ...installed])('the program on an older Node ($name)', ({ node }) => {
  it('serves on the Node that was installed beside it', async () => {
    const program = await launchServe(yaml, { node });
    expect((await ask(program.admin, '/readyz')).status).toBe(200);
    const [child = 0, ...others] = childrenOf(program.pid);
    expect(others).toEqual([]);
    expect(readFileSync(`/proc/${child}/cmdline`, 'utf8')).toContain('node_modules/node/bin/node');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends with 0 on %s', async (signal) => {
    const program = await launchServe(yaml, { node });
    program.signal(signal);
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  it('ends at once with 1 on a second signal', async () => {
    const program = await launchServe(yaml.replace(':0 }', ':0, drainDelay: 1h }'), { node });
    program.signal('SIGTERM');
    await program.says('stderr', /"msg":"draining"/);
    await delay(anotherAskMs);
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 1, signal: null });
  });

  it('takes a signal that both processes get for one, as from a terminal or a service manager', async () => {
    const program = await launchServe(yaml.replace(':0 }', ':0, drainDelay: 300ms }'), { node });
    process.kill(-program.pid, 'SIGINT');
    await program.says('stderr', /"msg":"closing"/);
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('takes %s for one that all of them get twice in a moment', async (signal) => {
    const program = await launchServe(yaml.replace(':0 }', ':0, drainDelay: 600ms }'), { node });
    const [child = 0] = childrenOf(program.pid);
    process.kill(-program.pid, signal);
    await untilTaken(program.pid);
    await untilTaken(child);
    process.kill(-program.pid, signal);
    await program.says('stderr', /"msg":"closing"/);
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  it('ends at once with 1 when both processes get a second one', async () => {
    const program = await launchServe(yaml.replace(':0 }', ':0, drainDelay: 1h }'), { node });
    process.kill(-program.pid, 'SIGINT');
    await program.says('stderr', /"msg":"draining"/);
    await delay(anotherAskMs);
    process.kill(-program.pid, 'SIGINT');
    expect(await program.ended).toEqual({ code: 1, signal: null });
  });

  it('leaves nothing behind when it is killed', async () => {
    const program = await launchServe(yaml, { node });
    program.signal('SIGKILL');
    // Its output is held by the other process too: it ends when both are gone.
    expect(await program.ended).toEqual({ code: null, signal: 'SIGKILL' });
    await expect(ask(program.admin, '/readyz')).rejects.toThrow('ECONNREFUSED');
  });

  it('ends another command on SIGTERM, as any program', async () => {
    await using admin = await startOrigin(() => new Promise(() => undefined));
    const program = await launch({ args: ['stats', '--admin', admin.url], node });
    await admin.arrived(1);
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 143, signal: null });
  });

  it('passes on what a command prints and its exit code', async () => {
    const good = await launch({ args: ['check', '--config', configFile(yaml), '--json'], node });
    expect(await good.ended).toEqual({ code: 0, signal: null });
    expect(JSON.parse(good.stdout())).toMatchObject({ ok: true, routes: 1 });
    const bad = await launch({ args: ['check', '--config', configFile('routes: 1')], node });
    expect(await bad.ended).toEqual({ code: 64, signal: null });
    expect(bad.stderr()).toMatch(/^\S+:1:9: routes: ./m);
  });
});
