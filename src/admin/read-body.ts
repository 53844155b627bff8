import type { IncomingMessage } from 'node:http';
import { canonicalJson } from '../core/json-text.ts';
import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import { maxDroppedBytes } from './reply.ts';

/** How much may be read. */
export interface BodyLimit {
  readonly maxBodyBytes: number;
  /** Hears of content that is larger. */
  readonly onTooLarge: () => void;
}

/** What a JSON body holds, by member name; a body that is absent is an object without members. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads a body that must be one JSON object in `application/json`, which no form of another site can send. Refused
 * with 400, 413 or 415. Rejects only where the client goes.
 */
export async function readJsonObject(request: IncomingMessage, limit: BodyLimit): Promise<Result<JsonObject>> {
  if (!hasContent(request)) return ok({});
  if (!isJson(request)) return refused(notJson);
  const bytes = await readBytes(request, limit.maxBodyBytes);
  if (bytes !== undefined) return parseObject(bytes);
  limit.onTooLarge();
  return refused(tooLarge(limit.maxBodyBytes));
}

function hasContent({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isJson({ headers }: IncomingMessage): boolean {
  return (
    /^application\/json *(?:;|$)/i.test(headers['content-type'] ?? '') && headers['content-encoding'] === undefined
  );
}

async function readBytes(request: IncomingMessage, maxBodyBytes: number): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > maxDroppedBytes) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  // Left at the limit the iterator would destroy the socket, and with it the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.byteLength;
    if (length > maxDroppedBytes) return undefined;
    if (length <= maxBodyBytes) chunks.push(chunk);
  }
  return length > maxBodyBytes ? undefined : Buffer.concat(chunks);
}

function parseObject(bytes: Buffer): Result<JsonObject> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    if (isJsonObject(value)) return readInOneWay(text, value);
  } catch {
    // Told below: not UTF-8 or not JSON. The parser's own words would quote the content.
  }
  return refused(invalidBody('The content must be one JSON object in UTF-8.'));
}

/** Of a member that is named twice `JSON.parse` takes the last: another route would be purged than the one that a reader sees first. */
function readInOneWay(text: string, value: JsonObject): Result<JsonObject> {
  const canonical = canonicalJson(text);
  return canonical.ok ? ok(value) : refused(invalidBody(`The content ${canonical.error}.`));
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The 400 for content that is not what the call takes. */
export function invalidBody(detail: string, member?: string): Problem {
  return {
    status: 400,
    code: 'body-invalid',
    title: 'Content is not what this call takes',
    detail,
    ...(member === undefined ? {} : { extra: { member } }),
  };
}

const notJson: Problem = {
  status: 415,
  code: 'content-not-json',
  title: 'Content is not JSON',
  detail: 'Content must be application/json without a content coding.',
};

function tooLarge(maxBodyBytes: number): Problem {
  return {
    status: 413,
    code: 'content-too-large',
    title: 'Content is too large',
    detail: `Content may have ${maxBodyBytes} bytes at most.`,
    extra: { limit: maxBodyBytes },
  };
}
