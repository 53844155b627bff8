import { defineConfig } from 'vitest/config';

import { LongestFirst } from './longest-first.ts';

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    // Two cores: more files at once only make real sockets and child processes slow.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // A busy machine takes its time; the default is one second.
    expect: { poll: { timeout: 15_000 } },
    // A test file that needs Redis, nginx or promtool asks test/support for it.
    reporters: ['default'],
  },
});
