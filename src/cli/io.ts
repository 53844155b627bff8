import type { ConfigIssue } from '../config/issue.ts';
import type { Config } from '../core/config.ts';
import type { Problem, Result } from '../core/problem.ts';

/** All that the command line needs from its process, so that tests run it without one. */
export interface CliIo {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the program, for `--version`. */
  readonly version: string;
  /** Runs the proxy until it is told to stop; the exit code. Reports config issues itself and then gives 64. */
  readonly serve: (configFile: string) => Promise<number>;
  /** The error is every issue of the file. */
  readonly loadConfig: (configFile: string) => Promise<Result<Config, readonly ConfigIssue[]>>;
  /** Explains from the config alone: nothing is stored, nothing is called. */
  readonly explainOffline: (configFile: string, request: ExplainInput) => Promise<OfflineExplanation>;
}

/** The body of `POST /api/explain`. */
export interface ExplainInput {
  readonly url: string;
  readonly listener?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly response?: { readonly status: number; readonly headers?: Readonly<Record<string, string>> };
}

export type OfflineExplanation =
  /** The same object that `POST /api/explain` answers. */
  | { readonly kind: 'explained'; readonly explanation: object }
  /** As {@link CliIo.loadConfig}. */
  | { readonly kind: 'config'; readonly issues: readonly ConfigIssue[] }
  | { readonly kind: 'refused'; readonly problem: Problem };

/** Exit codes, where there is one after sysexits.h. */
export const exitCode = {
  ok: 0,
  /** The proxy refused it, or a part of it failed; it cannot start, or not stop in order. */
  failed: 1,
  /** EX_USAGE: the command line or the config. */
  usage: 64,
  /** EX_UNAVAILABLE: nobody answers at the admin address. */
  unreachable: 69,
  /** EX_TEMPFAIL: repeating it later may do. */
  temporary: 75,
} as const;
