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

function testsIn(folder: URL, pattern: RegExp): readonly string[] {
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'));
}

const tests = [
  ...testsIn(new URL('.', import.meta.url), /-(limits|timeout)\.test\.ts$/),
  ...testsIn(new URL('../store/redis/', import.meta.url), /\.test\.ts$/),
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

/** Paths of the options whose names say that they are limits. */
function limitsOf(node: JsonSchema, path: string): readonly string[] {
  return Object.keys(node.properties ?? {}).flatMap((name) => {
    const child = childOf(node, name) ?? {};
    const below = limitsOf(child, `${path}.${name}`);
    return /^max|Timeout$/.test(name) || path.endsWith('.timeouts') ? [`${path}.${name}`, ...below] : below;
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

  it.each(rows)('names a test of $option that exists', ({ test }) => {
    expect(test.length).toBeGreaterThan(20);
    expect(tests).toContain(test);
  });
});
