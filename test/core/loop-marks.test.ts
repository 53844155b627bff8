import { describe, expect, it } from 'vitest';

import { createLoopMarks } from '../../src/core/loop-marks.ts';
import type { FieldLines } from '../../src/core/fields.ts';

const marks = createLoopMarks({ processMark: 'BBBBBBBBBBBB', routes: [{ name: 'one' }], maxHops: 1000 });

function passed(count: number): FieldLines {
  return [['cdn-loop', Array.from({ length: count }, (_none, at) => `forecache;id=AAAAAAAAAAAA.${at}`).join()]];
}

describe('Marks of other proxies', () => {
  it('go on in what every server takes, whatever maxHops says', () => {
    expect(marks.isLoop('one', { fields: passed(100) })).toBe(false);
    expect(marks.sent('one', passed(100)).length).toBeLessThan(4096);
    expect(marks.isLoop('one', { fields: passed(101) })).toBe(true);
  });
});
