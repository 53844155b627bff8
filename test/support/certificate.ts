import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** A key and a certificate for `localhost` that nobody has signed but itself. */
export interface TestCertificate extends Disposable {
  readonly key: string;
  readonly cert: string;
  /** PEM file of the certificate. */
  readonly certFile: string;
}

/** Made anew for each call; the file goes when it is disposed. */
export async function selfSigned(): Promise<TestCertificate> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  });
  const folder = mkdtempSync(join(tmpdir(), 'forecache-cert-'));
  const certFile = join(folder, 'cert.pem');
  writeFileSync(certFile, made.cert);
  return {
    key: made.private,
    cert: made.cert,
    certFile,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
