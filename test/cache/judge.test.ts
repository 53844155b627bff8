import { expect, test } from 'vitest';

import { isUncovered } from '../../src/cache/judge.ts';
import type { PurgeLog } from '../../src/cache/ports.ts';
import { storedResponse } from '../support/stored-items.ts';

const position = { epoch: '0123456789abcdef', seq: 7 };
const item = { ...storedResponse({ key: 'forecast|/f', position, nowMs: 0 }), url: '/f', route: 'forecast' };

type Purgeable = Parameters<PurgeLog['isValid']>[0];

/** A log with one purge, of what that is true of. */
function logWith(covers: (of: Purgeable) => boolean): Pick<PurgeLog, 'isValid'> {
  return { isValid: (of) => !covers(of) };
}

const today = [
  ['its key', { key: 'forecast|/f2' }, 'forecast', (of: Purgeable) => of.key === 'forecast|/f2'],
  ['its URL', { url: '/f2' }, 'forecast', (of: Purgeable) => of.url === '/f2'],
  ['a tag', { tags: [...item.tags, 'new'] }, 'forecast', (of: Purgeable) => of.tags.includes('new')],
  ['its route', {}, 'forecast2', (of: Purgeable) => of.route === 'forecast2'],
] as const;

test.each(today)('a purge covers what is stored by %s of today too', (_, changed, name, covers) => {
  const ask = { keyed: { key: item.key, url: item.url, tags: item.tags, ...changed }, route: { name } };
  expect(isUncovered(logWith(covers), ask, item)).toBe(false);
  expect(
    isUncovered(
      logWith(() => false),
      ask,
      item,
    ),
  ).toBe(true);
});

test('a purge covers what is stored by what was stored with it', () => {
  const ask = { keyed: { key: item.key, url: '/f2', tags: item.tags }, route: { name: 'forecast' } };
  expect(
    isUncovered(
      logWith(({ url }) => url === '/f'),
      ask,
      item,
    ),
  ).toBe(false);
});
