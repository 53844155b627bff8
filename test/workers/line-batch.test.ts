import { setImmediate as turnEnd } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

import { LineBatch } from '../../src/workers/line-batch.ts';

describe('the lines of a worker', () => {
  it.each([
    'throw new Error("a bug")',
    'process.exit(0)',
    'setImmediate(() => { lines.write("c\\n"); throw new Error("a bug"); })',
  ])('are all sent where it ends by %s', async (end) => {
    const program = `
        import { parentPort } from 'node:worker_threads';
        import { LineBatch } from ${JSON.stringify(new URL('../../src/workers/line-batch.ts', import.meta.url).href)};
        const lines = new LineBatch((text) => parentPort.postMessage(text));
        lines.write('a\\n');
        lines.write('b\\n');
        ${end};`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`));
    let sent = '';
    worker.on('message', (text: string) => (sent += text));
    worker.on('error', () => undefined);
    // `once` would reject with the error.
    await new Promise((resolve) => worker.once('exit', resolve));
    expect(sent).toBe(end.includes('"c') ? 'a\nb\nc\n' : 'a\nb\n');
  });

  it('are sent together once a turn of its event loop, and at its end', async () => {
    const sent: string[] = [];
    const lines = new LineBatch((text) => sent.push(text));
    lines.write('a\n');
    lines.write('b\n');
    expect(sent).toEqual([]);
    await turnEnd();
    lines.write('c\n');
    lines[Symbol.dispose]();
    expect(sent).toEqual(['a\nb\n', 'c\n']);
  });
});
