import type { IncomingMessage } from 'node:http';

import type { ListenerRefusals } from '../cache/explain.ts';
import type { ServerLimits } from '../core/config.ts';
import { fieldLineValues, fieldValue, hasField, type FieldLines, withoutFields } from '../core/fields.ts';
import { refusedMethod } from '../core/methods.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import type { ProxyRequest, RequestMemo } from '../core/request.ts';
import { special } from '../core/special-fields.ts';
import { parseHost, parseTarget } from '../core/target.ts';
import type { FieldList, FieldLists } from './field-lists.ts';

/** What {@link readRequest} needs beside the message. */
export interface ReadContext {
  readonly limits: ServerLimits;
  readonly lists: FieldLists;
  /** Hears the name of a limit that was hit. */
  onLimit(option: string): void;
}

/**
 * Checks what `node:http` lets through although RFC 9112 does not (two `Host` lines, junk in `Host`, HTTP/0.9, `#` in the
 * target) and gives the request as values, or the problem to answer.
 */
export function readRequest(message: IncomingMessage, listener: string, context: ReadContext): Result<ProxyRequest> {
  const { limits } = context;
  if (message.httpVersionMajor !== 1) {
    return refused(badRequest('version-unsupported', 'HTTP version not supported', 'Speak HTTP/1.1 or HTTP/1.0.'));
  }
  if (message.rawHeaders.length / 2 > limits.maxHeaderFields) {
    context.onLimit('server.limits.maxHeaderFields');
    return refused(tooManyFields(limits));
  }
  const bytes = fieldBytes(message.rawHeaders);
  if (bytes + lineBytes(message) > limits.maxHeaderBytes) {
    context.onLimit('server.limits.maxHeaderBytes');
    return refused(headTooLarge(limits));
  }
  const rawTarget = message.url ?? '';
  if (rawTarget.length > limits.maxTargetBytes) {
    context.onLimit('server.limits.maxTargetBytes');
    return refused(targetTooLong(limits));
  }
  const method = message.method ?? '';
  const methodProblem = refusedMethod(method);
  if (methodProblem !== undefined) return refused(methodProblem);
  const list = context.lists.read(message.rawHeaders, bytes);
  if (!isFramingClear(message, list)) {
    return refused(framingInvalid);
  }
  const target = parseTarget(rawTarget);
  if (!target.ok) return target;
  const host = readHost(message, list, target.value.authority);
  if (!host.ok) return host;
  const { fields, special: found } = heeded(message, list);
  return ok({
    method,
    path: target.value.path,
    query: target.value.query,
    host: host.value,
    absolute: target.value.authority !== undefined,
    listener,
    fields,
    special: found,
    hasContent: list.hasContent,
    memo: undefined,
  });
}

/** What counts of the fields: a server must ignore `Upgrade` in HTTP/1.0 (RFC 9110 §7.8). */
function heeded({ httpVersionMinor }: IncomingMessage, list: FieldList): Pick<FieldList, 'fields' | 'special'> {
  if (httpVersionMinor !== 0) return list;
  return { fields: withoutFields(list.fields, upgradeAlone), special: list.special & ~special.upgrade };
}

const upgradeAlone: ReadonlySet<string> = new Set(['upgrade']);

/** What a request says whatever its target. */
export interface HeadBesideTarget {
  /** With the target that it had: in origin-form (RFC 9112 §3.2.1). */
  readonly request: ProxyRequest;
  /** As `maxHeaderBytes` counts them. */
  readonly bytes: number;
}

/** `request`: as it was read from the message. `undefined`: its target says more than path and query. */
export function besideTarget(message: IncomingMessage, request: ProxyRequest): HeadBesideTarget | undefined {
  if (request.absolute) return undefined;
  return { request, bytes: fieldBytes(message.rawHeaders) + lineBytes(message) - (message.url ?? '').length };
}

/**
 * What {@link readRequest} gives for the same head with another target; `undefined` where it refuses that, or it is not in
 * origin-form.
 */
export function withTarget(head: HeadBesideTarget, rawTarget: string, limits: ServerLimits): ProxyRequest | undefined {
  const { length } = rawTarget;
  if (length > limits.maxTargetBytes || head.bytes + length > limits.maxHeaderBytes) return undefined;
  const target = parseTarget(rawTarget);
  if (!target.ok || target.value.authority !== undefined) return undefined;
  return withRead(head, target.value, undefined);
}

/** The same for a target that {@link withTarget} has read before, behind the same head. */
export function withRead(
  { request }: HeadBesideTarget,
  { path, query }: Pick<ProxyRequest, 'path' | 'query'>,
  memo: RequestMemo | undefined,
): ProxyRequest {
  const { method, host, absolute, listener, fields, special: found, hasContent } = request;
  // No spread: these are the objects of all requests, and shall be of one shape.
  return { method, path, query, host, absolute, listener, fields, special: found, hasContent, memo };
}

/**
 * Bytes of the field lines with their line ends, each taken as `Name: value`. The parser's own limit leaves out what separates
 * them, so that it alone would draw the line a little later and never at one place.
 */
function fieldBytes(rawHeaders: readonly string[]): number {
  let bytes = 0;
  // Each name and each value with its two characters of `: ` or CRLF.
  for (const part of rawHeaders) bytes += part.length + 2;
  return bytes;
}

/** Bytes of the request line and of the empty line. */
function lineBytes({ method, url }: Pick<IncomingMessage, 'method' | 'url'>): number {
  return (method ?? '').length + (url ?? '').length + ' '.length + ' HTTP/1.1\r\n'.length;
}

/** RFC 9112 §3.2: exactly one valid Host in HTTP/1.1; an absolute-form target's authority takes its place. */
function readHost(message: IncomingMessage, { hosts, host }: FieldList, authority: string | undefined): Result<string> {
  if (hosts > 1) return refused(badRequest('host-repeated', 'Bad request', 'More than one Host field.'));
  if (hosts === 0 && message.httpVersionMinor >= 1) {
    return refused(badRequest('host-missing', 'Bad request', 'HTTP/1.1 needs a Host field.'));
  }
  if (host !== undefined && !host.ok) return host;
  if (authority === undefined) return ok(host?.value.host ?? '');
  const target = parseHost(authority);
  return target.ok ? ok(target.value.host) : target;
}

/**
 * RFC 9112 §6.1: a coding that is not `chunked` leaves the end of the content unknown, and HTTP/1.0 has no codings. The
 * parser notices the former only behind the head, when the request is under way.
 */
function isFramingClear(message: IncomingMessage, list: FieldList): boolean {
  if ((list.special & special.transferEncoding) === 0) return true;
  return isChunked(list.fields) && message.httpVersionMinor >= 1;
}

function isChunked(fields: FieldLines): boolean {
  const codings = fieldLineValues(fields, 'transfer-encoding');
  return codings.length === 1 && codings[0]?.toLowerCase() === 'chunked';
}

/**
 * Why a request of HTTP/1.1 that nobody has sent would be refused for its head, in the order in which a real one is looked at;
 * `undefined` where it would not. `fields`: without those that its client adds; of these Host is counted.
 */
function refusedUnsent(
  { method, target, fields }: { readonly method: string; readonly target: string; readonly fields: FieldLines },
  limits: ServerLimits,
): Problem | undefined {
  const lines = hasField(fields, 'host') ? fields.flat() : [...fields.flat(), 'host', ''];
  const expected = fieldValue(fields, 'expect');
  if (expected !== undefined && expected.toLowerCase() !== '100-continue') return expectationFailed;
  if (lines.length / 2 > limits.maxHeaderFields) return tooManyFields(limits);
  if (fieldBytes(lines) + lineBytes({ method, url: target }) > limits.maxHeaderBytes) return headTooLarge(limits);
  if (target.length > limits.maxTargetBytes) return targetTooLong(limits);
  const methodProblem = refusedMethod(method);
  if (methodProblem !== undefined) return methodProblem;
  return hasField(fields, 'transfer-encoding') && !isChunked(fields) ? framingInvalid : undefined;
}

/** For whoever explains requests. */
export function listenerRefusals(limits: ServerLimits): ListenerRefusals {
  return {
    head: (request) => refusedUnsent(request, limits),
    maxBodyBytes: limits.maxBodyBytes,
    maxHops: limits.maxHops,
  };
}

/** RFC 9110 §10.1.1: an expectation other than `100-continue`. */
export const expectationFailed: Problem = {
  status: 417,
  code: 'expectation-failed',
  title: 'Expectation failed',
  detail: 'Only Expect: 100-continue is understood.',
};

const framingInvalid = badRequest(
  'framing-invalid',
  'Bad request',
  'Only HTTP/1.1 content framed by length or as chunked is read.',
);

function tooManyFields({ maxHeaderFields }: ServerLimits): Problem {
  return tooLarge(431, 'too-many-fields', `More than ${maxHeaderFields} header fields.`);
}

function headTooLarge({ maxHeaderBytes }: ServerLimits): Problem {
  return tooLarge(431, 'head-too-large', `The request head is larger than ${maxHeaderBytes} bytes.`);
}

function targetTooLong({ maxTargetBytes }: ServerLimits): Problem {
  return tooLarge(414, 'target-too-long', `The request target is longer than ${maxTargetBytes} bytes.`);
}

function badRequest(code: string, title: string, detail: string): Problem {
  return { status: 400, code, title, detail };
}

function tooLarge(status: 414 | 431, code: string, detail: string): Problem {
  return { status, code, title: status === 414 ? 'URI too long' : 'Request header fields too large', detail };
}
