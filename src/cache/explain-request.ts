import { fieldValue, type FieldLines } from '../core/fields.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import type { WholeRequest } from './explain-content.ts';
import type { ExplainRequest } from './operations.ts';
import type { SupposedHead } from './upstream-ports.ts';

/** What an operator says of a request beside its URL; a 400 where no request can have it. */
export function readRequest(
  input: ExplainRequest,
): Result<Pick<WholeRequest, 'method' | 'fields' | 'hasContent' | 'body'>> {
  const { method = 'GET', headers = {}, body: text = '' } = input;
  if (!token.test(method)) return refused(notARequest('The method is no token (RFC 9110 §9.1).'));
  const fields = fieldLines(headers);
  if (!fields.ok) return fields;
  const body = new TextEncoder().encode(text);
  return ok({ method, fields: fields.value, hasContent: body.length > 0 || hasContent(fields.value), body });
}

/** What an operator supposes upstream to answer; a 400 where no final answer can be that. */
export function readResponse(response: ExplainRequest['response']): Result<SupposedHead | undefined> {
  if (response === undefined) return ok(undefined);
  const { status, headers = {} } = response;
  if (!Number.isInteger(status) || status < 200 || status > 999) {
    return refused(notARequest('The status of a final answer is from 200 to 999 (RFC 9110 §15).'));
  }
  const fields = fieldLines(headers);
  return fields.ok ? ok({ status, fields: fields.value }) : fields;
}

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+.^_`|~\dA-Za-z-]+$/u;

function fieldLines(headers: Readonly<Record<string, string>>): Result<FieldLines> {
  const fields: (readonly [string, string])[] = [];
  for (const [name, value] of Object.entries(headers)) {
    // What node:http would not let in must not be explained as if it could come.
    if (!token.test(name) || !/^[\t\u0020-\u007e\u0080-\u00ff]*$/u.test(value)) {
      return refused(notARequest('A header has a name or a value that no message can have (RFC 9110 §5).'));
    }
    fields.push([name.toLowerCase(), value.trim()]);
  }
  return ok(fields);
}

/** RFC 9112 §6: content is announced by either field. */
function hasContent(fields: FieldLines): boolean {
  return fieldValue(fields, 'transfer-encoding') !== undefined || Number(fieldValue(fields, 'content-length') ?? 0) > 0;
}

function notARequest(detail: string): Problem {
  return { status: 400, code: 'explain-invalid', title: 'Not a request', detail };
}
