import { readFileSync } from 'node:fs';

import { scopesOfUrl } from './cache/locate.ts';
import { usesLocation } from './cache/template.ts';
import { planJob } from './cache/warm-plan.ts';
import { warmTarget } from './cache/warm-target.ts';
import type { ConfigChecks, WarmRequests } from './config/compilation.ts';
import { quoted } from './config/units.ts';
import type { RouteTable } from './core/route-table.ts';
import { checkCron } from './cron.ts';
import { sha256 } from './sha256.ts';
import { systemClock } from './system-clock.ts';
import { compileQueryIssue } from './upstream/body-check.ts';

/** Everything about a config that can be checked before a socket is bound. */
export const configChecks: ConfigChecks = {
  checkQuery: compileQueryIssue,
  checkCron,
  checkCaFile,
  checkCertFiles,
  checkWarmJob,
  checkPurgeUrl,
};

const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

// node:crypto is read where there is a file to check: it takes 6 MiB and 8 ms of a start.

/** TLS would pass over what is no certificate, and then trust nobody. */
function checkCaFile(file: string): string | undefined {
  try {
    const found = readFileSync(file, 'utf8').match(certificate) ?? [];
    if (found.length === 0) return `${file} holds no certificate in PEM`;
    const { X509Certificate } = process.getBuiltinModule('node:crypto');
    for (const pem of found) void new X509Certificate(pem);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return code.startsWith('ERR_') ? `${file} holds a certificate that is none` : `${file} cannot be read: ${code}`;
  }
}

/** A pair that does not belong together would fail at each connection, and never at the start. */
function checkCertFiles(certFile: string, keyFile: string): ReturnType<NonNullable<ConfigChecks['checkCertFiles']>> {
  const problem = checkCaFile(certFile);
  if (problem !== undefined) return { of: 'certFile', message: problem };
  try {
    const { createPrivateKey, X509Certificate } = process.getBuiltinModule('node:crypto');
    const key = createPrivateKey(readFileSync(keyFile));
    if (new X509Certificate(readFileSync(certFile)).checkPrivateKey(key)) return undefined;
    return { of: 'keyFile', message: `${keyFile} is not the key of ${certFile}` };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const why =
      code.startsWith('E') && !code.startsWith('ERR_') ? `cannot be read: ${code}` : 'holds no private key in PEM';
    return { of: 'keyFile', message: `${keyFile} ${why}` };
  }
}

/** Locations that are tried for each job: a list of thousands would take a start too long. */
const sampledLocations = 20;

function checkWarmJob(table: RouteTable, job: WarmRequests, locations: readonly string[]): string | undefined {
  const sample = usesLocation(job.with.values()) ? locations.slice(0, sampledLocations) : [undefined];
  for (const location of sample) {
    const tried = location === undefined ? [] : [location];
    for (const { route, values } of planJob(table, job, tried, systemClock.nowMs())) {
      const target = values.ok ? warmTarget({ table, sha256 }, route, values.value) : values;
      if (target.ok) continue;
      const detail = typeof target.error === 'string' ? target.error : target.error.detail;
      return location === undefined ? detail : `${detail} (with location ${quoted(location)})`;
    }
  }
  return undefined;
}

function checkPurgeUrl(table: RouteTable, url: string): string | undefined {
  const urls = scopesOfUrl(table, url, sha256);
  return urls.ok ? undefined : urls.error.detail;
}
