import { METHODS } from 'node:http';

import { createExplainer } from './cache/explain.ts';
import type { ExplainInput, OfflineExplanation } from './cli/io.ts';
import { configChecks } from './config-checks.ts';
import type { Environment } from './config/env.ts';
import type { ConfigIssue } from './config/issue.ts';
import { loadConfig } from './config/load.ts';
import type { Config } from './core/config.ts';
import type { Result } from './core/problem.ts';
import { buildRouteTable, type RouteTable } from './core/route-table.ts';
import { graphqlReaderFor } from './graphql-reader.ts';
import { sha256 } from './sha256.ts';
import { systemClock } from './system-clock.ts';

/** Loads a config with everything that can be checked before a socket is bound. */
export function loadConfigFile(file: string, env: Environment): Result<Config, readonly ConfigIssue[]> {
  return loadConfig(file, env, configChecks);
}

/** `forecache explain --config FILE URL`: the way from URL to key, with nothing stored and nothing called. */
export async function explainOffline(
  file: string,
  env: Environment,
  request: ExplainInput,
): Promise<OfflineExplanation> {
  const config = loadConfigFile(file, env);
  if (!config.ok) return { kind: 'config', issues: config.error };
  const explainer = createExplainer({
    table: routeTableOf(config.value),
    upstreams: config.value.upstreams,
    listeners: () => config.value.server.listeners,
    store: undefined,
    clock: systemClock,
    sha256,
    methods: new Set(METHODS),
    graphql: await graphqlReaderFor(config.value.routes),
  });
  const explained = await explainer.explain(request);
  return explained.ok
    ? { kind: 'explained', explanation: explained.value }
    : { kind: 'refused', problem: explained.error };
}

/** A config whose routes were found sound at load gives a table; anything else is a bug. */
export function routeTableOf(config: Config): RouteTable {
  const table = buildRouteTable(config.routes);
  if (!table.ok) throw new Error(`routes: ${table.error.map((issue) => issue.message).join('; ')}`);
  return table.value;
}
