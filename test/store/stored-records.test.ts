import { expect, it } from 'vitest';

import { serialAfter } from '../../src/store/stored-records.ts';

it('a serial follows another, and none is that of a free row', () => {
  expect(serialAfter(0)).toBe(1);
  expect(serialAfter(2 ** 32 - 2)).toBe(2 ** 32 - 1);
  expect(serialAfter(2 ** 32 - 1)).toBe(1);
});
