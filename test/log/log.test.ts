import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import process from 'node:process';
import { check, dictionary, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogConfig } from '../../src/core/config.ts';
import { createLog, type LogOptions } from '../../src/log/log.ts';
import { encoders } from '../support/encoders.ts';
import { requestRecord } from '../support/records.ts';

/** A stream that keeps what it gets. */
function capture(config: Partial<LogConfig> = {}, options: LogOptions = {}) {
  const written: string[] = [];
  const stream = { write: (lines: string) => written.push(lines) };
  const log = createLog({ level: 'debug', requests: true, ...config }, { stream, ...options });
  return { log, text: () => written.join('') };
}

function parsed(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  return Object(value);
}

describe('the log', () => {
  it('writes one JSON object a line, with level, time and message', () => {
    const { log, text } = capture();
    log.info({ route: 'weather', status: 200 }, 'request');
    expect(text().endsWith('\n')).toBe(true);
    const line = parsed(text());
    expect(line).toMatchObject({ level: 'info', msg: 'request', route: 'weather', status: 200 });
    expect(new Date(String(line['time'])).toISOString()).toBe(line['time']);
  });

  it('writes nothing below its level, and nothing at all when silent', () => {
    const warn = capture({ level: 'warn' });
    warn.log.debug({}, 'a');
    warn.log.info({}, 'b');
    warn.log.warn({}, 'c');
    warn.log.error({}, 'd');
    expect(warn.text().trim().split('\n')).toHaveLength(2);
    const silent = capture({ level: 'silent' });
    silent.log.error({}, 'e');
    expect(silent.text()).toBe('');
    expect(silent.log.writes('error')).toBe(false);
  });

  it.each([
    ['a line break', 'a\r\n{"level":"error"}'],
    ['NUL and escapes', '\u0000\u001b[2J\u007f'],
    ['C1 controls', '\u0085\u009b'],
    ['U+2028 and U+2029', 'a\u2028b\u2029c'],
    ['marks of direction', '\u202e\u2066\u200f'],
    ['a byte order mark', '\ufeff'],
    ['half a character', '\ud800'],
    ['quotes and backslashes', '"\\","level":"error'],
  ])('stays one line and one object with %s in a value', (_what, hostile) => {
    const { log, text } = capture();
    log.info({ url: hostile, [hostile]: 1 }, hostile);
    const body = text().slice(0, -1);
    // eslint-disable-next-line no-control-regex
    expect(body).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/);
    expect(parsed(body)).toMatchObject({ level: 'info', msg: hostile, url: hostile });
  });

  it('cannot be broken by any text', () => {
    const run = check(
      property(
        dictionary(string({ unit: 'binary' }), string({ unit: 'binary' })),
        string({ unit: 'binary' }),
        (fields, message) => {
          const { log, text } = capture();
          log.info(fields, message);
          const lines = text().split(/[\n\r\u0085\u2028\u2029]/);
          return lines.length === 2 && lines[1] === '' && parsed(lines[0] ?? '')['msg'] === message;
        },
      ),
      { seed: 22, numRuns: 500 },
    );
    expect(run.counterexample).toBeNull();
  });

  it('masks members with secret names, however deep', () => {
    const { log, text } = capture();
    log.info(
      {
        authorization: 'Bearer abc',
        headers: { Cookie: 'sid=1', 'X-Api-Key': 'k', accept: 'text/html' },
        list: [{ apikey: 'k2', password: 'p', adminToken: 't' }],
        token: undefined,
      },
      'x',
    );
    expect(parsed(text())).toMatchObject({
      authorization: '***',
      headers: { Cookie: '***', 'X-Api-Key': '***', accept: 'text/html' },
      list: [{ apikey: '***', password: '***', adminToken: '***' }],
    });
    expect(text()).not.toContain('"token"');
  });

  it('masks known secrets wherever they turn up, also escaped', () => {
    const secret = 'pa"ss w\\ord/1';
    const { log, text } = capture({}, { secrets: [secret, 'abc'] });
    log.error({ err: new Error(`called https://x/?q=${encodeURIComponent(secret)}`), url: `/a?key=${secret}` }, secret);
    expect(text()).not.toContain('ord');
    expect(text()).not.toContain(encodeURIComponent(secret));
    expect(parsed(text())).toMatchObject({ msg: '***', url: '/a?key=***' });
  });

  it.each([
    ['one goes on where the other ends', ['abcdef-1', 'f-1ghijk'], 'x abcdef-1ghijk y', 'x *** y'],
    ['one has the other in the middle', ['acme-prod', 'x9-acme-prod-9f8e'], 'x x9-acme-prod-9f8e y', 'x *** y'],
    ['one repeats its own beginning', ['ab1cab'], 'x ab1cab1cab y', 'x *** y'],
  ])('masks all of each secret where they overlap: %s', (_what, secrets, message, clean) => {
    const { log, text } = capture({}, { secrets });
    log.info({ [message]: message }, message);
    expect(parsed(text())).toMatchObject({ msg: clean, [clean]: clean });
  });

  it.each(['a/b d+1', "it's!*(1)", 'a<b>&c-1', 'Zm9v+YmFy&YmF6/cXV4=='])(
    'finds %s as any encoder writes it',
    (secret) => {
      for (const encode of encoders.values()) {
        const spelt = encode(secret);
        const { log, text } = capture({}, { secrets: [secret] });
        log.info({ url: `/x?k=${spelt}&a=1` }, 'x');
        expect([spelt, parsed(text())['url']]).toEqual([spelt, '/x?k=***&a=1']);
      }
    },
  );

  it('shows no part of a secret where a text is cut', () => {
    const secret = 'k3y-s3cr3t-1234567890';
    const { log, text } = capture({}, { secrets: [secret] });
    for (let before = 2000; before <= 4100; before += before === 2060 ? 2000 : 1) {
      const long = `${'x'.repeat(before)}${secret}${'y'.repeat(4100)}`;
      log.info({ long, err: new Error(long) }, 'long');
      log.observer.request(requestRecord({ url: long }));
    }
    expect(text()).toContain('***');
    expect(text()).not.toContain('xk');
  });

  it('leaves words alone that a short secret happens to be part of', () => {
    const { log, text } = capture({}, { secrets: ['a', ''] });
    log.info({}, 'a banana');
    expect(parsed(text())['msg']).toBe('a banana');
  });

  it('leaves what has five characters and masks what has six', () => {
    const { log, text } = capture({}, { secrets: ['12345', 'abcdef'] });
    log.info({}, 'a 12345 b abcdef');
    expect(parsed(text())['msg']).toBe('a 12345 b ***');
  });

  it('writes errors as data, with their causes, and survives a cycle', () => {
    const { log, text } = capture();
    const error = new Error('outer', { cause: Object.assign(new Error('inner'), { code: 'ECONNRESET' }) });
    log.error({ err: error }, 'broken');
    expect(parsed(text())).toMatchObject({
      err: { type: 'Error', message: 'outer', cause: { message: 'inner', code: 'ECONNRESET' } },
    });
    const cyclic = new Error('cycle');
    cyclic.cause = cyclic;
    log.error({ err: cyclic }, 'cycle');
    expect(text().trim().split('\n')).toHaveLength(2);
  });

  it('cuts what is too long for a line', () => {
    const { log, text } = capture();
    log.info({ value: 'x'.repeat(1_000_000) }, 'long');
    expect(text().length).toBeLessThan(5000);
  });

  it('takes values that are no data', () => {
    const { log, text } = capture();
    log.info({ big: 12n, symbol: Symbol('s'), nothing: null, call: () => 1, at: Number.NaN }, 'odd');
    expect(parsed(text())).toMatchObject({ big: '12', nothing: null, at: null });
  });

  it('does not read format words in a message', () => {
    const { log, text } = capture();
    log.info({}, '100%s %d %j');
    expect(parsed(text())['msg']).toBe('100%s %d %j');
  });

  it.each(['process.exit(3)', 'undefined', 'setImmediate(() => { throw new Error() })'])(
    'loses no line on standard error when the process ends by %s',
    async (ending) => {
      const program = `
        import { createLog } from ${JSON.stringify(new URL('../../src/log/log.ts', import.meta.url).href)};
        const log = createLog({ level: 'info', requests: true });
        for (let n = 0; n < 5000; n += 1) log.info({ n }, 'line');
        ${ending};`;
      const child = execFile(process.execPath, ['--input-type=module', '--eval', program], { maxBuffer: 1 << 24 });
      let output = '';
      child.stderr?.on('data', (chunk) => (output += String(chunk)));
      await once(child, 'close');
      // Node tells of the throw there as well.
      const lines = output.split('\n').filter((line) => line.startsWith('{'));
      expect(lines).toHaveLength(5000);
      expect(lines.map((line) => parsed(line)['n'])).toEqual(Array.from({ length: 5000 }, (_none, n) => n));
    },
  );

  it('goes on serving when nobody reads its lines any more', async () => {
    const program = `
      import { createLog } from ${JSON.stringify(new URL('../../src/log/log.ts', import.meta.url).href)};
      const log = createLog({ level: 'info', requests: true });
      process.stdin.once('data', () => {
        for (let n = 0; n < 2000; n += 1) log.info({ n }, 'line');
        setImmediate(() => { log.error({}, 'after'); process.exitCode = 7; process.stdin.destroy(); });
      });`;
    const child = execFile(process.execPath, ['--input-type=module', '--eval', program]);
    child.stderr?.destroy();
    child.stdin?.write('go\n');
    const [code] = await once(child, 'close');
    expect(code).toBe(7);
  });

  it.runIf(existsSync('/dev/full'))('keeps a bounded part of what a full disk does not take', async () => {
    const program = `
      import { createLog } from ${JSON.stringify(new URL('../../src/log/log.ts', import.meta.url).href)};
      const log = createLog({ level: 'info', requests: true });
      const url = 'x'.repeat(4000);
      for (let n = 0; n < 20_000; n += 1) log.info({ url }, 'line');
      global.gc();
      const { heapUsed, external } = process.memoryUsage();
      console.log((heapUsed + external) / 2 ** 20);`;
    const full = openSync('/dev/full', 'w');
    const args = ['--expose-gc', '--input-type=module', '--eval', program];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', full] });
    closeSync(full);
    let output = '';
    child.stdout?.on('data', (chunk) => (output += String(chunk)));
    expect(await once(child, 'close')).toEqual([0, null]);
    // Of 80 MiB of lines.
    expect(Number(output)).toBeGreaterThan(0);
    expect(Number(output)).toBeLessThan(40);
  });

  it.each([
    ['warn', true],
    ['error', true],
    ['info', false],
  ] as const)('writes a line of %s, and what was gathered before it, at once: %s', async (level, isAtOnce) => {
    // As below.
    const program = `
      import { createLog } from ${JSON.stringify(new URL('../../src/log/log.ts', import.meta.url).href)};
      const log = createLog({ level: 'info', requests: true });
      log.info({}, 'before');
      log[${JSON.stringify(level)}]({}, 'the line');
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => {});`;
    const child = execFile(process.execPath, ['--input-type=module', '--eval', program]);
    let text = '';
    child.stderr?.on('data', (chunk: string) => (text += chunk));
    await once(child, 'close');
    expect(text.split('\n')).toHaveLength(isAtOnce ? 3 : 1);
  });

  it.each([
    ['warn', true],
    ['error', true],
    ['info', false],
  ] as const)('passes lines of another thread on at once with one of %s among them: %s', async (level, isAtOnce) => {
    // The process ends itself the hard way in the same turn: whatever was only gathered is lost.
    const program = `
      import { createLog } from ${JSON.stringify(new URL('../../src/log/log.ts', import.meta.url).href)};
      const lines = [];
      const other = createLog({ level: 'info', requests: true }, { stream: { write: (text) => lines.push(text) }, worker: 2 });
      other.info({}, 'before {"level":"error"}\\n{"level":"error"');
      other[${JSON.stringify(level)}]({}, 'the line');
      other.info({}, 'behind');
      createLog({ level: 'info', requests: true }).pass(lines.join(''));
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => {});`;
    const child = execFile(process.execPath, ['--input-type=module', '--eval', program]);
    let text = '';
    child.stderr?.on('data', (chunk: string) => (text += chunk));
    await once(child, 'close');
    // All three lines, or none.
    expect(text.split('\n')).toHaveLength(isAtOnce ? 4 : 1);
    expect(text.includes('the line')).toBe(isAtOnce);
  });
});
