import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { type Result, ok, refused } from '../core/problem.ts';
import type { Position } from './source.ts';

/** More than any hand-written configuration; what comes past it is no configuration. */
const maxFileBytes = 2 ** 20;

/** Why a file is no text that could be configuration, and where. */
export interface TextProblem {
  readonly at: Position;
  readonly message: string;
}

const start: Position = { line: 1, column: 1 };

/** Reads at most one byte past the limit, so that a device or a huge file costs no more. Never throws. */
export function readBytes(file: string): Result<Buffer, TextProblem> {
  const bytes = Buffer.alloc(maxFileBytes + 1);
  let length = 0;
  try {
    const handle = openSync(file, 'r');
    try {
      for (let read = -1; read !== 0 && length < bytes.length; length += read) {
        read = readSync(handle, bytes, length, bytes.length - length, null);
      }
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    return refused({ at: start, message: `cannot be read: ${reasonOf(error)}` });
  }
  return ok(bytes.subarray(0, length));
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  if (code === 'ENOENT') return 'there is no such file (ENOENT)';
  if (code === 'EACCES') return 'permission denied (EACCES)';
  if (code === 'EISDIR') return 'it is a directory (EISDIR)';
  return code;
}

/** The text of UTF-8 bytes, without a byte order mark. */
export function decodeText(bytes: Buffer): Result<string, TextProblem> {
  if (bytes.length > maxFileBytes) {
    return refused({ at: start, message: 'is larger than 1MiB, the most a configuration file may have' });
  }
  if (!isUtf8(bytes)) return refused(notUtf8(bytes));
  const text = bytes.toString('utf8');
  return ok(text.startsWith('\u{feff}') ? text.slice(1) : text);
}

function notUtf8(bytes: Buffer): TextProblem {
  if (['fffe', 'feff'].includes(bytes.toString('hex', 0, 2)))
    return { at: start, message: 'is UTF-16; it must be UTF-8' };
  let line = 1;
  for (let from = 0; from < bytes.length; line += 1) {
    const end = bytes.indexOf(0x0a, from);
    const part = bytes.subarray(from, end === -1 ? bytes.length : end);
    if (!isUtf8(part)) return { at: { line, column: columnOfFault(part) }, message: 'is not UTF-8 here' };
    from = end === -1 ? bytes.length : end + 1;
  }
  return { at: start, message: 'is not UTF-8' };
}

/** The column of the first replacement character that stands for bytes which are none. */
function columnOfFault(part: Buffer): number {
  const text = part.toString('utf8');
  let bytesBefore = 0;
  for (const [index, unit] of Array.from(text).entries()) {
    const expected = Buffer.from(unit);
    if (!expected.equals(part.subarray(bytesBefore, bytesBefore + expected.length))) return index + 1;
    bytesBefore += expected.length;
  }
  return text.length + 1;
}
