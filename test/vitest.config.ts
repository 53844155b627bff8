import { defineConfig } from 'vitest/config';

import { longest, LongestFirst } from './longest-first.ts';

const files = (names: readonly string[]): string[] => names.map((name) => `test/${name}.test.ts`);

/**
 * The files of these run one after another in the same process. A process of its own costs a file half a second of a core and
 * more, for which they have no use: they leave nothing behind in the modules that they load.
 */
const shared = 'admin|cache|cli|config|core|hostile|http-caching|limits|log|metrics|server|store|upstream';

/** But not these: those which start early, and those which look at something of the whole process. */
const alone = [
  ...longest,
  // They measure memory.
  'cache/learned-bytes',
  'hostile/exhaustion',
  'server/fast-lane-facts',
  'store/purge-table',
  'store/redis/codec',
  'upstream/decode',
  // They hear, or take away, what nobody has caught in the whole process.
  'server/bugs',
  'server/fast-lane-reads',
  'store/coherence/log-follower',
  'store/redis/client-guard',
  'store/redis/client-keeper',
];

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    // Two cores: more files at once only make real sockets and child processes slow.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // A busy machine takes its time; the default is one second.
    expect: { poll: { timeout: 15_000 } },
    // A test file that needs Redis, nginx or promtool asks test/support for it.
    reporters: ['default'],
    projects: [
      { extends: true, test: { name: 'alone', include: files(['*', `!(${shared})/**/*`, ...alone]) } },
      {
        extends: true,
        test: { name: 'shared', include: files([`@(${shared})/**/*`]), exclude: files(alone), isolate: false },
      },
    ],
  },
});
