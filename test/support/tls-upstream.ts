import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import { resetSocket } from './reset-socket.ts';
import type { TestCertificate } from './certificate.ts';

/** How it closes: in order; by the end of the connection below alone; by a reset. */
export type TlsEnd = 'alert' | 'fin' | 'rst';

export interface TlsUpstream extends AsyncDisposable {
  readonly url: string;
}

/** An upstream with TLS that reads the head of each request, answers with these bytes, and closes. */
export async function startTlsUpstream(
  { key, cert }: TestCertificate,
  bytes: string | Buffer,
  end: TlsEnd,
): Promise<TlsUpstream> {
  const plain = new Set<Socket>();
  // What it sends is not held back (RFC 896): a reset takes with it what has not left.
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (raw) => {
    plain.add(raw);
    raw.on('error', () => {});
    const secure = new TLSSocket(raw, { isServer: true, key, cert });
    secure.on('error', () => {});
    secure.once('data', () => {
      secure.resume();
      secure.write(bytes, () => {
        if (end === 'alert') secure.end();
        else if (end === 'fin') raw.end();
        else resetSocket(raw);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the upstream is not listening');
  return {
    url: `https://localhost:${address.port}`,
    [Symbol.asyncDispose]: async () => {
      for (const raw of plain) raw.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
