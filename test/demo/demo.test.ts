import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { callJson, get } from '../../src/demo/http-get.ts';
import { builtMain } from '../support/program.ts';
import { untilTaken } from '../support/signals.ts';

let script = '';
let running: ChildProcess | undefined;

interface Demo {
  readonly child: ChildProcess;
  /** Everything so far. */
  readonly printed: () => string;
  /** Resolves with the match once it was printed; rejects where the demo ends before. */
  until(pattern: RegExp): Promise<RegExpExecArray>;
}

function startDemo(...args: readonly string[]): Demo {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  running = child;
  let text = '';
  const waiting = new Set<() => void>();
  const collect = (chunk: Buffer): void => {
    text += chunk.toString();
    for (const look of waiting) look();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return {
    child,
    printed: () => text,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(text);
          if (match === null) return;
          waiting.delete(look);
          resolve(match);
        };
        waiting.add(look);
        child.once('close', () => reject(new Error(`the demo ended without ${pattern.source}:\n${text}`)));
        look();
      }),
  };
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return child.exitCode;
}

beforeAll(async () => {
  script = join(dirname(await builtMain()), 'demo/demo.js');
}, 120_000);

afterEach(() => {
  running?.kill('SIGKILL');
});

describe('npm run demo', () => {
  it(
    'with --once shows what the cache saved, finds all figures in agreement, and ends with 0',
    { timeout: 60_000 },
    async () => {
      const { child, printed } = startDemo('--once', '--requests', '160');
      expect([await ended(child), printed()]).toEqual([0, expect.any(String)]);
      const text = printed();
      expect(text).toMatch(/^ {2}requests +160 +8 agents, \d+ spellings$/m);
      expect(text).toMatch(/^ {2}hit ratio +[1-9][\d.]+ % +\d+ hits, \d+ misses$/m);
      expect(text).toMatch(/^ {2}saved +\d+ calls +[\d.]+ s of waiting; a hit is \d+ times as fast$/m);
      expect(text).toMatch(/^ {2}fetched .*GET \/weather\/forecast/m);
      expect(text).toMatch(/^ {2}fetched .*GET \/events\/search/m);
      expect(text).toMatch(/^ {2}hit .*GET \/weather\/forecast\S+paris/im);
      expect(text.match(/^ {2}✓ /gm)).toHaveLength(6);
      expect(text).not.toContain('✗');
      // Not a terminal: no line is written over.
      expect(text).not.toContain('\r');
      expect(text).toContain('  80 of 160 requests\n');
    },
  );

  it('leaves the proxy running until Ctrl-C, which ends all of it', { timeout: 60_000 }, async () => {
    const demo = startDemo('--requests', '50', '--seed', '5');
    const [, proxy = '', admin = ''] = await demo.until(/proxy (\S+), admin and dashboard (\S+)\/\. Try/);
    await demo.until(/Ctrl-C ends it/);
    expect(demo.printed().match(/^ {2}curl .*/gm)).toHaveLength(3);
    const answer = await get(`${proxy}/weather/forecast?location=Cape+Town&days=7`);
    expect([answer.status, answer.fields['cache-status']]).toEqual([200, expect.stringMatching(/^forecache; /)]);
    const purged = await callJson(`${admin}/api/purge`, { tag: 'location:cape town' });
    expect(purged.get('matched')).toBeGreaterThan(0);
    // Twice, as under npm, which passes on what the terminal has sent to both.
    const { pid = 0 } = demo.child;
    demo.child.kill('SIGINT');
    await untilTaken(pid);
    demo.child.kill('SIGINT');
    expect(await ended(demo.child)).toBe(0);
    await expect(get(`${proxy}/weather/forecast?location=berlin`)).rejects.toThrow(/ECONNREFUSED/);
  });

  it(
    'ends at once on a Ctrl-C behind the moment of the first, also where its proxy hangs',
    { timeout: 60_000 },
    async () => {
      const demo = startDemo('--requests', '50', '--seed', '5');
      await demo.until(/Ctrl-C ends it/);
      const { pid = 0 } = demo.child;
      const proxyPid = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
      process.kill(proxyPid, 'SIGSTOP');
      try {
        demo.child.kill('SIGINT');
        await wait(300);
        demo.child.kill('SIGINT');
        expect(await ended(demo.child)).toBe(130);
      } finally {
        process.kill(proxyPid, 'SIGKILL');
      }
    },
  );

  it.each([[['--requests', '7']], [['--seed', 'x']], [['--twice']]])(
    'refuses %j with 64 and how to use it',
    async (args) => {
      const { child, printed } = startDemo(...args);
      expect(await ended(child)).toBe(64);
      expect(printed()).toContain('usage: npm run demo');
    },
  );
});
