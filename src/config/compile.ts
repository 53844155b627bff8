import type { Config } from '../core/config.ts';
import { type Result, ok, refused } from '../core/problem.ts';
import type { Compilation, ConfigChecks } from './compilation.ts';
import { compilePurge, compileWarm } from './compile-jobs.ts';
import { compileRoutes } from './compile-routes.ts';
import { compileAdmin, compileLog, compileServer, compileStore, compileUpstreams } from './compile-server.ts';
import { checkWorkers } from './compile-workers.ts';
import type { Environment } from './env.ts';
import { deepFreeze } from './freeze.ts';
import type { ConfigIssue, IssueList } from './issue.ts';
import { findNotes } from './notes.ts';
import { applySchema } from './schema.ts';
import type { SourceNode } from './source.ts';

/** What compiling needs beside the file's contents. */
export interface CompileContext {
  /** Absolute path of the file. */
  readonly file: string;
  readonly env: Environment;
  readonly checks?: ConfigChecks;
}

/**
 * The file's values as a frozen `Config`, or every issue at once: parts that the schema accepts are checked against
 * each other even where others are refused.
 */
export function compileConfig(
  root: SourceNode,
  issues: IssueList,
  context: CompileContext,
): Result<Config, readonly ConfigIssue[]> {
  const input = applySchema(root, issues);
  if (!input) return refused(issues.sorted());
  const compilation: Compilation = { checks: {}, ...context, root, issues, input };
  const server = compileServer(compilation);
  const admin = compileAdmin(compilation);
  const log = compileLog(compilation);
  const store = compileStore(compilation);
  const upstreams = compileUpstreams(compilation);
  const { byPlace, table } = compileRoutes(compilation);
  const warm = compileWarm(compilation, { byPlace, table });
  const purge = compilePurge(compilation, table);
  checkWorkers(compilation);
  if (issues.size > 0 || !server || !admin || !log || !store || !warm) return refused(issues.sorted());
  const routes = [...byPlace.values()];
  const notes = findNotes(compilation, { server, admin, redis: store.redis, routes: byPlace });
  return ok(deepFreeze({ file: context.file, server, admin, log, store, upstreams, routes, warm, purge, notes }));
}
