import { parseArgs } from 'node:util';

export const usage = `npm run conformance -- --suite DIR [--out FILE] [--config FILE] [--base URL]

Runs a checkout of the public test suite for HTTP caches (github.com/http-tests/cache-tests, after \`npm install\` in it)
against the built program and prints a score for each group of its tests. Needs Linux: flock, and /proc for its own tests.

  --suite DIR    the checkout
  --config FILE  what the program is started with; config/honour.yaml unless told otherwise. It must take its upstream
                 from FORECACHE_UPSTREAM and its two addresses from FORECACHE_LISTEN and FORECACHE_ADMIN_LISTEN
  --base URL     tests the proxy that runs there instead; the suite's server then waits at --origin
  --origin PORT  port of the suite's server; any free one unless told otherwise, needed with --base
  --out FILE     writes the suite's own results there, as JSON

Exit code 0: every required test passed and at least 99 of the optimal ones; 1: fewer; 2: the suite could not be run;
64: the command line is wrong.`;

/** The command line is wrong; its message says how. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface ConformanceOptions {
  /** Folder of the checkout. */
  readonly suite: string;
  /** File for the suite's results; `undefined`: none is written. */
  readonly out: string | undefined;
  /** What is tested: the built program with this configuration, or a proxy that runs already. */
  readonly tested:
    | { readonly kind: 'program'; readonly config: string }
    | { readonly kind: 'running'; readonly base: string };
  /** Port of the suite's server; 0: any free one. */
  readonly originPort: number;
}

/** What to run; `undefined`: help was asked for. Throws {@link UsageError}. */
export function parseConformance(args: readonly string[]): ConformanceOptions | undefined {
  const values = valuesOf(args);
  if (values['help'] === true) return undefined;
  const { suite, out, config, base, origin } = values;
  if (typeof suite !== 'string' || suite === '') throw new UsageError('--suite DIR names the checkout of the suite');
  const originPort = portOf(origin);
  if (typeof base !== 'string') {
    const file = typeof config === 'string' ? config : 'config/honour.yaml';
    return { suite, out: textOf(out), tested: { kind: 'program', config: file }, originPort };
  }
  if (config !== undefined) throw new UsageError('--config is for the program; with --base another proxy runs already');
  if (originPort === 0) throw new UsageError('--base needs --origin PORT: the port that the proxy there forwards to');
  return { suite, out: textOf(out), tested: { kind: 'running', base: baseOf(base) }, originPort };
}

type Values = Readonly<Record<string, string | boolean | undefined>>;

function valuesOf(args: readonly string[]): Values {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: { suite: text, out: text, config: text, base: text, origin: text, help: { type: 'boolean' } },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function textOf(value: string | boolean | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function portOf(value: string | boolean | undefined): number {
  if (value === undefined) return 0;
  if (typeof value === 'string' && /^[0-9]{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535) {
    return Number(value);
  }
  throw new UsageError(`--origin is a port from 1 to 65535, not '${String(value)}'`);
}

/** The suite puts paths behind it: no slash at the end. */
function baseOf(value: string): string {
  const url = URL.parse(value);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(`--base is the URL of a proxy, as http://127.0.0.1:8080, not '${value}'`);
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}
