import { METHODS } from 'node:http';

import type { ExplainInput, OfflineExplanation } from './cli/io.ts';
import { configChecks } from './config-checks.ts';
import type { Environment } from './config/env.ts';
import type { ConfigIssue } from './config/issue.ts';
import { loadConfig } from './config/load.ts';
import type { Config } from './core/config.ts';
import type { Result } from './core/problem.ts';
import { graphqlReaderFor } from './graphql-reader.ts';
import { routeTableOf } from './route-table-of.ts';
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
  const { createExplainer } = await import('./cache/explain.ts');
  const { listenerRefusals } = await import('./server/read-request.ts');
  const { createAnswerReader } = await import('./upstream/answer-reader.ts');
  const explainer = createExplainer({
    table: routeTableOf(config.value),
    upstreams: config.value.upstreams,
    answers: createAnswerReader(config.value.upstreams),
    listener: listenerRefusals(config.value.server.limits),
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
