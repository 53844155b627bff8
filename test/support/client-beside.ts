import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { onTestFinished } from 'vitest';

const client = `
const { parentPort, workerData: { port, text } } = require('node:worker_threads');
const { connect } = require('node:net');
parentPort.once('message', () => {
  let got = '';
  const socket = connect(port, '127.0.0.1', () => socket.write(text));
  socket.on('data', (bytes) => { got += bytes; });
  socket.on('error', ({ code }) => { got += code; });
  socket.on('close', () => parentPort.postMessage(got));
});
parentPort.postMessage('ready');`;

/** Ample for another thread to connect and to write a packet, even on a busy machine. Milliseconds. */
const heldMs = 300;

/**
 * A client on a thread of its own. `ask` has it connect and send the text while this thread stands still, so that both lie unread in the
 * kernel behind it; it resolves with what came back, the code of an error behind it, when the connection has ended.
 */
export async function clientBeside(origin: string, text: string): Promise<() => { readonly got: Promise<unknown> }> {
  const thread = new Worker(client, { eval: true, workerData: { port: Number(new URL(origin).port), text } });
  onTestFinished(async () => void (await thread.terminate()));
  await once(thread, 'message');
  return () => {
    const got = once(thread, 'message').then(([came]: readonly unknown[]) => came);
    thread.postMessage('ask');
    const fromMs = performance.now();
    while (performance.now() - fromMs < heldMs);
    return { got };
  };
}
