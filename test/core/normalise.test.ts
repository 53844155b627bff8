import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  booleanWordsIssue,
  compileParam,
  foldText,
  normaliseValues,
  type ParamOutcome,
} from '../../src/core/normalise.ts';
import type { ParamKind, ParamRule } from '../../src/core/params.ts';
import { decimal, exact, folded, integer, ruleOf } from '../support/routes.ts';

function outcome(kind: ParamKind, values: readonly string[], rule: Partial<ParamRule> = {}): ParamOutcome {
  const param = compileParam(ruleOf('p', kind, rule));
  if (!param.ok) throw new Error(param.error);
  return normaliseValues(param.value, values);
}

function normalised(kind: ParamKind, values: readonly string[], rule: Partial<ParamRule> = {}): string | undefined {
  const result = outcome(kind, values, rule);
  if ('words' in result) throw new Error(result.words);
  return result.kind === 'value' ? result.value : undefined;
}

function refusal(kind: ParamKind, values: readonly string[], rule: Partial<ParamRule> = {}): string | undefined {
  const result = outcome(kind, values, rule);
  return 'words' in result ? result.words : undefined;
}

function wordsOf(whenTrue: string, whenFalse: string, texts: readonly string[]): readonly unknown[] {
  return texts.map((text) => normalised({ type: 'boolean', words: [whenTrue, whenFalse] }, [text]));
}

function defaultOf(kind: ParamKind, text?: string): unknown {
  const param = compileParam(ruleOf('p', kind, { default: text }));
  return param.ok ? param.value.default : param.error;
}

const set: ParamKind = { type: 'set', fold: true };
const list: ParamKind = { type: 'list', fold: false };
const point: ParamKind = { type: 'point', lat: decimal(2, -90, 90), lon: decimal(2, -180, 180) };

describe('text', () => {
  test.for([
    ['  New   York ', 'new york'],
    ['NEW\u00a0\u2003YORK', 'new york'],
    ['new\t\r\nyork', 'new york'],
    ['Mu\u0308nchen', 'm\u00fcnchen'],
    ['M\u00dcNCHEN', 'm\u00fcnchen'],
    ['\u212bngstrom', '\u00e5ngstrom'],
    // Composed in lower case alone.
    ['J\u030c', '\u01f0'],
    ['   ', ''],
    ['', ''],
    ['Paris , FR', 'paris , fr'],
  ] as const)('%j folds to %j', ([text, expected]) => {
    expect(normalised(folded, [text])).toBe(expected);
  });

  test('without fold stays as it is', () => {
    expect(normalised(exact, [' A  b ', ' A  b '])).toBe(' A  b ');
    expect(normalised(exact, ['u\u0308'])).toBe('u\u0308');
  });

  test('folds the same a second time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const once = foldText(text);
        expect(foldText(once)).toBe(once);
        expect(foldText(` ${text.normalize('NFD')}\u2003`)).toBe(once);
      }),
      { seed: 5, numRuns: 20_000 },
    );
  });

  test('folds the same a second time for every character alone and with a combining dot', () => {
    const unstable: string[] = [];
    for (let code = 0; code <= 0x1_ffff; code += 1) {
      for (const text of [String.fromCodePoint(code), `${String.fromCodePoint(code)}\u0307`]) {
        const once = foldText(text);
        if (foldText(once) !== once) unstable.push(`U+${code.toString(16)}`);
      }
    }
    expect(unstable).toEqual([]);
  });

  test.for(['a\u0000b', 'a\u007f', 'a\u009b', '\u001b[31m'])('with a control character (%j) is refused', (text) => {
    expect(refusal(folded, [text])).toBe('must not hold control characters');
    expect(refusal(exact, [text])).toBe('must not hold control characters');
  });

  test('that is absent is not the same as empty', () => {
    expect(normalised(folded, [])).toBeUndefined();
    expect(normalised(folded, [''])).toBe('');
  });
});

describe('an integer', () => {
  test.for([
    ['7', '7'],
    ['+7', '7'],
    ['007', '7'],
    [' 7 ', '7'],
    ['-0', '0'],
    ['-5', '-5'],
    ['9007199254740991', '9007199254740991'],
  ] as const)('%j is %s', ([text, expected]) => {
    expect(normalised(integer, [text])).toBe(expected);
  });

  test.for(['', ' ', '7.0', '1e3', '0x7', '7a', '+', '--7', '9007199254740992', '1'.repeat(40), '٧', 'null'])(
    '%j is none',
    (text) => {
      expect(refusal(integer, [text])).toBe('must be an integer');
    },
  );

  test('is refused out of its range, never clamped', () => {
    const days: ParamKind = { type: 'integer', min: 1, max: 16 };
    expect(normalised(days, ['1'])).toBe('1');
    expect(normalised(days, ['16'])).toBe('16');
    expect(refusal(days, ['0'])).toBe('must be an integer from 1 to 16');
    expect(refusal(days, ['17'])).toBe('must be an integer from 1 to 16');
    expect(refusal({ type: 'integer', min: 0, max: undefined }, ['-1'])).toContain('at least 0');
    expect(refusal({ type: 'integer', min: undefined, max: 9 }, ['10'])).toContain('at most 9');
  });
});

describe('a decimal', () => {
  test.for([
    ['52.519', '52.52'],
    ['52.520', '52.52'],
    [' +52.52', '52.52'],
    ['5252e-2', '52.52'],
    ['-0', '0'],
    ['-0.001', '0'],
    ['90.004', '90'],
  ] as const)('of two places, %j is %s', ([text, expected]) => {
    expect(normalised(decimal(2, -90, 90), [text])).toBe(expected);
  });

  test('is checked against its range exactly, after rounding', () => {
    expect(refusal(decimal(2, -90, 90), ['90.005'])).toBe('must be a number from -90 to 90');
    expect(refusal(decimal(undefined, -90, 90), ['90.0000000000000000001'])).toBeDefined();
    expect(normalised(decimal(2, -180, 180), ['-180'])).toBe('-180');
    expect(normalised(decimal(2, -180, 180), ['180'])).toBe('180');
    expect(refusal(decimal(7, 1e-7), ['0.00000004'])).toBeDefined();
    expect(normalised(decimal(7, 1e-7), ['0.00000014'])).toBe('0.0000001');
  });

  test.for(['', 'abc', '1,5', 'NaN', 'Infinity', '1e999'])('%j is none', (text) => {
    expect(refusal(decimal(2), [text])).toBe('must be a number');
  });
});

describe('a boolean', () => {
  test('has six spellings in any case', () => {
    for (const text of ['true', '1', 'yes', 'TRUE', 'Yes', ' true ']) {
      expect(normalised({ type: 'boolean' }, [text])).toBe('true');
    }
    for (const text of ['false', '0', 'no', 'False', 'NO'])
      expect(normalised({ type: 'boolean' }, [text])).toBe('false');
    for (const text of ['', 'on', '2', 'y', 'tru']) expect(refusal({ type: 'boolean' }, [text])).toBeDefined();
  });

  test('leaves in the two words that upstream knows, which are read as well', () => {
    expect(wordsOf('yes', 'no', ['yes', 'TRUE', '1'])).toEqual(['yes', 'yes', 'yes']);
    expect(wordsOf('yes', 'no', ['no', 'false', '0'])).toEqual(['no', 'no', 'no']);
    expect(wordsOf('On', 'OFF', ['on', 'true', ' off ', 'No'])).toEqual(['On', 'On', 'OFF', 'OFF']);
    expect(refusal({ type: 'boolean', words: ['on', 'off'] }, ['y'])).toBe('must be true or false');
  });

  test.for<[readonly [string, string], string]>([
    [['no', 'yes'], 'the word for true first'],
    [['on', '1'], 'the word for true first'],
    [['False', 'off'], 'the word for true first'],
    [['Y', 'y'], 'one word for true and for false'],
    [['y ', 'n'], 'white space'],
    [['y', ' n'], 'white space'],
    [['y', ' Y'], 'one word for true and for false'],
  ])('has no words such as %j', ([words, issue]) => {
    expect(booleanWordsIssue(words)).toContain(issue);
    expect(booleanWordsIssue(['y', 'n'])).toBeUndefined();
  });
});

describe('an enum', () => {
  const values = ['metric', 'Imperial'];
  test('takes its values as they are written', () => {
    expect(normalised({ type: 'enum', values, fold: false }, ['metric'])).toBe('metric');
    expect(refusal({ type: 'enum', values, fold: false }, ['Metric'])).toBe('must be one of metric, Imperial');
    expect(refusal({ type: 'enum', values, fold: false }, [''])).toBeDefined();
  });

  test('with fold takes any case, and forwards the configured one', () => {
    expect(normalised({ type: 'enum', values, fold: true }, [' IMPERIAL '])).toBe('Imperial');
  });

  test('does not take what objects have', () => {
    for (const text of ['__proto__', 'constructor', 'toString']) {
      expect(refusal({ type: 'enum', values, fold: true }, [text])).toBeDefined();
    }
  });
});

describe('dates', () => {
  test('are written in one way', () => {
    expect(normalised({ type: 'date' }, [' 2021-1-1 '])).toBe('2021-01-01');
    expect(normalised({ type: 'datetime', floorMs: 3_600_000 }, ['2026-11-23T10:59:59 02:00'])).toBe(
      '2026-11-23T08:00:00Z',
    );
    expect(normalised({ type: 'datetime' }, [' 2026-11-23T10:59+02:00 '])).toBe('2026-11-23T08:59:00Z');
    expect(refusal({ type: 'date' }, ['2021-02-29'])).toBe('must be a date, YYYY-MM-DD');
    expect(refusal({ type: 'datetime', floorMs: undefined }, ['now'])).toBe(
      'must be a date and time, YYYY-MM-DDThh:mm, with or without a zone (Z, +02:00)',
    );
  });
});

describe('a set', () => {
  test('has no order, no repeats and no empty items', () => {
    expect(normalised(set, ['Sports, music ,,MUSIC'])).toBe('music,sports');
    expect(normalised({ type: 'set', fold: false }, ['b,a,B,a'])).toBe('B,a,b');
  });

  test('may be repeated where its rule says so', () => {
    expect(normalised(set, ['b', 'a,c', 'B'], { repeat: true })).toBe('a,b,c');
    expect(refusal(set, ['b', 'a'])).toBe('is given more than once with different values');
    expect(normalised(set, ['b,a', 'a,b'])).toBe('a,b');
  });

  test('of nothing is refused', () => {
    expect(refusal(set, [''])).toBe('must not be empty');
    expect(refusal(set, [' , ,'])).toBe('must not be empty');
  });
});

describe('a list', () => {
  test('keeps order, repeats and the place of empty items', () => {
    expect(normalised(list, [' b , a,,b'])).toBe('b,a,,b');
    expect(normalised(list, ['b', 'a'], { repeat: true })).toBe('b,a');
    expect(refusal(list, [','])).toBe('must not be empty');
  });

  test('holds a thousand items and no more', () => {
    const items = Array.from({ length: 1000 }, (_, index) => String(index));
    expect(normalised(list, [items.join(',')])).toBe(items.join(','));
    expect(refusal(list, [[...items, 'x'].join(',')])).toBe('must not hold more than 1000 items');
  });
});

describe('a point', () => {
  test('is two decimals, each by its own rule', () => {
    expect(normalised(point, ['52.519, +13.405'])).toBe('52.52,13.41');
    expect(normalised(point, ['52.519', '13.405'], { repeat: true })).toBe('52.52,13.41');
    expect(normalised(point, ['-0,180'])).toBe('0,180');
    expect(refusal(point, ['52.5'])).toContain('two numbers');
    expect(refusal(point, ['1,2,3'])).toContain('two numbers');
    expect(refusal(point, ['91,0'])).toBe('must be a number from -90 to 90 before the comma');
    expect(refusal(point, ['0,181'])).toBe('must be a number from -180 to 180 after the comma');
    expect(refusal(point, [''])).toBeDefined();
  });
});

describe('a parameter given more than once', () => {
  test('is taken where all its values mean the same', () => {
    expect(normalised(integer, ['7', '+07', ' 7'])).toBe('7');
  });

  test('is refused where they differ, or one of them is broken', () => {
    expect(refusal(integer, ['7', '8'])).toBe('is given more than once with different values');
    expect(refusal(integer, ['7', 'x'])).toBe('must be an integer');
    expect(refusal(integer, ['x', '7'])).toBe('must be an integer');
    expect(refusal(integer, ['7', '8'], { repeat: true })).toContain('more than once');
  });
});

describe('every kind', () => {
  const kinds: readonly ParamKind[] = [
    folded,
    exact,
    integer,
    decimal(3, -1000, 1000),
    { type: 'date' },
    { type: 'datetime', floorMs: 60_000 },
    { type: 'boolean' },
    { type: 'boolean', words: ['Y', 'n'] },
    { type: 'enum', values: ['a', 'B b'], fold: true },
    set,
    list,
    point,
  ];

  test('takes its own canonical values, and leaves them as they are', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double().map(String),
      fc.constantFrom('2026-1-2', '2026-01-02T03:04:05.6+07:00', 'YES', ' b  B ', '1, 2', 'x,,Y, y'),
      fc.array(fc.double({ min: -90, max: 90, noNaN: true }), { minLength: 1, maxLength: 3 }).map(String),
    );
    let accepted = 0;
    fc.assert(
      fc.property(texts, fc.constantFrom(...kinds), (text, kind) => {
        const once = outcome(kind, [text]);
        if (once.kind !== 'value') return;
        accepted += 1;
        expect(outcome(kind, [once.value])).toEqual(once);
      }),
      { seed: 6, numRuns: 20_000 },
    );
    expect(accepted).toBeGreaterThan(3000);
  });

  test('refuses in printable ASCII without the value', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 4 }), fc.constantFrom(...kinds), (text, kind) => {
        const sentence = refusal(kind, [`\u{1f4a9}${text}`]);
        if (sentence === undefined) return;
        expect(sentence).toMatch(/^[ -~]+$/);
        expect(refusal(kind, ['\u{1f4a9}'])).toBe(refusal(kind, ['\u{1f4a9}x']));
      }),
      { seed: 7, numRuns: 2000 },
    );
  });
});

describe('a default', () => {
  test('is brought into canonical form, or refused', () => {
    expect(defaultOf(decimal(1), '+7.00')).toBe('7');
    expect(defaultOf(integer)).toBeUndefined();
    expect(defaultOf({ type: 'boolean', words: ['yes', 'no'] }, 'true')).toBe('yes');
    expect(defaultOf(integer, 'x')).toBe('the default must be an integer');
  });
});
