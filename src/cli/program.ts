import { Command, CommanderError, InvalidArgumentError } from 'commander';

import { check, explain, purge, stats, warm } from './commands.ts';
import { exitCode, type CliIo } from './io.ts';
import * as text from './help-text.ts';
import { printable } from './terminal.ts';

/** Lines of the help end here whatever the terminal, so that it reads the same in the manual, in logs and on paper. */
const helpColumns = 100;

/** Runs one command line (without node and the script) and gives the exit code. Does not reject for anything that a user can do. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let code: number = exitCode.ok;
  const program = buildProgram(io, (result) => {
    code = result;
  });
  try {
    await program.parseAsync(withoutHelpOnNothing(program, argv), { from: 'user' });
    return code;
  } catch (error) {
    // commander has already written what there is to say; help and version end with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
    throw error;
  }
}

/** commander answers `help NAME` of no command with the usage alone; NAME by itself gets the error that names it. */
function withoutHelpOnNothing({ commands }: Command, argv: readonly string[]): readonly string[] {
  const [first, name] = argv;
  if (first !== 'help' || name === undefined || name.startsWith('-')) return argv;
  return commands.some((known) => known.name() === name) ? argv : [name];
}

/** The command tree; `done` hears the exit code of the command that ran. */
export function buildProgram(io: CliIo, done: (code: number) => void): Command {
  const program = new Command('forecache')
    .description(text.summary)
    .version(io.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .showHelpAfterError("(see 'forecache --help')")
    .configureOutput({
      writeOut: io.stdout,
      writeErr: io.stderr,
      // The message quotes arguments, which may have been pasted from anywhere.
      outputError: (message, write) => write(printable(message.replace(/^error: /u, 'forecache: '))),
      getOutHelpWidth: () => helpColumns,
      getErrHelpWidth: () => helpColumns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride()
    .addHelpText('after', text.programNotes);

  addServing(program, io, done);
  addExplain(program, io, done);
  addPurge(program, io, done);
  addWarm(program, io, done);
  addStats(program, io, done);
  return program;
}

function addServing(program: Command, io: CliIo, done: (code: number) => void): void {
  command(program, 'serve', 'run the proxy until SIGTERM or SIGINT', text.serveNotes)
    .requiredOption('-c, --config <file>', 'YAML configuration')
    .action(async ({ config }: { config: string }) => done(await io.serve(config)));

  command(program, 'check', 'check a configuration and say every issue of it', text.checkNotes)
    .requiredOption('-c, --config <file>', 'YAML configuration')
    .option('--json', 'print the answer as JSON')
    .action(async (options: Parameters<typeof check>[0]) => done(await check(options, io)));
}

function addExplain(program: Command, io: CliIo, done: (code: number) => void): void {
  const explaining = command(program, 'explain', 'show what would happen to a request now, and why', text.explainNotes)
    .argument('<url>', 'path and query on the proxy, an absolute URL, or //host with a path')
    .option('-c, --config <file>', 'explain offline from this configuration: nothing is asked, nothing is stored')
    .option(
      '-l, --listener <name>',
      "listener that it comes by (default: the one at the URL's address, else 'default')",
    )
    .option('-m, --method <method>', 'request method (default: GET)')
    .option('-H, --header <line>', "request field 'name: value'; repeatable", collect)
    .option('-d, --data <text>', 'request content, for a method whose content the route keys')
    .option('--status <code>', 'what would be done if upstream answered with this status', status)
    .option('--response-header <line>', "field 'name: value' of that answer; repeatable", collect);
  addAdminOptions(explaining, 30).action(async (url: string, options: Parameters<typeof explain>[1]) =>
    done(await explain(url, options, io)),
  );
}

function addPurge(program: Command, io: CliIo, done: (code: number) => void): void {
  const purging = command(program, 'purge', 'purge stored responses of a running proxy', text.purgeNotes)
    .option('--key <key>', 'the stored response with this cache key', once)
    .option('--url <url>', 'this path and query on the proxy, canonicalised like a request; all variants', once)
    .option('--route <name>', 'everything of this route', once)
    .option('--prefix <prefix>', 'everything whose canonical URL starts with this', once)
    .option('--tag <tag>', 'everything with this tag; repeatable, any of them', collect)
    .option('--all', 'everything')
    .option('--soft', 'mark stale instead of removing: validated or refetched before its next normal use')
    .option('--dry-run', 'only count what would be purged');
  addAdminOptions(purging, 30).action(async (options: Parameters<typeof purge>[0]) => done(await purge(options, io)));
}

function addWarm(program: Command, io: CliIo, done: (code: number) => void): void {
  const warming = command(program, 'warm', 'fetch answers ahead into a running proxy', text.warmNotes)
    .option('--location <location>', 'run the configured jobs for this location; repeatable', collect)
    .option('--route <name>', 'request this route', once)
    .option('--with <name=value>', 'parameter for --route; repeatable, a name again makes another request', collect);
  addAdminOptions(warming, 600).action(async (options: Parameters<typeof warm>[0]) => done(await warm(options, io)));
}

function addStats(program: Command, io: CliIo, done: (code: number) => void): void {
  const counting = command(program, 'stats', 'show hits, misses and what they saved', text.statsNotes).option(
    '--reset',
    'set the counters to zero instead (Prometheus counters never go back)',
  );
  addAdminOptions(counting, 30).action(async (options: Parameters<typeof stats>[0]) => done(await stats(options, io)));
}

function command(program: Command, name: string, description: string, notes: string): Command {
  return program
    .command(name)
    .summary(description)
    .description(`${capital(description)}.`)
    .addHelpText('after', notes);
}

/** Options of all commands that talk to a running proxy. */
function addAdminOptions(target: Command, timeoutSeconds: number): Command {
  return target
    .option('--admin <url>', 'admin listener (default: FORECACHE_ADMIN, else http://127.0.0.1:9090)')
    .option('--token-file <file>', 'file with the bearer token (default: the variable FORECACHE_ADMIN_TOKEN)')
    .option('--timeout <seconds>', 'how long to wait for the answer', seconds, timeoutSeconds)
    .option('--json', 'print the answer as JSON');
}

/** Defaults stay out of commander, which would print `[]` and `false` in the help. */
function collect(value: string, given: readonly string[] = []): readonly string[] {
  return [...given, value];
}

/** The last one alone would count otherwise, and whoever gave two, as of tags, would think that both were purged. */
function once(value: string, given?: string): string {
  if (given !== undefined) throw new InvalidArgumentError('It can be given once.');
  return value;
}

function seconds(value: string): number {
  const number = Number(value);
  // A timer cannot wait longer than 2^31-1 ms, and a day is past any use.
  if (!(number > 0 && number <= 86_400)) throw new InvalidArgumentError('It must be seconds, above 0, at most 86400.');
  return number;
}

function status(value: string): number {
  if (!/^[2-9][0-9]{2}$/.test(value))
    throw new InvalidArgumentError('It must be the status of a final answer, 200 to 999.');
  return Number(value);
}

function capital(sentence: string): string {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}
