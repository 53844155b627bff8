import { afterEach, describe, expect, it } from 'vitest';
import { endpointsOf } from '../../src/admin/endpoints.ts';
import { openApiDocument } from '../../src/admin/openapi.ts';
import { ok, refused } from '../../src/core/problem.ts';
import { ask, completePurge, post, startAdmin, stopAdmins } from '../support/admin.ts';

afterEach(stopAdmins);

type Json = Readonly<Record<string, unknown>>;

function object(value: unknown): Json {
  return Object(value);
}

const document: Json = openApiDocument('1.2.3');
const methods = new Set(['get', 'post', 'put', 'delete', 'patch', 'head', 'options', 'trace']);

/** `GET /path` for each operation, with what the document says of it. */
function operations(): readonly (readonly [string, Json])[] {
  return Object.entries(object(document['paths'])).flatMap(([path, item]) =>
    Object.entries(object(item))
      .filter(([name]) => methods.has(name))
      .map(([method, operation]) => [`${method.toUpperCase()} ${path}`, object(operation)] as const),
  );
}

/** Every `$ref` below a value. */
function refs(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) =>
    name === '$ref' && typeof child === 'string' ? [child] : refs(child),
  );
}

function resolved(pointer: string): unknown {
  return pointer
    .slice(2)
    .split('/')
    .reduce<unknown>((value, name) => object(value)[name], document);
}

/** Members that the schema of an answer asks for and the answer lacks, or has without its knowledge. */
function mismatches(schemaName: string, value: Json): readonly string[] {
  const schema = object(resolved(`#/components/schemas/${schemaName}`));
  const known = Object.keys(object(schema['properties']));
  const required = Array.isArray(schema['required']) ? schema['required'].map(String) : [];
  return [
    ...required.filter((name) => !(name in value)).map((name) => `lacks ${name}`),
    ...Object.keys(value)
      .filter((name) => !known.includes(name))
      .map((name) => `does not know ${name}`),
  ];
}

const parts = {
  services: Object.create(null),
  clock: { nowMs: () => 0 },
  version: '1',
  body: { maxBodyBytes: 1, onTooLarge: () => {} },
};

describe('the OpenAPI document', () => {
  it('describes exactly the calls that there are', () => {
    const endpoints = endpointsOf(parts);
    const there = endpoints.map(({ method, path }) => `${method} ${path}`).toSorted();
    expect(
      operations()
        .map(([name]) => name)
        .toSorted(),
    ).toEqual(there);
    expect(Object.keys(object(object(object(document['paths'])['/{path}'])['x-additionalOperations']))).toEqual([
      'PURGE',
    ]);
  });

  it('says which calls need no token', () => {
    const endpoints = endpointsOf(parts);
    const open = endpoints.filter(({ access }) => access === 'anyone').map(({ method, path }) => `${method} ${path}`);
    const described = operations().filter(([, operation]) => JSON.stringify(operation['security']) === '[]');
    expect(described.map(([name]) => name).toSorted()).toEqual(open.toSorted());
  });

  it('gives every operation a name of its own, a summary and answers', () => {
    const names = operations().map(([, operation]) => operation['operationId']);
    expect(new Set(names).size).toBe(names.length);
    for (const [, operation] of operations()) {
      expect(operation['summary']).toMatch(/\.$/);
      expect(Object.keys(object(operation['responses']))).toContain('200');
    }
  });

  it('refers only to what it holds, and holds nothing that it does not refer to', () => {
    const used = new Set(refs(document));
    expect([...used].filter((ref) => resolved(ref) === undefined)).toEqual([]);
    const schemas = Object.keys(object(resolved('#/components/schemas'))).map((name) => `#/components/schemas/${name}`);
    expect(schemas.filter((name) => !used.has(name))).toEqual([]);
  });

  it('matches what the calls answer', async () => {
    const { port } = await startAdmin();
    const stored = await ask(port, '/api/stored');
    const report = await ask(port, '/api/metrics/cache');
    const list = stored.json['stored'];
    const answers: readonly (readonly [string, Json])[] = [
      ['PurgeAnswer', (await post(port, '/api/purge', { all: true })).json],
      ['WarmReport', (await post(port, '/api/warm', { locations: ['a'] })).json],
      ['Explanation', (await post(port, '/api/explain', { url: '/a' })).json],
      ['StoredList', stored.json],
      ['Stored', object(Array.isArray(list) ? list[0] : undefined)],
      ['CacheReport', report.json],
      ['CacheReset', (await post(port, '/api/metrics/cache/reset', {})).json],
      ['CacheNumbers', object(object(report.json['routes'])['weather'])],
      ['Health', (await ask(port, '/healthz')).json],
      ['Readiness', (await ask(port, '/readyz')).json],
      ['Problem', (await ask(port, '/nothing')).json],
    ];
    for (const [name, answer] of answers) expect([name, mismatches(name, answer)]).toEqual([name, []]);
  });

  it('matches a purge that is not complete and one that is refused', async () => {
    const pending = { ...completePurge, complete: false, missing: ['b'], completeBy: '2026-11-23T12:05:00.000Z' };
    const incomplete = await startAdmin({ services: { purge: async () => ok(pending) } });
    const problem = { status: 503, code: 'purge-unsure', title: 'Unsure', detail: 'Repeat it.', retryAfter: 2 };
    const impossible = await startAdmin({ services: { purge: async () => refused(problem) } });
    const answers = [
      ['PurgeAnswer', (await post(incomplete.port, '/api/purge', { all: true })).json],
      ['Problem', (await post(impossible.port, '/api/purge', { all: true })).json],
    ] as const;
    for (const [name, answer] of answers) expect([name, mismatches(name, answer)]).toEqual([name, []]);
  });

  it('is served as it is', async () => {
    const { port } = await startAdmin();
    expect((await ask(port, '/openapi.json')).json).toEqual(JSON.parse(JSON.stringify(document)));
  });
});
