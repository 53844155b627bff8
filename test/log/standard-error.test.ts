import { once } from 'node:events';
import { spawn } from 'node:child_process';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';

import { standardError } from '../../src/log/standard-error.ts';

/** Takes as many bytes at a time as it is told, or fails by that code; what comes behind that it takes whole. */
function device(...steps: readonly (number | string)[]) {
  let step = 0;
  const taken: Buffer[] = [];
  const write = (bytes: Uint8Array): number => {
    const next = steps[step++] ?? bytes.length;
    if (typeof next === 'string') throw Object.assign(new Error(next), { code: next });
    taken.push(Buffer.from(bytes.subarray(0, next)));
    return Math.min(next, bytes.length);
  };
  return { write, text: () => Buffer.concat(taken).toString() };
}

/** Each line is written by itself. */
function writeEach(lines: readonly string[], write: (bytes: Uint8Array) => number): void {
  const sink = standardError(write);
  for (const line of lines) {
    sink.write(`${line}\n`);
    sink.flush();
  }
  sink.close();
}

describe('standard error', () => {
  it.each(['ENOSPC', 'EIO', 'EPIPE'])('has whole lines alone behind %s, of those that came meanwhile none', (code) => {
    // In the midst of a character of two bytes.
    const { write, text } = device(2, code, code, code);
    writeEach(['zwölf', 'lost', 'lost too', 'thirteen'], write);
    expect(text()).toBe('zwölf\nthirteen\n');
  });

  it('has whole lines alone where it took a line and then no more', () => {
    const { write, text } = device(4, 'ENOSPC', 'ENOSPC');
    const sink = standardError(write);
    sink.write('one\ntwo\nthree\n');
    for (const line of ['lost\n', 'four\n']) {
      sink.flush();
      sink.write(line);
    }
    sink.close();
    expect(text()).toBe('one\ntwo\nfour\n');
  });

  it('has the rest of a line that broke off with the next attempt, though no other comes', () => {
    const { write, text } = device(2, 'ENOSPC');
    writeEach(['last'], write);
    expect(text()).toBe('last\n');
  });

  it('has lines that are few within a tenth of a second, many at once, and all at once when it is the last', async () => {
    const { write, text } = device();
    const sink = standardError(write);
    sink.write('few\n');
    expect(text()).toBe('');
    await expect.poll(text, { timeout: 5000, interval: 20 }).toBe('few\n');
    const many = `${'x'.repeat(4096)}\n`;
    sink.write(many);
    expect(text()).toBe(`few\n${many}`);
    sink.write('gathered\n');
    sink.close();
    expect(text()).toBe(`few\n${many}gathered\n`);
    sink.write('late\n');
    expect(text()).toBe(`few\n${many}gathered\nlate\n`);
  });

  it('is waited for as long as it has no room', () => {
    const { write, text } = device('EAGAIN', 1, 'EAGAIN', 'EAGAIN', 2);
    writeEach(['first', 'second'], write);
    expect(text()).toBe('first\nsecond\n');
  });

  it('has all lines where it is a pipe that does not block and is read late', async () => {
    const program = `
      import process from 'node:process';
      import { createLog } from ${JSON.stringify(new URL('../../src/log/log.ts', import.meta.url).href)};
      // By this Node makes it one that does not block.
      process.stderr.on('error', () => {});
      const log = createLog({ level: 'info', requests: true });
      process.stdout.write('begun');
      for (let n = 0; n < 20_000; n += 1) log.info({ n }, 'line');`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program]);
    await once(child.stdout, 'data');
    // It stands still by now, with some of its lines in the pipe.
    await sleep(200);
    let output = '';
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    expect(await once(child, 'close')).toEqual([0, null]);
    const lines = output.trim().split('\n');
    expect(lines.map((line) => Number(/"n":(\d+)/.exec(line)?.[1]))).toEqual(
      Array.from({ length: 20_000 }, (_none, n) => n),
    );
  });
});
