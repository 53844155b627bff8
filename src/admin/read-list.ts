import type { ListFilter } from '../cache/ports.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import { maxItems } from './members.ts';

/** The query of `GET /api/stored`: `route`, `tag`, `limit` (1 to 1000, 100 where not given). Empty is as good as absent. */
export function readListFilter(query: string): Result<ListFilter> {
  const given = readQuery(query);
  if (!given.ok) return given;
  const { route, tag, limit = '100' } = given.value;
  if (!/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > maxItems) {
    return refused(invalidQuery(`limit must be a whole number from 1 to ${maxItems}.`));
  }
  return ok({
    limit: Number(limit),
    ...(route === undefined ? {} : { route }),
    ...(tag === undefined ? {} : { tag }),
  });
}

function readQuery(query: string): Result<{ route?: string; tag?: string; limit?: string }> {
  const given: { route?: string; tag?: string; limit?: string } = {};
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (name !== 'route' && name !== 'tag' && name !== 'limit') {
      return refused(invalidQuery('The query can only have route, tag and limit.'));
    }
    if (seen.has(name)) return refused(invalidQuery(`${name} is given more than once.`));
    seen.add(name);
    if (value !== '') given[name] = value;
  }
  return ok(given);
}

function invalidQuery(detail: string): Problem {
  return { status: 400, code: 'query-invalid', title: 'Query is not what this call takes', detail };
}
