import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';

/** What an upstream does with a request. */
export type StreamHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** An upstream for large bodies: it sees them piece by piece, unlike `startOrigin`, which reads them whole. */
export interface StreamUpstream {
  readonly url: string;
  /** Connections open now. */
  connections(): Promise<number>;
}

/** Starts it; it is gone at the end of the test. */
export async function startStreamUpstream(handler: StreamHandler): Promise<StreamUpstream> {
  const server = createServer((request, response) => void handler(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return {
    url: `http://127.0.0.1:${address.port}`,
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
      }),
  };
}

/** Bytes that repeat only after a while, so that pieces in the wrong order show. */
export function* pieces(totalBytes: number, pieceBytes = 64 * 1024): Generator<Buffer, void, void> {
  for (let sent = 0; sent < totalBytes; sent += pieceBytes) {
    const piece = Buffer.alloc(Math.min(pieceBytes, totalBytes - sent), (sent / pieceBytes) % 251);
    yield piece;
  }
}

/** Writes them with backpressure; stops where the other side has gone. */
export async function sendPieces(
  to: NodeJS.WritableStream & { readonly destroyed?: boolean },
  totalBytes: number,
  onSent: (bytes: number) => void = () => {},
): Promise<void> {
  let sent = 0;
  for (const piece of pieces(totalBytes)) {
    if (to.destroyed === true) return;
    if (!to.write(piece)) await released(to);
    sent += piece.length;
    onSent(sent);
  }
}

/** There is room again, or nobody to make it. */
function released(to: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      to.removeListener('drain', settle);
      to.removeListener('close', settle);
      resolve();
    };
    to.on('drain', settle);
    to.on('close', settle);
  });
}
