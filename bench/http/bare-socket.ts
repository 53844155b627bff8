/**
 * The least that Node does for an answer: one read into a buffer that all connections share, a look at which of 200 URLs it is, one
 * write of ready bytes; no parser, no cache, no clock. Of each read it takes for granted that it is one whole GET of `urls.lua`. Arguments: bytes
 * of the content, and for how many threads (1: the main thread). Prints `bare URL` when it listens.
 */
import { createServer, type Socket } from 'node:net';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { readDirectly } from '../../src/server/fast-lane-reads.ts';
import { forecastBody } from '../forecast.ts';

interface Job {
  readonly bytes: number;
  /** 0: any. */
  readonly port: number;
  readonly threads: number;
}

const urls = 200;

function answersOf(bytes: number): readonly Buffer[] {
  const content = forecastBody(bytes).toString('latin1');
  // What the program sends for a hit.
  const lines = ['HTTP/1.1 200 OK', 'Content-Type: application/json', 'Cache-Control: max-age=3600', 'Age: 0']
    .concat(
      'Cache-Status: forecache; hit; ttl=3600; detail=memory',
      'Via: 1.1 forecache',
      'Date: Fri, 27 Nov 2026 00:00:00 GMT',
    )
    .concat(`Content-Length: ${content.length}`, 'Connection: keep-alive', 'Keep-Alive: timeout=65', '', content);
  return Array.from({ length: urls }, () => Buffer.from(lines.join('\r\n')));
}

/** The number behind `/v1/forecast?location=city`, of the request at the start of the bytes. */
function numberIn(bytes: Uint8Array): number {
  let number = 0;
  for (let at = 'GET /v1/forecast?location=city'.length; ; at += 1) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return number;
    number = number * 10 + digit;
  }
}

function answer(socket: Socket, answers: readonly Buffer[]): void {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  const isDirect = readDirectly(socket, ({ bytes }) => {
    socket.write(answers[numberIn(bytes) % urls] ?? '');
    return true;
  });
  if (!isDirect) throw new Error('this Node cannot read into one buffer');
}

function serve({ bytes, port, threads }: Job): Promise<number> {
  const answers = answersOf(bytes);
  const server = createServer((socket) => answer(socket, answers));
  return new Promise((resolve) => {
    server.listen({ port, host: '127.0.0.1', reusePort: threads > 1, backlog: 1024 }, () => {
      const address = server.address();
      resolve(typeof address === 'object' ? (address?.port ?? 0) : 0);
    });
  });
}

async function main(): Promise<void> {
  const job: Job = { bytes: Number(process.argv[2] ?? 1024), port: 0, threads: Number(process.argv[3] ?? 1) };
  let { port } = job;
  if (job.threads === 1) port = await serve(job);
  for (let thread = 1; job.threads > 1 && thread <= job.threads; thread += 1) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { ...job, port } });
    port = await new Promise((resolve) => worker.once('message', resolve));
  }
  process.stdout.write(`bare http://127.0.0.1:${port}\n`);
}

if (isMainThread) await main();
else {
  const { parentPort } = await import('node:worker_threads');
  parentPort?.postMessage(await serve(workerData));
}
