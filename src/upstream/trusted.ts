import { readFileSync } from 'node:fs';

/** The system's authorities and the one of the file, in PEM. Throws where the file cannot be read. */
export function trusted(caFile: string): string[] {
  // Read with the first use: node:tls, with node:crypto, takes 8 MiB, and most upstreams have no authority of their own, or no TLS.
  const { getCACertificates } = process.getBuiltinModule('node:tls');
  return [...getCACertificates('default'), readFileSync(caFile, 'utf8')];
}
