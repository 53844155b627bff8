import { beforeAll } from 'vitest';

import { builtMain } from './program.ts';

/** Builds before the first test of the file that asks for it, of whose time a build would take most on a busy machine. */
export function buildFirst(): void {
  beforeAll(async () => {
    await builtMain();
  });
}
