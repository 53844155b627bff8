import { request, type Agent, type IncomingHttpHeaders } from 'node:http';

/** One answer, read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly fields: IncomingHttpHeaders;
  readonly body: Buffer;
  /** From the call to the last byte, milliseconds. */
  readonly tookMs: number;
}

export interface HttpCall {
  readonly method?: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Keeps connections for the next call; each call has its own where there is none. */
  readonly agent?: Agent;
}

/** Asks and reads the whole answer; rejects where there is none. `fetch` would change the spelling of the target. */
export function get(url: string, call: HttpCall = {}): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const { origin } = new URL(url);
    const beganMs = performance.now();
    const asked = request(
      origin,
      {
        method: call.method ?? 'GET',
        // As written: no normalisation of the path or the query.
        path: url.slice(origin.length) || '/',
        headers: { ...call.fields },
        agent: call.agent ?? false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            fields: response.headers,
            body: Buffer.concat(chunks),
            tookMs: performance.now() - beganMs,
          });
        });
      },
    );
    asked.on('error', reject);
    asked.end(call.body);
  });
}

/** As {@link get}, for JSON both ways; the members of an answer that is no object are none. */
export async function callJson(url: string, body?: unknown): Promise<ReadonlyMap<string, unknown>> {
  const call: HttpCall =
    body === undefined
      ? {}
      : { method: 'POST', fields: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await get(url, call);
  if (answer.status >= 300)
    throw new Error(`${url} answered ${answer.status}: ${answer.body.toString().slice(0, 500)}`);
  const value: unknown = JSON.parse(answer.body.toString());
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
}
