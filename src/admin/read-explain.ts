import type { ExplainRequest } from '../cache/operations.ts';
import { ok, refused, type Result } from '../core/problem.ts';
import { isText, notText, unknownMember } from './members.ts';
import { invalidBody, isJsonObject, type JsonObject } from './read-body.ts';

/** The body of `POST /api/explain`: `url`, and perhaps `listener`, `method`, `headers`, `body` and `response`. */
export function readExplain(body: JsonObject): Result<ExplainRequest> {
  const unknown = unknownMember(body, ['url', 'listener', 'method', 'headers', 'body', 'response']);
  if (unknown !== undefined) return refused(unknown);
  const { url, method, body: content } = body;
  if (!isText(url)) return refused(notText('url'));
  const listener = listenerOf(body['listener']);
  if (!listener.ok) return listener;
  if (!isMethod(method)) return refused(invalidBody('method must be the name of a method.', 'method'));
  const headers = headersOf(body['headers'], 'headers');
  if (!headers.ok) return headers;
  if (!isContent(content)) return refused(invalidBody('body must be a text.', 'body'));
  const response = responseOf(body['response']);
  if (!response.ok) return response;
  return ok({
    url,
    ...listener.value,
    ...(method === undefined ? {} : { method }),
    ...headers.value,
    ...(content === undefined ? {} : { body: content }),
    ...response.value,
  });
}

/** Any text: the call's own limit bounds it. */
function isContent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}

/** The name of a method, or none. */
function isMethod(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && /^[A-Za-z-]{1,32}$/.test(value));
}

/** `status`, and perhaps `headers`. */
function responseOf(response: unknown): Result<Pick<ExplainRequest, 'response'>> {
  if (response === undefined) return ok({});
  if (!isJsonObject(response)) return refused(invalidBody('response must be an object with a status.', 'response'));
  const unknown = unknownMember(response, ['status', 'headers']);
  if (unknown !== undefined) return refused(unknown);
  const { status, headers } = response;
  if (!(typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 999)) {
    return refused(invalidBody('response.status must be an integer from 200 to 999.', 'response'));
  }
  const fields = headersOf(headers, 'response.headers');
  return fields.ok ? ok({ response: { status, ...fields.value } }) : fields;
}

function headersOf(headers: unknown, member: string): Result<{ readonly headers?: Readonly<Record<string, string>> }> {
  if (headers === undefined) return ok({});
  const fields = fieldsOf(headers);
  const detail = `${member} must be an object of field names and texts.`;
  return fields === undefined ? refused(invalidBody(detail, member)) : ok({ headers: fields });
}

function listenerOf(listener: unknown): Result<Pick<ExplainRequest, 'listener'>> {
  if (listener === undefined) return ok({});
  return isText(listener) ? ok({ listener }) : refused(notText('listener'));
}

function fieldsOf(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isJsonObject(value)) return undefined;
  const lines = Object.entries(value);
  const fields = lines.flatMap(([name, text]) =>
    /^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name) && (text === '' || isText(text)) ? [[name, text] as const] : [],
  );
  return fields.length === lines.length && lines.length <= 100 ? Object.fromEntries(fields) : undefined;
}
