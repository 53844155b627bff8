import { closeSync, openSync, readSync } from 'node:fs';

/**
 * As many bytes as asked for that nobody can foresee, from where node:crypto has them too: the system's own generator
 * (random(4)). node:crypto itself takes 2.5 MiB and 6 ms of a start, so it is asked only where there is no such file.
 */
export function secretBytes(length: number, source = '/dev/urandom'): Buffer {
  return fromFile(source, length) ?? process.getBuiltinModule('node:crypto').randomBytes(length);
}

/** `undefined` where the file is not there or does not give as many: Windows, a container without devices. */
function fromFile(source: string, length: number): Buffer | undefined {
  let file: number | undefined;
  try {
    file = openSync(source, 'r');
    const bytes = Buffer.alloc(length);
    return readSync(file, bytes) === length ? bytes : undefined;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
