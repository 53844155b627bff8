import { ok, refused, type Result } from '../core/problem.ts';
import type { ExplainInput } from './io.ts';

export interface ExplainOptions {
  readonly config?: string;
  readonly listener?: string;
  readonly method?: string;
  /** `name: value` each. */
  readonly header?: readonly string[];
  /** Content. */
  readonly data?: string;
  /** Of the answer that upstream is supposed to give. */
  readonly status?: number;
  /** As `header`, of that answer. */
  readonly responseHeader?: readonly string[];
}

/** The body of `POST /api/explain`; the error is a sentence. */
export function explainBody(url: string, options: ExplainOptions): Result<ExplainInput, string> {
  const { header = [], responseHeader = [], status } = options;
  const headers = headersOf(header);
  if (!headers.ok) return headers;
  const responseHeaders = headersOf(responseHeader);
  if (!responseHeaders.ok) return responseHeaders;
  // A field alone is of the answer that is meant in most cases.
  const isSupposed = status !== undefined || responseHeader.length > 0;
  const response = { status: status ?? 200, headers: responseHeaders.value };
  return ok({
    url,
    ...(options.listener === undefined ? {} : { listener: options.listener }),
    ...(options.method === undefined ? {} : { method: options.method }),
    ...(header.length === 0 ? {} : { headers: headers.value }),
    ...(options.data === undefined ? {} : { body: options.data }),
    ...(isSupposed ? { response } : {}),
  });
}

function headersOf(lines: readonly string[]): Result<Record<string, string>, string> {
  const headers: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 1) return refused(`a header is written 'name: value', not ${line}`);
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    // Lines of one field combine as in the key of a request (RFC 9110 §5.3, for Cookie RFC 9113 §8.2.3).
    const between = name === 'cookie' ? '; ' : ', ';
    headers[name] = headers[name] === undefined ? value : headers[name] + between + value;
  }
  return ok(headers);
}
