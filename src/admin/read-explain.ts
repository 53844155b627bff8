import type { ExplainRequest } from '../cache/operations.ts';
import { ok, refused, type Result } from '../core/problem.ts';
import { isText, notText, unknownMember } from './members.ts';
import { invalidBody, isJsonObject, type JsonObject } from './read-body.ts';

/** The body of `POST /api/explain`: `url`, and perhaps `listener`, `method`, `headers` and `body`. */
export function readExplain(body: JsonObject): Result<ExplainRequest> {
  const unknown = unknownMember(body, ['url', 'listener', 'method', 'headers', 'body']);
  if (unknown !== undefined) return refused(unknown);
  const { url, method, headers, body: content } = body;
  if (!isText(url)) return refused(notText('url'));
  const listener = listenerOf(body['listener']);
  if (!listener.ok) return listener;
  if (!isMethod(method)) return refused(invalidBody('method must be the name of a method.', 'method'));
  const fields = headers === undefined ? undefined : requestFields(headers);
  if (headers !== undefined && fields === undefined) {
    return refused(invalidBody('headers must be an object of field names and texts.', 'headers'));
  }
  if (!isContent(content)) return refused(invalidBody('body must be a text.', 'body'));
  return ok({
    url,
    ...listener.value,
    ...(method === undefined ? {} : { method }),
    ...(fields === undefined ? {} : { headers: fields }),
    ...(content === undefined ? {} : { body: content }),
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

function listenerOf(listener: unknown): Result<Pick<ExplainRequest, 'listener'>> {
  if (listener === undefined) return ok({});
  return isText(listener) ? ok({ listener }) : refused(notText('listener'));
}

function requestFields(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isJsonObject(value)) return undefined;
  const lines = Object.entries(value);
  const fields = lines.flatMap(([name, text]) =>
    /^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name) && (text === '' || isText(text)) ? [[name, text] as const] : [],
  );
  return fields.length === lines.length && lines.length <= 100 ? Object.fromEntries(fields) : undefined;
}
