import { type Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';

/** An answer as a client sees it. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** `Cache-Status`, the answer's most asked-for field. */
  readonly cacheStatus: string;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
  readonly signal?: AbortSignal;
}

/** One request over `node:http`, its target sent byte for byte (no URL parser in between). Rejects on a broken connection. */
export function ask(origin: string, target: string, options: Ask = {}): Promise<Reply> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        // As a socket takes an IPv6 address: without the brackets of the URL.
        host: hostname.replaceAll(/[[\]]/g, ''),
        port: Number(port),
        path: target,
        method: options.method ?? 'GET',
        headers: options.headers,
        agent: options.agent ?? false,
        signal: options.signal,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const body = Buffer.concat(chunks);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body,
            text: body.toString('utf8'),
            cacheStatus: String(response.headers['cache-status'] ?? ''),
          });
        });
      },
    );
    request.on('error', reject);
    request.end(options.body);
  });
}

/** The body of a JSON answer. */
export function json(reply: Reply): unknown {
  return JSON.parse(reply.text);
}
