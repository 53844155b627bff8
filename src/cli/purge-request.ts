import { ok, refused, type Result } from '../core/problem.ts';

export interface PurgeOptions {
  readonly key?: string;
  readonly url?: string;
  readonly route?: string;
  readonly prefix?: string;
  readonly tag?: readonly string[];
  readonly all?: boolean;
  readonly soft?: boolean;
  readonly dryRun?: boolean;
}

/** The body of `POST /api/purge`: exactly one selector; the error is a sentence. */
export function purgeBody(options: PurgeOptions): Result<object, string> {
  const [selector, ...others] = selectorsOf(options);
  if (selector === undefined || others.length > 0) {
    return refused('say what to purge by exactly one of --key, --url, --route, --prefix, --tag and --all');
  }
  const { soft = false, dryRun = false } = options;
  return ok({ ...selector, ...(soft ? { soft } : {}), ...(dryRun ? { dryRun } : {}) });
}

function selectorsOf(options: PurgeOptions): readonly object[] {
  const { tag = [], all = false } = options;
  const selectors: object[] = [];
  for (const name of ['key', 'url', 'route', 'prefix'] as const) {
    if (options[name] !== undefined) selectors.push({ [name]: options[name] });
  }
  if (tag.length > 0) selectors.push(tag.length === 1 ? { tag: tag[0] } : { tags: tag });
  if (all) selectors.push({ all });
  return selectors;
}
