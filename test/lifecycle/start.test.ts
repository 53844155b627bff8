import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { ask } from '../support/http.ts';
import { configFile, launch, launchServe } from '../support/launch.ts';
import { startTestProxy } from '../support/proxy.ts';
import { freePort } from '../support/redis.ts';

/** Somebody else's listener, until the end of the test. */
async function occupiedPort(host = '127.0.0.1'): Promise<number> {
  const server: Server = createServer((socket) => socket.destroy());
  server.listen(0, host);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** `undefined`: nobody answers there. */
async function statusOf(origin: string, path: string): Promise<number | undefined> {
  return (await ask(origin, path).catch(() => undefined))?.status;
}

const rest = `
upstreams: { api: { origin: "http://127.0.0.1:1" } }
routes: [{ name: plain, match: /plain, upstream: api, ttl: 1h }]
`;

describe('forecache serve, starting', () => {
  it('prints one line with both addresses, real ports for port 0, and is ready then', async () => {
    const program = await launchServe(`server: { listen: 127.0.0.1:0 }\nadmin: { listen: 127.0.0.1:0 }\n${rest}`);
    expect(program.stdout()).toMatch(
      /^forecache ready: proxy http:\/\/127\.0\.0\.1:[1-9]\d* admin http:\/\/127\.0\.0\.1:[1-9]\d*\n$/,
    );
    expect((await ask(program.admin, '/readyz')).status).toBe(200);
    expect((await ask(program.proxy, '/nowhere')).status).toBe(404);
    // The log is on the other stream, so that a script can read the line.
    await program.says('stderr', /"msg":"ready"/);
    program.signal('SIGTERM');
    await program.ended;
    expect(program.stdout().split('\n')).toHaveLength(2);
  });

  it('is ready only when the last of its listeners is bound', async () => {
    const [admin, last] = [await freePort(), await freePort()];
    // Bound one behind the other, each after its name was looked up: so there is time to ask in between.
    const others = Array.from({ length: 98 }, (_, index) => `l${100 + index}: { listen: localhost:0 }`);
    const starting = startTestProxy({
      yaml: `server: { listen: 127.0.0.1:0, listeners: { ${others.join(', ')}, z: { listen: "127.0.0.1:${last}" } } }
admin: { listen: "127.0.0.1:${admin}" }\n${rest}`,
    });
    const states: (number | undefined)[] = [];
    while (states.at(-1) !== 200 && states.length < 1000) {
      states.push(await statusOf(`http://127.0.0.1:${admin}`, '/readyz'));
    }
    // At once: where it says that it is ready, nothing of it may be refused.
    expect(await statusOf(`http://127.0.0.1:${last}`, '/nowhere')).toBe(404);
    await using proxy = await starting;
    expect(states).toContain(503);
    expect((await ask(proxy.admin, '/readyz')).status).toBe(200);
  });

  it('names IPv6 addresses as URLs do, in brackets', async () => {
    const program = await launchServe(`server: { listen: "[::1]:0" }\nadmin: { listen: "[::1]:0" }\n${rest}`);
    expect(program.stdout()).toMatch(/^forecache ready: proxy http:\/\/\[::1\]:\d+ admin http:\/\/\[::1\]:\d+\n$/);
    expect((await ask(program.admin, '/readyz')).status).toBe(200);
    expect((await ask(program.proxy, '/nowhere')).status).toBe(404);
  });

  it('names further listeners behind the default one', async () => {
    const program = await launchServe(`
server: { listen: 127.0.0.1:0, listeners: { second: { listen: 127.0.0.1:0 } } }
admin: { listen: 127.0.0.1:0 }${rest}`);
    const [, second = ''] = /\(also (http:\S+)\) admin/.exec(program.stdout()) ?? [];
    expect((await ask(second, '/nowhere')).status).toBe(404);
  });

  it('says every issue of its configuration, ends with 64 and has bound nothing', async () => {
    // Were they bound, the ports of somebody else would make it end with 1.
    const port = await occupiedPort();
    const file = configFile(`server: { listen: 127.0.0.1:${port} }
admin: { listen: 127.0.0.1:${port} }
upstreams: { api: { origin: "http://127.0.0.1:1" } }
routes:
  - { name: plain, match: /plain, upstream: apu, ttl: 1h }
  - { name: other, match: /other, upstream: api, tll: 1h }
`);
    const program = await launch({ args: ['serve', '--config', file] });
    expect(await program.ended).toEqual({ code: 64, signal: null });
    expect(program.stdout()).toBe('');
    expect(program.stderr().replaceAll(file, 'FILE')).toBe(`\
FILE:2:18: admin.listen: 127.0.0.1:${port} is already taken by server.listen
FILE:5:45: routes[0].upstream: there is no upstream "apu"; did you mean api?
FILE:6:50: routes[1].tll: unknown key; did you mean ttl?
`);
  });

  it('ends with 64 where there is no such file', async () => {
    const program = await launch({ args: ['serve', '--config', '/nowhere/forecache.yaml'] });
    expect(await program.ended).toEqual({ code: 64, signal: null });
    expect(program.stderr()).toMatch(/^\/nowhere\/forecache\.yaml:1:1: .*\n$/);
  });

  it.each(['server', 'admin'])('ends with 1 and names the address when that of %s is in use', async (which) => {
    const port = await occupiedPort();
    const listen = (name: string): string => `${name}: { listen: 127.0.0.1:${name === which ? port : 0} }`;
    const file = configFile(`${listen('server')}\n${listen('admin')}\nlog: { level: warn }\n${rest}`);
    const program = await launch({ args: ['serve', '--config', file] });
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.stdout()).toBe('');
    expect(program.stderr()).toBe(
      `forecache: cannot start: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`,
    );
  });
});
