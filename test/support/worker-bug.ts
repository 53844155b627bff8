import { existsSync } from 'node:fs';
import { isMainThread, threadId } from 'node:worker_threads';

// Preloaded into the program (`node --import`): as soon as the file that the environment names is there, the worker whose
// thread has the lowest number dies of a bug, once.
const file = process.env['WORKER_BUG'];
if (!isMainThread && threadId === 1 && file !== undefined) {
  setInterval(() => {
    if (existsSync(file)) throw new Error('a bug of a test');
  }, 20).unref();
}
