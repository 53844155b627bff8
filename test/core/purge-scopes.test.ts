import { describe, expect, test } from 'vitest';
import { ok, refused, type Problem } from '../../src/core/problem.ts';
import { scopesOfSelector } from '../../src/core/purge-scopes.ts';
import { scopesOf } from '../../src/core/stored-response.ts';

const problem: Problem = { status: 400, code: 'target-invalid', title: 't', detail: 'd' };
const unused = () => expect.fail('only a URL is resolved');

describe('the scopes of a selector', () => {
  const item = { key: 'r|/a', route: 'r', url: '/a?b=1', tags: ['route:r', 'location:lima'] };

  test('are among those of what it covers', () => {
    const scopes = scopesOf(item);
    for (const selector of [
      { by: 'all' },
      { by: 'route', route: 'r' },
      { by: 'key', key: 'r|/a' },
      { by: 'tags', tags: ['location:lima'] },
    ] as const) {
      const result = scopesOfSelector(selector, unused);
      expect(result.ok && result.value.every((scope) => scopes.includes(scope))).toBe(true);
    }
    expect(scopesOfSelector({ by: 'url', url: '/a?b=01' }, () => ok([`u:${item.url}`]))).toEqual(ok(['u:/a?b=1']));
    expect(scopes).toContain('u:/a?b=1');
  });

  test('of several tags are those of any, each once', () => {
    expect(scopesOfSelector({ by: 'tags', tags: ['a', 'b', 'a'] }, unused)).toEqual(ok(['t:a', 't:b']));
    expect(scopesOfSelector({ by: 'tags', tags: ['location:lima'] }, unused)).toEqual(ok(['t:location:lima']));
  });

  test.for([
    ['sale items', ['t:sale items', 't:sale%20items']],
    ['sale%20items', ['t:sale%20items']],
    ['späte', ['t:späte', 't:sp%C3%A4te']],
    ['100%', ['t:100%']],
    ['group:https://a:1 2%', ['t:group:https://a:1 2%', 't:group:https://a:1%202%', 't:group:https://a:1%202%25']],
  ] as const)('of a tag are it as it is written, and as upstream’s are stored: %j', ([tag, scopes]) => {
    expect(scopesOfSelector({ by: 'tags', tags: [tag] }, unused)).toEqual(ok(scopes));
  });

  test('of a prefix are the prefix', () => {
    expect(scopesOfSelector({ by: 'prefix', prefix: '/weather/' }, unused)).toEqual(ok(['p:/weather/']));
    expect(scopesOfSelector({ by: 'prefix', prefix: '//api.example/' }, unused)).toEqual(ok(['p://api.example/']));
  });

  test.for([
    { by: 'prefix', prefix: '' },
    { by: 'prefix', prefix: 'weather' },
    { by: 'tags', tags: [] },
    { by: 'tags', tags: ['a', ''] },
    { by: 'key', key: '' },
    { by: 'route', route: '' },
  ] as const)('are refused for %j', (selector) => {
    expect(scopesOfSelector(selector, unused)).toMatchObject({
      ok: false,
      error: { status: 400, code: 'selector-invalid' },
    });
  });

  test('of a URL that cannot be resolved are the problem of that', () => {
    expect(scopesOfSelector({ by: 'url', url: '/a' }, () => refused(problem))).toEqual(refused(problem));
    expect(scopesOfSelector({ by: 'url', url: '/a' }, () => ok([]))).toMatchObject({ ok: false });
  });
});
