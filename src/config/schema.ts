import * as v from 'valibot';
import type { IssueList } from './issue.ts';
import { map, option, required } from './schema-base.ts';
import { purgeSchema, warmSchema } from './schema-jobs.ts';
import { routesSchema } from './schema-routes.ts';
import { adminSchema, logSchema, serverSchema, storeSchema } from './schema-server.ts';
import { upstreamsSchema } from './schema-upstreams.ts';
import { type SourceNode, toPlain } from './source.ts';

/** The whole file. The JSON Schema and the documentation are generated from it. */
export const configSchema = map({
  server: option(serverSchema, 'The listeners of agents, their limits and timeouts, start and stop.', {}),
  admin: option(adminSchema, 'The listener of operators.', {}),
  log: option(logSchema, 'Logging.', {}),
  store: option(storeSchema, 'Where answers are kept.', {}),
  upstreams: required(upstreamsSchema, 'The APIs behind the proxy, by name.'),
  routes: required(routesSchema, 'Which paths lead where, and what is kept for how long.'),
  warm: option(warmSchema, 'Answers that are fetched before they are asked for.', {}),
  purge: option(purgeSchema, 'Purges by the clock.', {}),
});

/** The file as typed and defaulted values, names not yet resolved. */
export type ConfigInput = v.InferOutput<typeof configSchema>;

/**
 * Types the file, adding an issue for everything that the schema refuses. Only the parts that
 * {@link IssueList.isClean} answers for have the types that the result claims.
 */
export function applySchema(root: SourceNode, issues: IssueList): ConfigInput | undefined {
  const parsed = v.safeParse(configSchema, toPlain(root));
  for (const issue of parsed.issues ?? []) {
    const path = (issue.path ?? []).map((item) => (typeof item.key === 'number' ? item.key : String(item.key)));
    const last = issue.path?.at(-1);
    issues.add(path, issue.message, last?.origin === 'key' ? 'key' : 'value');
  }
  const output: unknown = parsed.output;
  return isConfigShaped(output) ? output : undefined;
}

/** A refused part keeps its place in Valibot's output; a root that is no map has none at all. */
function isConfigShaped(output: unknown): output is ConfigInput {
  return typeof output === 'object' && output !== null && 'routes' in output;
}
