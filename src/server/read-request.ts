import type { IncomingMessage } from 'node:http';

import type { ServerLimits } from '../core/config.ts';
import { fieldLineValues, fieldValue, hasField, type FieldLine, type FieldLines } from '../core/fields.ts';
import { refusedMethod } from '../core/methods.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import { parseHost, parseTarget } from '../core/target.ts';

/** What {@link readRequest} needs beside the message. */
export interface ReadContext {
  readonly listener: string;
  readonly limits: ServerLimits;
  /** Hears the name of a limit that was hit. */
  onLimit(option: string): void;
}

/**
 * Checks what `node:http` lets through although RFC 9112 does not (two `Host` lines, junk in `Host`, HTTP/0.9, `#` in the
 * target) and gives the request as values, or the problem to answer.
 */
export function readRequest(message: IncomingMessage, context: ReadContext): Result<ProxyRequest> {
  const { limits } = context;
  if (message.httpVersionMajor !== 1) {
    return refused(badRequest('version-unsupported', 'HTTP version not supported', 'Speak HTTP/1.1 or HTTP/1.0.'));
  }
  if (message.rawHeaders.length / 2 > limits.maxHeaderFields) {
    context.onLimit('server.limits.maxHeaderFields');
    return refused(tooLarge(431, 'too-many-fields', `More than ${limits.maxHeaderFields} header fields.`));
  }
  if (headBytes(message) > limits.maxHeaderBytes) {
    context.onLimit('server.limits.maxHeaderBytes');
    return refused(tooLarge(431, 'head-too-large', `The request head is larger than ${limits.maxHeaderBytes} bytes.`));
  }
  const rawTarget = message.url ?? '';
  if (rawTarget.length > limits.maxTargetBytes) {
    context.onLimit('server.limits.maxTargetBytes');
    return refused(
      tooLarge(414, 'target-too-long', `The request target is longer than ${limits.maxTargetBytes} bytes.`),
    );
  }
  const method = message.method ?? '';
  const methodProblem = refusedMethod(method);
  if (methodProblem !== undefined) return refused(methodProblem);
  const fields = fieldLines(message.rawHeaders);
  if (!isFramingClear(message, fields)) {
    return refused(
      badRequest('framing-invalid', 'Bad request', 'Only HTTP/1.1 content framed by length or as chunked is read.'),
    );
  }
  const target = parseTarget(rawTarget);
  if (!target.ok) return target;
  const host = readHost(message, fields, target.value.authority);
  if (!host.ok) return host;
  return ok({
    method,
    path: target.value.path,
    query: target.value.query,
    host: host.value,
    absolute: target.value.authority !== undefined,
    listener: context.listener,
    fields,
    hasContent: hasContent(fields),
  });
}

/**
 * Bytes of the request line and the field lines with their line ends, each taken as `Name: value`. The parser's own
 * limit leaves out what separates them, so that it alone would draw the line a little later and never at one place.
 */
function headBytes({ method, url, rawHeaders }: IncomingMessage): number {
  let bytes = (method ?? '').length + (url ?? '').length + ' '.length + ' HTTP/1.1\r\n'.length;
  // Each name and each value with its two characters of `: ` or CRLF.
  for (const part of rawHeaders) bytes += part.length + 2;
  return bytes;
}

/** `rawHeaders` as field lines: the combined object of `node:http` drops and joins lines by rules of its own. */
function fieldLines(rawHeaders: readonly string[]): FieldLines {
  const lines: FieldLine[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    lines.push([(rawHeaders[index] ?? '').toLowerCase(), rawHeaders[index + 1] ?? '']);
  }
  return lines;
}

/** RFC 9112 §3.2: exactly one valid Host in HTTP/1.1; an absolute-form target's authority takes its place. */
function readHost(message: IncomingMessage, fields: FieldLines, authority: string | undefined): Result<string> {
  const lines = fieldLineValues(fields, 'host');
  if (lines.length > 1) return refused(badRequest('host-repeated', 'Bad request', 'More than one Host field.'));
  const line = lines[0];
  if (line === undefined && message.httpVersionMinor >= 1) {
    return refused(badRequest('host-missing', 'Bad request', 'HTTP/1.1 needs a Host field.'));
  }
  const given = line === undefined ? undefined : parseHost(line);
  if (given !== undefined && !given.ok) return given;
  if (authority === undefined) return ok(given?.value.host ?? '');
  const target = parseHost(authority);
  return target.ok ? ok(target.value.host) : target;
}

/**
 * RFC 9112 §6.1: a coding that is not `chunked` leaves the end of the content unknown, and HTTP/1.0 has no codings. The
 * parser notices the former only behind the head, when the request is under way.
 */
function isFramingClear(message: IncomingMessage, fields: FieldLines): boolean {
  const codings = fieldLineValues(fields, 'transfer-encoding');
  if (codings.length === 0) return true;
  return codings.length === 1 && codings[0]?.toLowerCase() === 'chunked' && message.httpVersionMinor >= 1;
}

/** RFC 9112 §6: content is announced by either framing field. */
function hasContent(fields: FieldLines): boolean {
  if (hasField(fields, 'transfer-encoding')) return true;
  const length = fieldValue(fields, 'content-length');
  return length !== undefined && length !== '0';
}

function badRequest(code: string, title: string, detail: string): Problem {
  return { status: 400, code, title, detail };
}

function tooLarge(status: 414 | 431, code: string, detail: string): Problem {
  return { status, code, title: status === 414 ? 'URI too long' : 'Request header fields too large', detail };
}
