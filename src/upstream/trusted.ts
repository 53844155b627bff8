import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';

/** The system's authorities and the one of the file, in PEM. Throws where the file cannot be read. */
export function trusted(caFile: string): string[] {
  return [...getCACertificates('default'), readFileSync(caFile, 'utf8')];
}
