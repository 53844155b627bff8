import { readFileSync } from 'node:fs';
import { request as requestPlain, type IncomingMessage } from 'node:http';
import { request as requestByTls } from 'node:https';

import { ok, refused, type Result } from '../core/problem.ts';
import type { CliIo } from './io.ts';

/** Where and as whom to ask. */
export interface AdminTarget {
  /** Ends with a slash. */
  readonly base: URL;
  readonly token: string | undefined;
  readonly timeoutMs: number;
}

export interface AdminOptions {
  readonly admin?: string;
  readonly tokenFile?: string;
  /** Seconds. */
  readonly timeout: number;
}

export interface AdminCall {
  readonly method: 'GET' | 'POST';
  /** Relative, e.g. `api/purge`. */
  readonly path: string;
  readonly body?: unknown;
}

/** What came back: any JSON answer of an admin listener, whatever its status, or why there is none. */
export type AdminAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly body: unknown }
  | { readonly kind: 'unreachable'; readonly detail: string };

const defaultAdmin = 'http://127.0.0.1:9090';
/** Far more than any answer takes; a wrong address must not fill the memory. */
const maxAnswerBytes = 64 * 1024 * 1024;
const redirects: readonly number[] = [301, 302, 303, 307, 308];

/** Address and token from options, environment and defaults, in this order; the error is a sentence. */
export function adminTarget(options: AdminOptions, env: CliIo['env']): Result<AdminTarget, string> {
  const base = adminBase(options.admin ?? (env['FORECACHE_ADMIN'] || defaultAdmin));
  if (!base.ok) return base;
  const token = adminToken(options.tokenFile, env);
  if (!token.ok) return token;
  // 2.01 times 1000 is no integer, and timers take no other.
  const timeoutMs = Math.max(1, Math.round(options.timeout * 1000));
  return ok({ base: base.value, token: token.value, timeoutMs });
}

function adminBase(text: string): Result<URL, string> {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return refused(`the admin address must be an http or https URL such as ${defaultAdmin}`);
  }
  // Arguments are visible to every user of the machine, and a URL's credentials would go out as Basic, not Bearer.
  if (url.username !== '' || url.password !== '') {
    return refused('the admin address must not hold credentials; use FORECACHE_ADMIN_TOKEN or --token-file');
  }
  url.search = '';
  url.hash = '';
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return ok(url);
}

function adminToken(file: string | undefined, env: CliIo['env']): Result<string | undefined, string> {
  let token = env['FORECACHE_ADMIN_TOKEN'];
  if (file !== undefined) {
    try {
      token = readFileSync(file, 'utf8').trim();
    } catch (error) {
      return refused(`the token file cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (token === '') return refused(`the token file ${file} is empty`);
  }
  if (token === undefined || token === '') return ok(undefined);
  // Anything else cannot be sent in a field, and the library's error would quote it.
  return /^[!-~]+$/u.test(token) ? ok(token) : refused('the admin token must be visible ASCII without spaces');
}

/** Calls the admin listener. Never rejects. */
export async function callAdmin(target: AdminTarget, call: AdminCall): Promise<AdminAnswer> {
  const signal = AbortSignal.timeout(target.timeoutMs);
  try {
    const response = await responseTo(target, call, signal);
    const { statusCode: status = 0, headers } = response;
    // A redirect would carry the token to an address that nobody named.
    if (redirects.includes(status) || headers['server'] !== 'forecache') {
      response.destroy();
      return redirects.includes(status) ? { kind: 'unreachable', detail: 'unexpected redirect' } : notAdmin(status);
    }
    return readAnswer(status, await bodyText(response));
  } catch (error) {
    if (signal.aborted) return { kind: 'unreachable', detail: `no answer within ${target.timeoutMs / 1000} s` };
    return { kind: 'unreachable', detail: networkDetail(error) };
  }
}

/** Not by `fetch`, which gives up on any answer that has not begun within 300 s: warming answers when it is done. */
async function responseTo(target: AdminTarget, call: AdminCall, signal: AbortSignal): Promise<IncomingMessage> {
  const url = new URL(call.path, target.base);
  const request = (url.protocol === 'https:' ? requestByTls : requestPlain)(url, {
    method: call.method,
    headers: {
      accept: 'application/json, application/problem+json',
      'accept-encoding': 'identity',
      connection: 'close',
      ...(target.token === undefined ? {} : { authorization: `Bearer ${target.token}` }),
      ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    signal,
  });
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once('response', resolve);
  // Stays: what breaks once the answer has begun is told by that as well.
  request.on('error', reject);
  request.end(call.body === undefined ? undefined : JSON.stringify(call.body));
  return promise;
}

async function bodyText(response: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    if (!(chunk instanceof Buffer)) continue;
    bytes += chunk.byteLength;
    if (bytes > maxAnswerBytes) return undefined;
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

function readAnswer(status: number, text: string | undefined): AdminAnswer {
  try {
    if (text !== undefined) return { kind: 'answer', status, body: JSON.parse(text) };
  } catch {
    // Told below: what answers there is no admin listener, whatever its status.
  }
  return notAdmin(status);
}

function notAdmin(status: number): AdminAnswer {
  return { kind: 'unreachable', detail: `what answers there is not a Forecache admin listener (status ${status})` };
}

/** Where several addresses were tried, the error itself says nothing. */
function networkDetail(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((inner) => (inner instanceof Error ? inner.message : String(inner))).join('; ');
  }
  return error.message;
}
