import { describe, expect, it } from 'vitest';
import { youngBytesFor } from '../../src/process-memory.ts';
import { buildFirst } from '../support/build-first.ts';
import { ask } from '../support/http.ts';
import { launchServe } from '../support/launch.ts';

buildFirst();

const MIB = 2 ** 20;

async function start(maxBytes: string, env: Readonly<Record<string, string>> = {}) {
  const yaml = `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug }
store: { memory: { maxBytes: ${maxBytes} } }
upstreams: { api: { origin: "http://127.0.0.1:1" } }
routes: [{ name: plain, match: /plain, upstream: api, ttl: 1h }]
`;
  const program = await launchServe(yaml, { env });
  const grown = () =>
    [...program.stderr().matchAll(/"before":(\d+),"after":(\d+),"msg":"room for what is young"/g)].map(
      ([, before, after]) => [Math.round(Number(before) / MIB), Math.round(Number(after) / MIB)],
    );
  return { grown, admin: program.admin, proxy: program.proxy };
}

/** Has each of them something to do until the signal. */
async function keepBusy(programs: readonly { readonly proxy: string }[], until: AbortSignal): Promise<void> {
  const asking = async (proxy: string): Promise<void> => {
    while (!until.aborted) await ask(proxy, '/nothing');
  };
  await Promise.all(programs.flatMap(({ proxy }) => [asking(proxy), asking(proxy), asking(proxy)]));
}

describe('the young generation of V8', () => {
  it('has 4 MiB from 96 MiB of memory tier on, and what it starts with below', () => {
    expect([youngBytesFor(96 * MIB - 1), youngBytesFor(96 * MIB)]).toEqual([undefined, 4 * MIB]);
  });

  it('grows once while the process is busy; not in one with little room, nor where Node has options of its own', async () => {
    const roomy = await start('96MiB');
    const others = [await start('95MiB'), await start('96MiB', { NODE_OPTIONS: '--no-deprecation' })];
    const end = new AbortController();
    const busy = keepBusy([roomy, ...others], end.signal);
    await expect.poll(roomy.grown, { timeout: 20_000 }).toEqual([[1, 4]]);
    // Two looks more.
    await new Promise((resolve) => void setTimeout(resolve, 2100));
    end.abort();
    await busy;
    expect(roomy.grown()).toEqual([[1, 4]]);
    expect(others.map(({ grown }) => grown())).toEqual([[], []]);
  });

  it('stays as it is in a process that has nothing to do', async () => {
    const { grown, admin } = await start('256MiB');
    // The start itself is not looked at for long.
    await new Promise((resolve) => void setTimeout(resolve, 2100));
    expect((await ask(admin, '/readyz')).status).toBe(200);
    expect(grown()).toEqual([]);
  });
});
