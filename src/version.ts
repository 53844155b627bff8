import { readFileSync } from 'node:fs';

/** The package's version; beside `dist/` and `src/` alike lies the package.json that it came with. */
export const version: string = readVersion();

function readVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(`${import.meta.dirname}/../package.json`, 'utf8'));
  if (typeof parsed === 'object' && parsed !== null && 'version' in parsed && typeof parsed.version === 'string') {
    return parsed.version;
  }
  return '0.0.0';
}
