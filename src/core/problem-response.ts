import type { FieldLine, FieldLines } from './fields.ts';
import type { Problem } from './problem.ts';

/** A problem as it goes on the wire. `Content-Length` and `Date` are the sender's. */
export interface ProblemResponse {
  readonly status: number;
  readonly fields: FieldLines;
  readonly body: Buffer;
}

/**
 * What `type` begins with; the problem's code follows. A URN, because the answer comes from every sidecar and no
 * public host speaks for all of them; programs compare it, nobody fetches it (RFC 9457 §3.1.1).
 */
const problemTypePrefix = 'urn:forecache:problem:';

// A member may quote what a client sent; that much of it helps, more only makes an amplifier.
const maxTextLength = 1024;

/**
 * Writes a problem as `application/problem+json` (RFC 9457). `instance` is the path that was asked for. Texts are cut
 * to printable ASCII, so that nothing untrusted reaches a terminal or a log as a control sequence.
 */
export function problemBody(problem: Problem, instance?: string): ProblemResponse {
  const members: Record<string, string | number | readonly string[]> = {};
  // Names first, so that no further member can stand in for one of RFC 9457's own.
  for (const [name, value] of Object.entries(problem.extra ?? {})) members[printable(name)] = printableValue(value);
  members['type'] = problemTypePrefix + printable(problem.code);
  members['title'] = printable(problem.title);
  members['status'] = problem.status;
  members['detail'] = printable(problem.detail);
  if (instance !== undefined) members['instance'] = printable(instance);
  if (problem.retryAfter !== undefined) members['retryAfter'] = Math.ceil(problem.retryAfter);
  return {
    status: problem.status,
    fields: problemFields(problem),
    body: Buffer.from(`${JSON.stringify(members)}\n`, 'utf8'),
  };
}

function problemFields(problem: Problem): FieldLines {
  const fields: FieldLine[] = [
    ['content-type', 'application/problem+json'],
    ['cache-control', 'no-store'],
    ['x-content-type-options', 'nosniff'],
  ];
  if (problem.retryAfter !== undefined)
    fields.push(['retry-after', String(Math.max(0, Math.ceil(problem.retryAfter)))]);
  const allow = problem.extra?.['allow'];
  if (problem.status === 405 && allow !== undefined) {
    fields.push(['allow', printable(typeof allow === 'object' ? allow.join(', ') : String(allow))]);
  }
  return fields;
}

function printableValue(value: string | number | readonly string[]): string | number | readonly string[] {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? printable(value) : value.map(printable);
}

function printable(text: string): string {
  const cut = text.length > maxTextLength ? `${text.slice(0, maxTextLength)}...` : text;
  return cut.replaceAll(/[^\x20-\x7e]/g, '?');
}
