import type { PurgeCommand } from '../cache/operations.ts';
import type { PurgeSelector } from '../core/config.ts';
import { ok, refused, type Result } from '../core/problem.ts';
import { flag, isText, notText, notTextList, textList, unknownMember } from './members.ts';
import { invalidBody, type JsonObject } from './read-body.ts';

const selectors = ['key', 'url', 'route', 'tag', 'tags', 'prefix', 'all'] as const;

/** The body of `POST /api/purge`: exactly one selector, `soft` and `dryRun`, nothing else. */
export function readPurge(body: JsonObject): Result<Omit<PurgeCommand, 'source'>> {
  const unknown = unknownMember(body, [...selectors, 'soft', 'dryRun']);
  if (unknown !== undefined) return refused(unknown);
  const soft = flag(body, 'soft');
  if (!soft.ok) return soft;
  const dryRun = flag(body, 'dryRun');
  if (!dryRun.ok) return dryRun;
  const [by, ...more] = selectors.filter((name) => body[name] !== undefined);
  if (by === undefined || more.length > 0) {
    return refused(invalidBody(`The content must have exactly one of ${selectors.join(', ')}.`));
  }
  const selector = readSelector(by, body[by]);
  return selector.ok ? ok({ selector: selector.value, soft: soft.value, dryRun: dryRun.value }) : selector;
}

function readSelector(by: (typeof selectors)[number], value: unknown): Result<PurgeSelector> {
  if (by === 'all') return value === true ? ok({ by }) : refused(invalidBody('all can only be true.', by));
  if (by === 'tags') {
    const tags = textList(value);
    return tags === undefined ? refused(notTextList(by)) : ok({ by, tags });
  }
  return isText(value) ? textSelector(by, value) : refused(notText(by));
}

function textSelector(by: Exclude<(typeof selectors)[number], 'all' | 'tags'>, text: string): Result<PurgeSelector> {
  switch (by) {
    case 'tag':
      return ok({ by: 'tags', tags: [text] });
    case 'key':
      return ok({ by, key: text });
    case 'route':
      return ok({ by, route: text });
    case 'url':
      return ok({ by, url: text });
    case 'prefix':
      return text.startsWith('/') ? ok({ by, prefix: text }) : refused(invalidBody('prefix must begin with /.', by));
  }
}
