import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';

import { MAX_BACKLOG } from '../../src/workers/line-backlog.ts';
import { launchServe } from '../support/launch.ts';
import { memoryOf } from '../support/process-memory.ts';
import { startOrigin } from '../support/origin.ts';

const workers = 2;

/** In each line. */
const urlLength = 2000;

/** Each of them has its answer before the next one is sent. */
class Asker {
  answers = 0;
  readonly #socket: Socket;
  #stopped = false;

  constructor(proxy: string) {
    const { hostname, port } = new URL(proxy);
    this.#socket = connect(Number(port), hostname);
    this.#socket.on('data', (data: Buffer) => {
      const heads = data.toString('latin1').split('HTTP/1.1 200 ').length - 1;
      this.answers += heads;
      // An answer may come in pieces.
      if (heads > 0 && !this.#stopped) this.ask();
    });
    onTestFinished(() => void this.#socket.destroy());
  }

  async begin(): Promise<void> {
    await once(this.#socket, 'connect');
    this.ask();
  }

  ask(): void {
    this.#socket.write(`GET /c/${'x'.repeat(urlLength)} HTTP/1.1\r\nHost: api.test\r\n\r\n`);
  }

  stop(): void {
    this.#stopped = true;
  }
}

it(
  'waits for its log to be read with 1 Mi of its lines on their way, and loses none',
  { timeout: 120_000 },
  async () => {
    const origin = await startOrigin((_request, peer) => peer.respond(200, {}, 'x'));
    onTestFinished(() => origin.close());
    const program = await launchServe(`
server: { listen: 127.0.0.1:0, workers: ${workers} }
admin: { listen: 127.0.0.1:0 }
log: { level: info, requests: true }
upstreams: { api: { origin: "${origin.url}" } }
routes: [{ name: c, match: /c/*, upstream: api, ttl: 1h }]
`);
    program.listen(false);
    const askers = Array.from({ length: 16 }, () => new Asker(program.proxy));
    await Promise.all(askers.map((asker) => asker.begin()));
    const answers = (): number => askers.reduce((sum, asker) => sum + asker.answers, 0);
    // The pipe takes some more of them.
    const least = MAX_BACKLOG / (2 * urlLength);
    const most = (workers + 1) * (MAX_BACKLOG / urlLength);
    for (let before = -1; before !== answers() && answers() < most; await sleep(1000)) {
      before = answers() < least ? -1 : answers();
    }
    expect(answers()).toBeGreaterThanOrEqual(least);
    expect(answers()).toBeLessThan(most);
    const owed = answers() + askers.length;
    for (const asker of askers) asker.stop();
    program.listen(true);
    const lines = (): number => program.stderr().split('"worker":').length - 1;
    await expect.poll(() => [answers(), lines()], { timeout: 60_000 }).toEqual([owed, owed]);
  },
);

it('keeps no count upon count of its workers while it waits for its log to be read', { timeout: 120_000 }, async () => {
  const origin = await startOrigin((_request, peer) => peer.respond(200, {}, 'x'));
  onTestFinished(() => origin.close());
  const routes = Array.from(
    { length: 500 },
    (_none, n) => `  - { name: r${n}, match: /r${n}, upstream: api, ttl: 1h }`,
  );
  const program = await launchServe(`
server: { listen: 127.0.0.1:0, workers: ${workers} }
admin: { listen: 127.0.0.1:0 }
log: { level: info, requests: true }
upstreams: { api: { origin: "${origin.url}" } }
routes:
  - { name: c, match: /c/*, upstream: api, ttl: 1h }
${routes.join('\n')}
`);
  program.listen(false);
  // More lines than the pipe takes, and fewer than a worker would wait for.
  const asker = new Asker(program.proxy);
  await asker.begin();
  await expect.poll(() => asker.answers).toBeGreaterThan(MAX_BACKLOG / (2 * urlLength));
  asker.stop();
  const stands = async (): Promise<boolean> => {
    const signal = AbortSignal.timeout(500);
    return fetch(`${program.admin}/healthz`, { signal }).then(
      () => false,
      () => true,
    );
  };
  expect(await stands()).toBe(true);
  await sleep(2000);
  const before = memoryOf(program.pid).nowBytes;
  await sleep(6000);
  const grown = (memoryOf(program.pid).nowBytes - before) / 2 ** 20;
  expect(await stands()).toBe(true);
  // A count of these routes takes 4 MiB, and each worker has one every second.
  expect(grown).toBeLessThan(20);
  program.listen(true);
  await expect.poll(stands).toBe(false);
});
