import { array, assert, constantFrom, nat, oneof, property, record, string, uint8Array } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatIssue } from '../../src/config/issue.ts';
import { contractFile, readConfig } from '../support/config-text.ts';

const scraps = constantFrom(
  '',
  ' ',
  '\n',
  '\t',
  ':',
  ': ',
  '- ',
  '{',
  '}',
  '[',
  ']',
  ',',
  '"',
  "'",
  '#',
  '&a ',
  '*a',
  '!!map ',
  '|',
  '>',
  '<<: ',
  '? ',
  '---\n',
  '...\n',
  '%YAML 1.1\n',
  '${',
  '${X',
  '${X}',
  '${X:-}',
  '$${',
  '~',
  'null',
  '0',
  '-1',
  '1e999',
  'true',
  'off',
  '__proto__',
  'constructor',
  'toString',
  '\u0000',
  '\u2028',
  '\ud800',
  '\u{feff}',
  'é',
  '\\',
  '/',
  '*',
  ':name',
  '(',
  '.*)',
  '7d',
  '999999999999999999d',
  '64KiB',
  'location',
  'type: point',
  'values: []',
  'routes:',
  'x'.repeat(9000),
);

const lines = contractFile.split('\n');

/** The text with scraps put over parts of it, and lines moved. */
const mutated = array(
  record({
    at: nat(contractFile.length),
    length: oneof(nat(3), nat(400)),
    scrap: oneof(scraps, string({ maxLength: 12, unit: 'binary' }), constantFrom(...lines)),
  }),
  { minLength: 1, maxLength: 6 },
).map((edits) => {
  let text = contractFile;
  for (const { at, length, scrap } of edits) text = text.slice(0, at) + scrap + text.slice(at + length);
  return text;
});

describe('whatever the file holds', () => {
  test('it gives a configuration or issues with a place inside it, each one line, and never throws', () => {
    const outcomes = { read: 0, refused: 0 };
    assert(
      property(mutated, (text) => {
        const read = readConfig(text, { X: 'x', EVIL: 'a: b' });
        outcomes[read.ok ? 'read' : 'refused'] += 1;
        const issues = read.ok ? [] : read.error;
        expect(issues.length > 0).toBe(!read.ok);
        expect(Object.isFrozen(read.ok && read.value)).toBe(true);
        const lineCount = text.split('\n').length;
        const outside = issues.filter((issue) => issue.line < 1 || issue.line > lineCount + 1 || issue.column < 1);
        expect(outside).toEqual([]);
        for (const issue of issues) {
          expect(formatIssue(issue)).toMatch(/^\/etc\/f\.yaml:\d+:\d+: [^\n\r\u2028]+: [^\n\r\u2028]+$/);
        }
      }),
      { seed: 20_261_123, numRuns: 600 },
    );
    // Both ways must have been tried.
    expect(Math.min(outcomes.read, outcomes.refused)).toBeGreaterThan(20);
  });

  test('random bytes are refused and never throw', () => {
    assert(
      property(uint8Array({ maxLength: 300 }), (bytes) => {
        expect(readConfig(Buffer.from(bytes)).ok).toBe(false);
      }),
      { seed: 7, numRuns: 1000 },
    );
  });
});

describe('whatever a variable holds', () => {
  test('the structure of the configuration is that of the file', () => {
    const text = `upstreams: { api: { origin: "http://127.0.0.1:9" } }
routes:
  - name: one
    match: /one
    upstream: api
    ttl: 1h
    query: { a: { type: text, default: "\${VALUE}" } }
`;
    assert(
      property(string({ unit: 'binary', maxLength: 60 }), (value) => {
        const read = readConfig(text, { VALUE: value });
        const paths = read.ok ? [] : read.error.map((issue) => issue.path);
        expect(paths).toEqual(read.ok ? [] : ['routes[0].query.a.default']);
        const rules = read.ok ? [...(read.value.routes[0]?.params.values() ?? [])] : [];
        expect(rules.map((rule) => [rule.name, rule.default])).toEqual(read.ok ? [['a', value]] : []);
      }),
      { seed: 11, numRuns: 1000 },
    );
  });
});
