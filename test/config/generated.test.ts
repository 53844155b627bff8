import { Ajv } from 'ajv';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { buildJsonSchema, docsFile, docsText, schemaFile, schemaText } from '../../src/config/generate.ts';
import { type JsonSchema, asSchema, markedPaths } from '../../src/config/render-docs.ts';
import { paramTypes } from '../../src/config/schema-params.ts';
import { contractFile } from '../support/config-text.ts';

const schema = buildJsonSchema();

/** Every option of the schema with its path. */
function options(node: JsonSchema, path: string): readonly (readonly [string, JsonSchema])[] {
  const own = Object.entries(node.properties ?? {}).map(
    ([name, value]) => [`${path}.${name}`, asSchema(value) ?? {}] as const,
  );
  const below = own.flatMap(([name, option]) => options(option, name));
  const others = [node.items, node.additionalProperties, ...(node.anyOf ?? []), ...(node.oneOf ?? [])];
  const further = others.map(asSchema).filter((other) => other !== undefined);
  return [...own, ...below, ...further.flatMap((other) => options(other, `${path}.*`))];
}

// The committed file, as an editor gets it.
const published: Record<string, unknown> = JSON.parse(readFileSync(schemaFile, 'utf8'));
const validate = new Ajv({ allErrors: true, strict: false }).compile(published);

/** What an editor would underline: the place and the keyword of the schema that it breaks. */
function faultsOf(value: unknown): readonly string[] {
  return validate(value) ? [] : (validate.errors ?? []).map((fault) => `${fault.instancePath} ${fault.keyword}`);
}

describe('what is generated', () => {
  test('the committed JSON Schema is up to date (node src/config/generate.ts)', () => {
    expect(readFileSync(schemaFile, 'utf8')).toBe(schemaText());
  });

  test('the committed documentation is up to date (node src/config/generate.ts)', () => {
    const current = readFileSync(docsFile, 'utf8');
    expect(docsText(current)).toBe(current);
    expect(current).not.toContain('No such option');
  });
});

describe('the JSON Schema', () => {
  test('describes every option, in sentences', () => {
    const all = options(schema, '');
    expect(all.length).toBeGreaterThan(150);
    for (const [path, option] of all) expect(`${path}: ${option.description ?? ''}`).toMatch(/: .{5,}[.)]$/);
  });

  test('knows no option beside those that it names', () => {
    const open = options(schema, '').filter(([, option]) => option.properties && option.additionalProperties !== false);
    expect(open.map(([path]) => path)).toEqual([]);
    expect(schema.additionalProperties).toBe(false);
  });

  test('offers the types of parameters that the reader has', () => {
    const rules = options(schema, '').find(([path]) => path === '.routes.*.query')?.[1];
    const kinds = asSchema(rules?.additionalProperties)?.oneOf ?? [];
    expect(kinds.map((kind) => asSchema(asSchema(kind)?.properties?.['type'])?.const)).toEqual(paramTypes);
  });

  test.each([
    ['the file of the contract', contractFile],
    ['config/forecache.yaml', readFileSync(new URL('../../config/forecache.yaml', import.meta.url), 'utf8')],
    ['config/honour.yaml', readFileSync(new URL('../../config/honour.yaml', import.meta.url), 'utf8')],
    ['config/demo.yaml', readFileSync(new URL('../../config/demo.yaml', import.meta.url), 'utf8')],
  ])('accepts %s as it is written', (_name, text) => {
    expect(faultsOf(parse(text))).toEqual([]);
  });

  test.each([
    ['an unknown option', 'servr: {}', [' additionalProperties']],
    ['a duration without a unit', 'server: { grace: 30 }', ['/server/grace maximum']],
    ['a duration of nonsense', 'server: { grace: soon }', ['/server/grace pattern']],
    ['a word that is none', 'log: { level: loud }', ['/log/level enum', '/log/level pattern', '/log/level anyOf']],
    ['a word from a variable', 'log: { level: "${LEVEL}" }', []],
    ['sections without contents', 'warm:\nserver: { listeners: , limits: }\npurge: { schedule: }', []],
    ['a number from a variable', 'warm: { concurrency: "${N:-4}" }', []],
    ['a number past its limit', 'warm: { concurrency: 1001 }', ['/warm/concurrency maximum']],
  ])('judges %s', (_name, more, faults) => {
    const file = `upstreams: { a: { origin: "http://x" } }\nroutes: [{ name: a, match: /a, upstream: a }]\n${more}\n`;
    expect(faultsOf(parse(file))).toEqual(faults);
  });

  test.each([
    ['a word', 'on', true],
    ['a boolean', 'false', true],
    ['a variable', '"${CACHE:-on}"', true],
    ['anything else', 'never', false],
  ])('takes %s for the option cache', (_name, cache, isTaken) => {
    const file = `upstreams: { a: { origin: "http://x" } }\nroutes: [{ name: a, match: /a, upstream: a, cache: ${cache} }]\n`;
    expect(faultsOf(parse(file)).length === 0).toBe(isTaken);
  });
});

describe('the documentation', () => {
  test('has a table for every section of the file and every map that repeats', () => {
    const paths = markedPaths(readFileSync(docsFile, 'utf8'));
    expect(paths).toEqual([
      'server',
      'server.listeners.*',
      'admin',
      'log',
      'store',
      'upstreams.*',
      'routes.[]',
      'routes.[].query.*',
      'warm',
      'warm.jobs.[]',
      'purge',
      'purge.schedule.[]',
    ]);
    const sections = Object.keys(schema.properties ?? {});
    expect(new Set(paths.map((path) => path.split('.')[0]))).toEqual(new Set(sections));
  });
});

describe('the shipped files', () => {
  test.each(['forecache.yaml', 'demo.yaml'])('%s tells editors where the schema is', (name) => {
    const text = readFileSync(new URL(`../../config/${name}`, import.meta.url), 'utf8');
    expect(text.startsWith('# yaml-language-server: $schema=./forecache.schema.json\n')).toBe(true);
  });
});
