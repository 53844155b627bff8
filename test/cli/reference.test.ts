import { describe, expect, test } from 'vitest';

import { cliReference } from '../support/cli-reference.ts';

describe('docs/cli.md', () => {
  test('is the program’s own help, every command and option of it', async () => {
    await expect(await cliReference()).toMatchFileSnapshot('../../docs/cli.md');
  });
});
