import { runCli } from '../../src/cli/program.ts';
import type { CliIo } from '../../src/cli/io.ts';
import type { ConfigIssue } from '../../src/config/issue.ts';
import { refused } from '../../src/core/problem.ts';

/** What a command line printed and ended with. */
export interface CliRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function nothingIn(file: string): ConfigIssue {
  return { file, line: 1, column: 1, path: '(file)', message: 'nothing to load here' };
}

/** The program's io without a process: prints into text, knows no config. */
export function cliIo(parts: Partial<CliIo> = {}): {
  readonly io: CliIo;
  readonly printed: { out: string; err: string };
} {
  const printed = { out: '', err: '' };
  const io: CliIo = {
    stdout: (text) => {
      printed.out += text;
    },
    stderr: (text) => {
      printed.err += text;
    },
    env: {},
    version: '1.2.3',
    serve: () => Promise.resolve(0),
    loadConfig: async (file) => refused([nothingIn(file)]),
    explainOffline: (file) => Promise.resolve({ kind: 'config', issues: [nothingIn(file)] }),
    ...parts,
  };
  return { io, printed };
}

/** Runs one command line to its end. */
export async function cli(argv: readonly string[], parts: Partial<CliIo> = {}): Promise<CliRun> {
  const { io, printed } = cliIo(parts);
  const code = await runCli(argv, io);
  return { code, stdout: printed.out, stderr: printed.err };
}
