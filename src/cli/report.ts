import { type ConfigIssue, formatIssue } from '../config/issue.ts';
import { problemBody } from '../core/problem-response.ts';
import type { Problem } from '../core/problem.ts';
import type { AdminAnswer, AdminTarget } from './admin-client.ts';
import { exitCode, type CliIo } from './io.ts';
import { asNumber, asRecord, asText } from './json.ts';
import { printable, printableJson, printableLine } from './terminal.ts';

/** How a command shows an answer that went well, and what its exit code then is. */
export interface Rendering {
  readonly text: string;
  readonly code: number;
}

/** Prints an admin answer, as JSON or for people, and gives the exit code. */
export function report(
  answer: AdminAnswer,
  io: CliIo,
  options: {
    readonly target: AdminTarget;
    readonly json: boolean;
    readonly render: (body: unknown, status: number) => Rendering;
  },
): number {
  if (answer.kind === 'unreachable') {
    io.stderr(`forecache: ${printableLine(`${options.target.base.href}: ${answer.detail}`)}\n`);
    return exitCode.unreachable;
  }
  const { status, body } = answer;
  if (status < 200 || status > 299) return reportProblem(status, body, io, options.json);
  const { text, code } = options.render(body, status);
  io.stdout(options.json ? `${printableJson(body)}\n` : printable(text));
  return code;
}

/** Prints a problem answer (RFC 9457); with `json` the program's reader gets it on stdout, as any answer. */
function reportProblem(status: number, body: unknown, io: CliIo, json: boolean): number {
  if (json) {
    io.stdout(`${printableJson(body)}\n`);
  } else {
    const problem = asRecord(body);
    const title = asText(problem['title']) ?? 'refused';
    const detail = asText(problem['detail']);
    io.stderr(`forecache: ${status} ${printableLine(detail === undefined ? title : `${title}: ${detail}`)}\n`);
    if (status === 401) io.stderr(tokenHint);
    const seconds = asNumber(problem['retryAfter']);
    if (seconds > 0) io.stderr(`Repeat it in ${seconds} s.\n`);
  }
  return temporaryStatus.has(status) ? exitCode.temporary : exitCode.failed;
}

/** Prints a refusal that was decided here, in the form in which an admin listener would have answered it. */
export function reportRefusal(problem: Problem, io: CliIo, json: boolean): number {
  const { status, body } = problemBody(problem);
  return reportProblem(status, JSON.parse(body.toString('utf8')), io, json);
}

/** Prints a wrong use of the command line. */
export function reportUsage(detail: string, io: CliIo): number {
  io.stderr(`forecache: ${printableLine(detail)}\n`);
  return exitCode.usage;
}

/** Prints config issues, each on its line; with `json` the program's reader gets them on stdout too. */
export function reportIssues(issues: readonly ConfigIssue[], io: CliIo, json: boolean): number {
  if (json) io.stdout(`${printableJson({ ok: false, issues })}\n`);
  for (const issue of issues) io.stderr(`${printableLine(formatIssue(issue))}\n`);
  return exitCode.usage;
}

/** Answers after which the same command may succeed unchanged: too many, and those of a gateway or a proxy that starts or stops. */
const temporaryStatus: ReadonlySet<number> = new Set([429, 502, 503, 504]);

const tokenHint = 'The admin listener wants its bearer token: set FORECACHE_ADMIN_TOKEN or give --token-file.\n';
