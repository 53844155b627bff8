import { describe, expect, test } from 'vitest';
import { issuesOf } from '../support/config-text.ts';

const valid = `upstreams: { api: { origin: "http://127.0.0.1:9" } }
routes:
  - { name: one, match: /one, upstream: api, ttl: 1h }
`;

/** A chain in which each line holds the one before ten times. */
function bomb(lines: number): string {
  const chain = ['a0: &a0 [x, x]'];
  for (let level = 1; level < lines; level += 1) {
    chain.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`);
  }
  return `${chain.join('\n')}\n`;
}

/** Hostile text is refused in the time of honest text: of this thread, whatever else the machine is busy with. */
function quicklyRefused(text: string | Buffer): readonly string[] {
  const before = process.threadCpuUsage();
  const issues = issuesOf(text);
  const { user, system } = process.threadCpuUsage(before);
  expect((user + system) / 1000).toBeLessThan(5000);
  expect(issues.length).toBeGreaterThan(0);
  return issues;
}

// What counts is the time of the processor; a busy machine may take many times as long.
describe('a file that would exhaust its reader', { timeout: 60_000 }, () => {
  test('by a billion laughs is refused where the limit is passed', () => {
    const issues = quicklyRefused(bomb(12));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatch(/^\d+:\d+: \S+: the file has more than 50000 values once its aliases are followed$/);
  });

  test('by an alias inside its own anchor is refused', () => {
    expect(quicklyRefused('a: &a [*a]\n')).toContain('1:8: a[0]: the alias *a contains itself');
    expect(quicklyRefused('a: &a { b: { c: *a } }\n')).toContain('1:17: a.b.c: the alias *a contains itself');
  });

  test('by a hundred thousand keys is refused in time', () => {
    const keys = Array.from({ length: 80_000 }, (_, index) => `k${index}:`).join('\n');
    expect(quicklyRefused(keys).length).toBeLessThanOrEqual(500);
  });

  test('by unknown options is refused with at most 500 issues', () => {
    const fewer = Array.from({ length: 20_000 }, (_, index) => `k${index}:`).join('\n');
    expect(quicklyRefused(fewer)).toHaveLength(500);
  });

  test('by a hundred thousand aliases is refused in time', () => {
    const aliases = `a: &a x\nb:\n${'- *a\n'.repeat(100_000)}`;
    expect(quicklyRefused(aliases)).toHaveLength(1);
  });

  test('by a key that is given a hundred thousand times is refused in time, with at most 500 issues', () => {
    const same = 'k:\n'.repeat(100_000);
    expect(quicklyRefused(same).length).toBeLessThanOrEqual(500);
  });

  test.each([
    ['lists', '['.repeat(100_000)],
    ['closed lists', `a: ${'['.repeat(100)}${']'.repeat(100)}`],
    ['maps', `a: ${'{a: '.repeat(2000)}`],
    ['block lists', `a:\n  ${'- '.repeat(5000)}`],
    ['one long line', `a: ${'x'.repeat(1_000_000)}`],
    ['variables', `a: "${'${'.repeat(400_000)}"`],
    ['colons', ':'.repeat(100_000)],
    ['tags and anchors', `a: ${'&a !x '.repeat(50_000)}`],
  ])('by deep or long %s is refused', (_name, text) => {
    expect(quicklyRefused(text).length).toBeLessThanOrEqual(500);
  });

  test('by more than a mebibyte is refused unread', () => {
    expect(quicklyRefused(Buffer.alloc(2 ** 20 + 1, ' '))).toEqual([
      '1:1: (file): is larger than 1MiB, the most a configuration file may have',
    ]);
  });
});

describe('a file that is not plain YAML of UTF-8', () => {
  test.each<readonly [string, string | Buffer, readonly string[]]>([
    [
      'invalid bytes',
      Buffer.from([0x61, 0x3a, 0x20, 0xc3, 0xa9, 0x0a, 0x62, 0xff]),
      ['2:2: (file): is not UTF-8 here'],
    ],
    [
      'bytes after a letter of two',
      Buffer.from([0xc3, 0xa9, 0xef, 0xbf, 0xbd, 0xfe]),
      ['1:3: (file): is not UTF-8 here'],
    ],
    ['UTF-16', Buffer.from('\u{feff}a: b', 'utf16le'), ['1:1: (file): is UTF-16; it must be UTF-8']],
    ['one odd byte', Buffer.from([0xff]), ['1:1: (file): is not UTF-8 here']],
    [
      'a second document',
      `${valid}---\n{}\n`,
      ['4:1: (file): a second YAML document begins here; a configuration file has one'],
    ],
    [
      'a merge key',
      `x: &x {}\n<<: *x\n${valid}`,
      [
        '1:1: x: unknown key; valid: server, admin, log, store, upstreams, routes, warm, purge',
        '2:1: (file): merge keys (<<) are not supported; an alias may stand for a whole value',
      ],
    ],
    [
      'a merge key for what is needed, which is not told of as left out',
      valid.replace('name: one', '<<: *r').replace('routes:', 'log: &r {}\nroutes:'),
      ['4:7: routes[0]: merge keys (<<) are not supported; an alias may stand for a whole value'],
    ],
    [
      'a variable for a key that is needed',
      valid.replace('name: one', '"${NAME}": one'),
      ['3:7: routes[0]: variables are put into values, not into keys'],
    ],
    ['a repeated key', `${valid}log: {}\nlog: {}\n`, ['5:1: log: is given twice; the first is at line 4']],
    [
      'a tag',
      valid.replace('one, match', '!!str one, match'),
      ['3:19: routes[0].name: the tag "tag:yaml.org,2002:str" is not supported; remove it'],
    ],
    ['a directive', `%YAML 1.1\n---\n${valid}`, ['1:1: (file): % directives are not supported; remove them']],
    [
      'a tag directive',
      `%TAG !e! tag:x,2000:\n---\n${valid}`,
      ['1:1: (file): % directives are not supported; remove them'],
    ],
    [
      'an anchor given twice',
      `log: &a {}\nwarm: &a {}\n${valid}`,
      ['2:10: warm: an anchor of this name stands above already (text that begins with & needs quotes)'],
    ],
    [
      'an alias of nothing',
      `log: *nowhere\n${valid}`,
      ['1:6: log: no anchor of this name stands before this alias (text that begins with * needs quotes)'],
    ],
    ['a key that is a list', `? [a]\n: b\n${valid}`, ['1:3: (file): a key must be plain text']],
    [
      'a reserved key',
      `__proto__: { log: {} }\nconstructor: {}\n${valid}`,
      ['1:1: (file): the key __proto__ is reserved', '2:1: (file): the key constructor is reserved'],
    ],
    [
      'a control character',
      valid.replace('name: one', 'name: "o\\x00e"'),
      ['3:13: routes[0].name: the value holds a control character (U+0000)'],
    ],
    [
      'a control character in a key',
      `"a\\nb": 1\n${valid}`,
      ['1:1: (file): the key "a\\nb" holds a control character (U+000A)'],
    ],
    [
      'a line separator',
      valid.replace('name: one', 'name: "o\\Le"'),
      ['3:13: routes[0].name: the value holds a control character (U+2028)'],
    ],
    [
      'half a surrogate pair',
      valid.replace('name: one', 'name: "o\\ud800e"'),
      ['3:13: routes[0].name: the value holds half a surrogate pair'],
    ],
    [
      'a tab for indentation',
      'server:\n\tlisten: x\n',
      ['2:1: (file): is not valid YAML: Tabs are not allowed as indentation'],
    ],
  ])('with %s is refused', (_name, text, issues) => {
    expect(issuesOf(text)).toEqual(issues);
  });
});
