import { parentPort, workerData } from 'node:worker_threads';

import type { WorkerGround, WorkerWord } from './messages.ts';
import { useCompiledCode } from '../compiled-code.ts';
import { serveShare } from './serve-share.ts';

// The first file of a worker thread. The coordinator is code of the same build: what it hands over is what it says it is.
useCompiledCode();
if (parentPort === null) throw new Error('this file is only for threads that the proxy itself starts');
const port = parentPort;
const start: WorkerGround = workerData;
const tell = (word: WorkerWord): void => port.postMessage(word);
serveShare(start, port, tell).catch((error: unknown) => {
  tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  port.close();
});
