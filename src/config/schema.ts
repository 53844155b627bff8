import * as v from 'valibot';
import type { IssueList } from './issue.ts';
import { brokenIn, refuseAt } from './refused.ts';
import { map, option, required } from './schema-base.ts';
import { purgeSchema, warmSchema } from './schema-jobs.ts';
import { routesSchema } from './schema-routes.ts';
import { adminSchema, logSchema, serverSchema, storeSchema } from './schema-server.ts';
import { upstreamsSchema } from './schema-upstreams.ts';
import { nodeAt, type Path, type SourceNode, toPlain } from './source.ts';

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
 * Types the file, adding an issue for everything that the schema refuses. What it refused, and what was reported before,
 * cannot be read in the result: see {@link unlessRefused}. `undefined` where the file is no map.
 */
export function applySchema(root: SourceNode, issues: IssueList): ConfigInput | undefined {
  const parsed = v.safeParse(configSchema, toPlain(root));
  const output: unknown = parsed.output;
  for (const issue of parsed.issues ?? []) {
    const path = pathOf(issue);
    const wants = issue.path?.at(-1)?.origin === 'key' ? 'key' : 'value';
    issues.add(path, issue.message, wants);
    // A key that is refused says nothing of its value; one that is missing has none.
    if (wants === 'value' || !hasValueAt(output, path)) refuseAt(output, refusedBy(issue));
  }
  for (const path of [...brokenIn(root), ...misspelt(root, parsed.issues ?? [])]) refuseAt(output, path);
  return isConfigShaped(output) ? output : undefined;
}

function pathOf(issue: v.BaseIssue<unknown>): Path {
  return (issue.path ?? []).map((item) => (typeof item.key === 'number' ? item.key : String(item.key)));
}

/** Of a rule whose type is none, nothing was read. */
function refusedBy(issue: v.BaseIssue<unknown>): Path {
  return issue.type === 'variant' && issue.expected !== 'Object' ? pathOf(issue).slice(0, -1) : pathOf(issue);
}

/** The options that an unknown key probably stands for: nobody who slipped in writing one has left it out. */
function misspelt(root: SourceNode, found: readonly v.BaseIssue<unknown>[]): readonly Path[] {
  return found
    .filter(({ type, expected }) => type === 'never' && expected !== 'never')
    .map((issue) => [...pathOf(issue).slice(0, -1), issue.expected ?? ''])
    .filter((meant) => nodeAt(root, meant) === undefined);
}

function hasValueAt(output: unknown, path: Path): boolean {
  const parent = path.slice(0, -1).reduce<unknown>((holder, step) => valueIn(holder, step), output);
  return valueIn(parent, path.at(-1) ?? '') !== undefined;
}

function valueIn(holder: unknown, step: string | number): unknown {
  return typeof holder === 'object' && holder !== null
    ? Object.getOwnPropertyDescriptor(holder, step)?.value
    : undefined;
}

/** A refused part keeps its place in Valibot's output; a root that is no map has none at all. */
function isConfigShaped(output: unknown): output is ConfigInput {
  return typeof output === 'object' && output !== null && !Array.isArray(output);
}
