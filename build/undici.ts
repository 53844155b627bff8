import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'rolldown';

/** What `src/upstream/connection.ts` takes of undici, and the files that undici itself takes it from. */
const parts = {
  Client: './lib/dispatcher/client.js',
  Pool: './lib/dispatcher/pool.js',
  buildConnector: './lib/core/connect.js',
} as const;

const noHttp2 = '\0no-http2';

/**
 * Has the bundle hold that part of undici alone. Its main file also loads fetch, WebSocket, caches and mocks, and HTTP/2, with what they
 * need of Node: node:tls, node:crypto, node:zlib, streams of the web. The first call of a process took 20 MiB for all that, and nothing
 * of it was ever used: connections are HTTP/1.1, and undici reads node:tls by itself where an origin has TLS.
 */
export function undiciForCalls(): Plugin {
  const required = createRequire(import.meta.url);
  const main = required.resolve('undici');
  refuseOther(required, main);
  return {
    name: 'undici-for-calls',
    resolveId(source, importer) {
      // Where Node is built without it, undici does without.
      return source === 'node:http2' && importer?.includes('/undici/') === true ? noHttp2 : undefined;
    },
    load(id) {
      if (id === noHttp2) return `throw new Error('HTTP/2 is not in the bundle');`;
      if (id !== main) return undefined;
      const lines = Object.entries(parts).map(([name, file]) => `module.exports.${name} = require('${file}');`);
      return lines.join('\n');
    },
  };
}

/** Another version of undici may have them elsewhere, and `connection.ts` may take more. Throws. */
function refuseOther(required: NodeJS.Require, main: string): void {
  const whole: Readonly<Record<string, unknown>> = required(main);
  const fromMain = createRequire(main);
  for (const [name, file] of Object.entries(parts)) {
    if (whole[name] === undefined || whole[name] !== fromMain(file))
      throw new Error(`undici has no ${name} in ${file}`);
  }
  const source = readFileSync(fileURLToPath(new URL('../src/upstream/connection.ts', import.meta.url)), 'utf8');
  const taken = /import \{(.*)\} from 'undici'/.exec(source)?.[1]?.split(',') ?? [];
  const values = taken.map((name) => name.trim()).filter((name) => name !== '' && !name.startsWith('type '));
  const missing = values.filter((name) => !(name in parts));
  if (values.length === 0 || missing.length > 0) throw new Error(`the bundle leaves out of undici: ${missing.join()}`);
}
