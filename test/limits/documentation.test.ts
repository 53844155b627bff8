import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { buildJsonSchema } from '../../src/config/generate.ts';
import { asSchema, type JsonSchema } from '../../src/config/render-docs.ts';

interface Row {
  readonly option: string;
  readonly fallback: string;
  readonly test: string;
}

const text = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8');

const rows: readonly Row[] = text.split('\n').flatMap((line) => {
  const found = /^\| `([\w.]+)` \| `(\w+)` \| .+ \| ([^|]+) \|$/.exec(line);
  return found === null ? [] : [{ option: found[1] ?? '', fallback: found[2] ?? '', test: found[3] ?? '' }];
});

/** Of the tables of what has no option: what each row names as its test. */
const fixed = text.split('\n\n').flatMap((block) => {
  const lines = block.trim().split('\n');
  if (!/^\| of the .+ \| fixed \|/.test(lines[0] ?? '')) return [];
  return lines.slice(2).map((line) => / \| ([^|]+) \|$/.exec(line)?.[1] ?? '');
});

function testsIn(folder: URL, pattern: RegExp): readonly string[] {
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'));
}

const tests = [
  ...testsIn(new URL('.', import.meta.url), /-(limits|timeout)\.test\.ts$/),
  ...['cache', 'core', 'server', 'store/redis', 'store/coherence', 'metrics', 'workers'].flatMap((folder) =>
    testsIn(new URL(`../${folder}/`, import.meta.url), /\.test\.ts$/),
  ),
].join('\n');

/** The schema below another: a property, a list's item (`[]`) or the value of any name (`*`). */
function childOf(node: JsonSchema, step: string): JsonSchema | undefined {
  if (step === '[]') return asSchema(node.items);
  return asSchema(step === '*' ? node.additionalProperties : node.properties?.[step]);
}

/** The schema of an option; those of routes and upstreams are said without the name that they have in a file. */
function optionOf(path: string): JsonSchema | undefined {
  const [first = '', ...rest] = path.split('.');
  const steps = first === 'upstreams' ? ['*'] : first === 'routes' ? ['[]'] : [];
  return [first, ...steps, ...rest].reduce<JsonSchema | undefined>(
    (node, step) => node && childOf(node, step),
    buildJsonSchema(),
  );
}

/** By its name, and of the shared tier whatever is a time: each says when something is given up, or done all the same. */
function isLimit(name: string, path: string, schema: JsonSchema): boolean {
  // After it an agent is given something else, and nothing ends.
  if (name === 'softTimeout') return false;
  if (/^max|Timeout$/.test(name) || path.endsWith('.timeouts')) return true;
  const type = schema['x-type'];
  const isTime = typeof type === 'string' && type.startsWith('duration');
  return /^store\.redis\b/.test(path) && (isTime || name === 'failures');
}

/** Paths of the options that are limits. */
function limitsOf(node: JsonSchema, path: string): readonly string[] {
  return Object.keys(node.properties ?? {}).flatMap((name) => {
    const child = childOf(node, name) ?? {};
    const below = limitsOf(child, `${path}.${name}`);
    return isLimit(name, path, child) ? [`${path}.${name}`, ...below] : below;
  });
}

describe('docs/limits.md', () => {
  it('has a row for each option that is a limit', () => {
    const schema = buildJsonSchema();
    const part = (name: string, step?: string): readonly string[] => {
      const node = childOf(schema, name) ?? {};
      return limitsOf(step === undefined ? node : (childOf(node, step) ?? {}), name);
    };
    const all = [
      ...part('server'),
      ...part('admin'),
      ...part('store'),
      ...part('upstreams', '*'),
      ...part('routes', '[]'),
    ];
    expect(rows.map((row) => row.option).toSorted()).toEqual(all.toSorted());
  });

  it.each(rows)('says the default of $option as the schema does', ({ option, fallback }) => {
    const schema = optionOf(option);
    // Some take theirs from another option, of which their description tells.
    expect([schema?.default, /Default: `(\w+)`/.exec(schema?.description ?? '')?.[1]]).toContain(fallback);
  });

  it('names tests that exist of what has no option', () => {
    expect(fixed.length).toBeGreaterThan(10);
    expect(fixed.filter((test) => test.length <= 20 || !tests.includes(test))).toEqual([]);
  });

  it.each(rows)('names a test of $option that exists', ({ test }) => {
    expect(test.length).toBeGreaterThan(20);
    expect(tests).toContain(test);
  });
});
