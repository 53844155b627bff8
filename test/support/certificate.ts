import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A key and a certificate for `localhost` that nobody has signed but itself. */
export interface TestCertificate extends Disposable {
  readonly key: string;
  readonly cert: string;
  /** PEM file of the certificate. */
  readonly certFile: string;
}

/** Made anew by `openssl`; the files go when it is disposed. */
export function selfSigned(): TestCertificate {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-cert-'));
  const keyFile = join(folder, 'key.pem');
  const certFile = join(folder, 'cert.pem');
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '36500'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', keyFile, '-out', certFile, ...subject], {
    stdio: 'ignore',
  });
  return {
    key: readFileSync(keyFile, 'utf8'),
    cert: readFileSync(certFile, 'utf8'),
    certFile,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
