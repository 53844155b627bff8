import { buildProgram } from '../../src/cli/program.ts';
import { cli, cliIo } from './cli.ts';

const head = `# The command line

<!-- Made from the program's own help by test/cli/reference.test.ts; \`vitest run -u\` on that file writes it anew. -->

\`forecache COMMAND\` of an installed package; from a checkout \`npm exec forecache -- COMMAND\` or \`node dist/main.js COMMAND\`.
\`serve\` runs the proxy, \`check\` and \`explain --config\` read its configuration, and the other commands ask a running
proxy at its admin listener (\`docs/configuration.md\` says where that is and how its token is set).

What is printed for people may change; with \`--json\` the answer of the admin listener is printed as it is, a problem
(RFC 9457) included, and its members stay. Characters that could steer a terminal are escaped in either.

| exit code | means |
|---|---|
| 0 | done |
| 1 | the proxy refused it or failed at it (an answer of 4xx or 5xx, but for those of 75), a part of it failed (\`warm\`), or what is to be printed cannot be written; \`serve\` cannot start, or not stop in order |
| 64 | wrong use of the command line, or issues in the configuration |
| 69 | nobody answers at the admin address, not in time, or not an admin listener |
| 75 | it may work later: a purge that not every sidecar has applied, or an answer of 429, 502, 503 or 504 |
`;

/** The text of `docs/cli.md`: the help of the program and of each of its commands. */
export async function cliReference(): Promise<string> {
  const { io } = cliIo();
  const names = buildProgram(io, () => undefined).commands.map((command) => command.name());
  const sections = [await section('forecache', ['--help'])];
  for (const name of names) sections.push(await section(`forecache ${name}`, [name, '--help']));
  return `${head}\n${sections.join('\n')}`;
}

async function section(title: string, argv: readonly string[]): Promise<string> {
  const { stdout } = await cli(argv);
  return `## ${title}\n\n\`\`\`text\n${stdout.trimEnd()}\n\`\`\`\n`;
}
