import { createHash } from 'node:crypto';

import { createExplainer } from './cache/explain.ts';
import type { ExplainInput, OfflineExplanation } from './cli/io.ts';
import type { Environment } from './config/env.ts';
import { formatIssue } from './config/issue.ts';
import { loadConfig } from './config/load.ts';
import type { Config } from './core/config.ts';
import { ok, refused, type Result } from './core/problem.ts';
import { buildRouteTable } from './core/route-table.ts';
import { checkCron } from './cron.ts';
import { systemClock } from './system-clock.ts';
import { compileQueryIssue } from './upstream/body-check.ts';

/** Lower-case hex, as the keys want it. */
export function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

/** Loads a config with everything that can be checked before a socket is bound; the error is one line for each issue. */
export function loadConfigFile(file: string, env: Environment): Result<Config, readonly string[]> {
  const loaded = loadConfig(file, env, { checkQuery: compileQueryIssue, checkCron });
  return loaded.ok ? loaded : refused(loaded.error.map(formatIssue));
}

/** `forecache explain --config FILE URL`: the way from URL to key, with nothing stored and nothing called. */
export async function explainOffline(
  file: string,
  env: Environment,
  request: ExplainInput,
): Promise<OfflineExplanation> {
  const config = loadConfigFile(file, env);
  if (!config.ok) return { kind: 'config', issues: config.error };
  const table = buildRouteTable(config.value.routes);
  if (!table.ok) return { kind: 'config', issues: table.error.map((issue) => issue.message) };
  const explainer = createExplainer({
    table: table.value,
    upstreams: config.value.upstreams,
    store: undefined,
    inspector: undefined,
    clock: systemClock,
    sha256,
  });
  const explained = await explainer.explain(request);
  return explained.ok
    ? { kind: 'explained', explanation: explained.value }
    : { kind: 'refused', problem: explained.error };
}

/** A config whose routes were found sound at load gives a table; anything else is a bug. */
export function routeTableOf(config: Config) {
  const table = buildRouteTable(config.routes);
  if (!table.ok) throw new Error(`routes: ${table.error.map((issue) => issue.message).join('; ')}`);
  return ok(table.value).value;
}
