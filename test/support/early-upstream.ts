import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

import type { TestCertificate } from './certificate.ts';

/** What it runs. It reads the head of a request, or nothing at all, answers, and closes its connection on what it has not read. */
const script = `
const { createServer } = require('node:net');
const { TLSSocket } = require('node:tls');
const { delayMs, length, isUnasked, key, cert } = JSON.parse(process.argv[1]);
const framing = length === undefined ? '' : 'Content-Length: ' + length + '\\r\\n';
const head = 'HTTP/1.1 413 Content Too Large\\r\\nContent-Type: text/plain\\r\\n' + framing + 'Connection: close\\r\\n\\r\\n';
// No delay: its handshake may not be acknowledged yet, and what waits for that when a reset is sent is gone.
const server = createServer({ pauseOnConnect: isUnasked, noDelay: true }, (plain) => {
  const socket = key === undefined ? plain : new TLSSocket(plain, { isServer: true, key, cert });
  plain.on('error', () => {});
  socket.on('error', () => {});
  const cut = () => length === undefined ? plain.resetAndDestroy() : socket.destroy();
  const answer = () => socket.write(head + 'too much', () => isUnasked ? cut() : setTimeout(cut, delayMs));
  if (isUnasked) answer();
  else socket.once('data', () => {
    socket.pause();
    setTimeout(answer, delayMs);
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(String(server.address().port)));
`;

export interface EarlyAnswer {
  /** Between the head of the request, the answer and its end, each. */
  readonly delayMs?: number;
  /** Of its 8 bytes of content; left out: a reset cuts off what would end with the connection. */
  readonly length?: number;
  /** It does not wait for the request; plain alone. */
  readonly isUnasked?: boolean;
  /** It speaks TLS; left out: plain. */
  readonly tls?: TestCertificate | undefined;
}

/**
 * Starts an upstream that answers early with 413 and closes; gives its origin. It is a process of its own: within one, what is
 * written and what is closed happen in one order, and never side by side. It is gone at the end of the test.
 */
export async function startEarlyUpstream({
  delayMs = 0,
  length,
  isUnasked = false,
  tls,
}: EarlyAnswer): Promise<string> {
  const told = JSON.stringify({ delayMs, length, isUnasked, key: tls?.key, cert: tls?.cert });
  const child = spawn(process.execPath, ['-e', script, told], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill();
  });
  const [port]: unknown[] = await once(child.stdout, 'data');
  return tls === undefined ? `http://127.0.0.1:${String(port)}` : `https://localhost:${String(port)}`;
}
