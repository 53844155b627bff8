import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';

import type { AdminServices } from '../../src/admin/services.ts';
import { adminLimits } from '../../src/admin/admin-server.ts';
import { head } from '../support/hostile.ts';
import { ask, startAdmin, stopAdmins } from '../support/admin.ts';
import { converse, openRaw, type RawConnection } from '../support/raw.ts';

afterEach(stopAdmins);

const host = 'Host: 127.0.0.1';
const kept = head('GET /healthz HTTP/1.1', host);

function padded(bytes: number): string {
  return head('GET /healthz HTTP/1.1', host, 'Connection: close', `X-Pad: ${'p'.repeat(bytes)}`);
}

function urlOf({ port }: { readonly port: number }): string {
  return `http://127.0.0.1:${port}`;
}

describe('The fixed limits', () => {
  it('are those of docs/limits.md, each with a test here', () => {
    expect(adminLimits).toMatchObject({
      connections: 256,
      pipelined: 8,
      headerBytes: 16 * 1024,
      headersMs: 5000,
      requestMs: 15_000,
      sendMs: 30_000,
      keepAliveMs: 65_000,
    });
    const text = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8');
    const here = readFileSync(new URL(import.meta.url), 'utf8');
    const table = /\| of the admin listener \|[^]*?\n\n/.exec(text)?.[0] ?? '';
    const rows = [...table.matchAll(/^\| [a-z][^|`]+ \| (\d[^|]*) \| [^|]+ \| ([^|]+) \|$/gm)];
    expect(rows.map(([, fixed]) => fixed)).toEqual(['256', '8', '16 KiB', '5 s', '15 s', '30 s', '65 s']);
    for (const [, , test = ''] of rows) expect(here).toContain(`it('${test}'`);
  });

  it('the admin listener has exactly 256 connections, one more is closed', async () => {
    const rig = await startAdmin();
    const open: RawConnection[] = [];
    using stack = new DisposableStack();
    for (let count = 0; count < 256; count += 1) open.push(stack.use(await openRaw(urlOf(rig))));
    await open[255]?.send(kept);
    expect((await open[255]?.reply())?.status).toBe(200);
    const refused = await converse(urlOf(rig), kept);
    expect([refused.replies.length, refused.rest.length]).toEqual([0, 0]);
    expect(rig.limitHits).toEqual(['admin.maxConnections']);
    open[0]?.socket.destroy();
    await expect
      .poll(() =>
        ask(rig.port, '/healthz').then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  });

  it('the admin listener owes 8 answers on a connection, with one more it closes', async () => {
    const gate = Promise.withResolvers<void>();
    const state = { asked: 0 };
    const services: Partial<AdminServices> = {
      prometheus: async () => {
        state.asked += 1;
        await gate.promise;
        return 'x';
      },
    };
    const rig = await startAdmin({ services });
    const scrape = head('GET /metrics HTTP/1.1', host);
    using eight = await openRaw(urlOf(rig));
    await eight.send(scrape.repeat(8));
    const { replies, end } = await converse(urlOf(rig), scrape.repeat(3000));
    expect([replies, end]).toEqual([[], 'reset']);
    expect(rig.limitHits).toEqual(['admin.maxPipelined']);
    // Of the first connection the first, of the other none.
    expect(state.asked).toBe(1);
    gate.resolve();
    for (let count = 0; count < 8; count += 1) expect((await eight.reply()).text).toBe('x');
    expect(state.asked).toBe(8);
    // Where none is owed any more there is room again.
    await eight.send(scrape.repeat(8));
    for (let count = 0; count < 8; count += 1) expect((await eight.reply()).text).toBe('x');
  });

  it('a head of an admin call past 16 KiB is a 431', async () => {
    const rig = await startAdmin();
    const statusOf = async (bytes: number): Promise<number | undefined> =>
      (await converse(urlOf(rig), padded(bytes))).replies[0]?.status;
    expect(await statusOf(16 * 1024 - 100)).toBe(200);
    expect(await statusOf(16 * 1024)).toBe(431);
  });

  it('a head of an admin call that does not come in time is a 408', async () => {
    const rig = await startAdmin({ limits: { headersMs: 100, checkEveryMs: 25 } });
    const { replies } = await converse(urlOf(rig), 'GET /healthz HTTP/1.1\r\nHost: 127');
    expect(replies.map(({ status }) => status)).toEqual([408]);
  });

  it('content of an admin call that does not come in time is a 408', async () => {
    const rig = await startAdmin({ limits: { headersMs: 100, requestMs: 150, checkEveryMs: 25 } });
    const begun = `${head('POST /api/purge HTTP/1.1', host, 'Content-Type: application/json', 'Content-Length: 20')}{"all"`;
    const { replies } = await converse(urlOf(rig), begun);
    expect(replies.map(({ status }) => status)).toEqual([408]);
    expect(rig.calls).toEqual([]);
  });

  it('a reader of the admin listener that takes nothing is cut off', async () => {
    const text = 'x'.repeat(16 * 1024 * 1024);
    const services: Partial<AdminServices> = { prometheus: () => Promise.resolve(text) };
    const rig = await startAdmin({ services, limits: { sendMs: 500 } });
    using reader = await openRaw(urlOf(rig));
    reader.socket.pause();
    await reader.send(head('GET /metrics HTTP/1.1', host));
    await sleep(1500);
    reader.socket.resume();
    await reader.ended();
    expect(reader.received.length).toBeLessThan(text.length);
    // Whoever goes on taking it has as long as it takes.
    expect((await ask(rig.port, '/metrics')).text.length).toBe(text.length);
  });

  it('a call takes as long as it takes, behind an answer that was taken too', async () => {
    const services: Partial<AdminServices> = { prometheus: () => sleep(600, 'late') };
    const rig = await startAdmin({ services, limits: { sendMs: 100 } });
    using connection = await openRaw(urlOf(rig));
    await connection.send(kept + head('GET /metrics HTTP/1.1', host));
    expect((await connection.reply()).status).toBe(200);
    expect((await connection.reply()).text).toBe('late');
  });

  it('an idle connection of the admin listener is closed', async () => {
    const rig = await startAdmin({ limits: { keepAliveMs: 100 } });
    const { replies, end } = await converse(urlOf(rig), kept);
    expect([replies.map(({ status }) => status), end]).toEqual([[200], 'fin']);
  });
});
