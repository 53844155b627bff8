import { describe, expect, test } from 'vitest';

import { compileQueryIssue, createBodyCheck } from '../../src/upstream/body-check.ts';

const check = createBodyCheck();

function fails(body: string | Buffer, rule: { json?: boolean; exists?: string[]; absent?: string[] }) {
  const { json = false, exists = [], absent = [] } = rule;
  return check.fails({ json, exists, absent }, Buffer.from(body));
}

describe('a body', () => {
  test.each([
    ['{"a":1}', undefined],
    ['null', undefined],
    ['\n{warn=Not found}\n', 'not-json'],
    ['', 'not-json'],
    ['{"a":1', 'not-json'],
    ['{"hourly":[1,2Unexpected error while streaming data: x', 'not-json'],
  ])('%j parses as JSON or fails: %s', (body, expected) => {
    expect(fails(body, { json: true })).toBe(expected);
  });

  test('that is not UTF-8 is not JSON', () => {
    expect(fails(Buffer.from([0x22, 0xff, 0x22]), { json: true })).toBe('not-json');
  });

  test('must have what exists asks for and must not have what absent names', () => {
    const rule = { exists: ['$.results[0]'], absent: ['$.error'] };
    expect(fails('{"results":[1]}', rule)).toBeUndefined();
    expect(fails('{"generationtime_ms":0.4}', rule)).toBe('path-missing');
    expect(fails('{"results":[1],"error":null}', rule)).toBe('path-present');
    expect(fails('plain', rule)).toBe('not-json');
  });

  test('may be told from an error by filters over types that vary', () => {
    const absent = ['$[?@ != 200 && @ != "200" && @ == $.cod]'];
    expect(fails('{"cod":200,"main":{}}', { absent })).toBeUndefined();
    expect(fails('{"cod":"200","list":[]}', { absent })).toBeUndefined();
    expect(fails('{"cod":"404","message":"city not found"}', { absent })).toBe('path-present');
    expect(fails('{"cod":401}', { absent })).toBe('path-present');
  });

  test('passes a rule that asks nothing, JSON or not', () => {
    expect(fails('plain', {})).toBeUndefined();
  });

  test('nested deeper than can be searched is not stored, whichever way the rule asks', () => {
    const deep = `${'['.repeat(3000)}${']'.repeat(3000)}`;
    expect(fails(deep, { exists: ['$..x'] })).toBe('path-missing');
    expect(fails(deep, { absent: ['$..x'] })).toBe('path-present');
  });

  test('fails a query that does not compile instead of throwing', () => {
    expect(fails('{}', { exists: ['$['] })).toBe('path-missing');
    expect(fails('{}', { absent: ['$['] })).toBe('path-present');
  });
});

test('a query is checked with its reason when the configuration is read', () => {
  expect(compileQueryIssue('$.a[?@.b > 1]')).toBeUndefined();
  expect(compileQueryIssue('$.a[')).toMatch(/^not a JSONPath query \(RFC 9535\): ./);
  expect(compileQueryIssue('results')).toMatch(/RFC 9535/);
});
