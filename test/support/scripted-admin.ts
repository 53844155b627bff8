import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';

/** A request that the scripted admin listener got. */
export interface AdminRequestSeen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

/** What it answers: JSON by default, any text where `text` is given, as an admin listener unless `server` says otherwise; `undefined` never answers. */
export type ScriptedAnswer =
  | {
      readonly status: number;
      readonly json?: unknown;
      readonly text?: string;
      readonly location?: string;
      readonly server?: string;
    }
  | undefined;

export interface ScriptedAdmin extends AsyncDisposable {
  readonly url: string;
  readonly seen: readonly AdminRequestSeen[];
}

/** An admin listener on a free port that answers each request with what `answer` gives. */
export async function scriptedAdmin(answer: (request: AdminRequestSeen) => ScriptedAnswer): Promise<ScriptedAdmin> {
  const seen: AdminRequestSeen[] = [];
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const body: unknown = text === '' ? undefined : JSON.parse(text);
      const request = { method: req.method ?? '', url: req.url ?? '', headers: req.headers, body };
      seen.push(request);
      const answered = answer(request);
      if (answered === undefined) return;
      if (answered.location !== undefined) res.setHeader('location', answered.location);
      const { server: name = 'forecache' } = answered;
      if (name !== '') res.setHeader('server', name);
      res.statusCode = answered.status;
      res.end(answered.text ?? JSON.stringify(answered.json ?? {}));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    seen,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
