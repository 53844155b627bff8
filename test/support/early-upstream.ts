import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

/** What it runs. It reads the head of a request and nothing more, answers, and closes its connection on what it has not read. */
const script = `
const { createServer } = require('node:net');
const delayMs = Number(process.argv[1]);
const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', () => {
    socket.pause();
    setTimeout(() => {
      const head = 'HTTP/1.1 413 Content Too Large\\r\\nContent-Type: text/plain\\r\\nContent-Length: 8\\r\\nConnection: close\\r\\n\\r\\n';
      socket.write(head + 'too much', () => socket.destroy());
    }, delayMs);
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(String(server.address().port)));
`;

/**
 * Starts an upstream that answers uploads early with 413 and closes; gives its origin. It is a process of its own: within one, what is
 * written and what is closed happen in one order, and never side by side. It is gone at the end of the test.
 */
export async function startEarlyUpstream(delayMs: number): Promise<string> {
  const child = spawn(process.execPath, ['-e', script, String(delayMs)], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill();
  });
  const [port]: unknown[] = await once(child.stdout, 'data');
  return `http://127.0.0.1:${String(port)}`;
}
