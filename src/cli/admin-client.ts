import { readFileSync } from 'node:fs';

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

/** Address and token from options, environment and defaults, in this order; the error is a sentence. */
export function adminTarget(options: AdminOptions, env: CliIo['env']): Result<AdminTarget, string> {
  const base = adminBase(options.admin ?? (env['FORECACHE_ADMIN'] || defaultAdmin));
  if (!base.ok) return base;
  const token = adminToken(options.tokenFile, env);
  if (!token.ok) return token;
  return ok({ base: base.value, token: token.value, timeoutMs: options.timeout * 1000 });
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
  const headers = new Headers({ accept: 'application/json, application/problem+json' });
  if (target.token !== undefined) headers.set('authorization', `Bearer ${target.token}`);
  if (call.body !== undefined) headers.set('content-type', 'application/json');
  try {
    const response = await fetch(new URL(call.path, target.base), {
      method: call.method,
      headers,
      body: call.body === undefined ? null : JSON.stringify(call.body),
      // A redirect would carry the token to an address that nobody named.
      redirect: 'error',
      signal: AbortSignal.timeout(target.timeoutMs),
    });
    if (response.headers.get('server') !== 'forecache') {
      await response.body?.cancel();
      return notAdmin(response.status);
    }
    return readAnswer(response.status, await bodyText(response));
  } catch (error) {
    return { kind: 'unreachable', detail: networkDetail(error, target) };
  }
}

async function bodyText(response: Response): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxAnswerBytes) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
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

/** The library says only "fetch failed"; the cause has the system's word for it. */
function networkDetail(error: unknown, target: AdminTarget): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${target.timeoutMs / 1000} s`;
  const { cause } = error;
  if (cause instanceof AggregateError && cause.message === '') {
    return cause.errors.map((inner) => (inner instanceof Error ? inner.message : String(inner))).join('; ');
  }
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}
