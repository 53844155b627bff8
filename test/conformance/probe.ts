import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';

import { SuiteError } from './suite.ts';

/** Long enough for a proxy that connects anew. */
const patienceMs = 10_000;

/** Stands where the suite's server will. Disposing of it frees the port. */
export interface Probe extends AsyncDisposable {
  /**
   * Throws {@link SuiteError} unless a request to the proxy arrives here: of a proxy that is not there, or that forwards
   * elsewhere, the suite would say that it fails every test.
   */
  reach(base: string, name: string): Promise<void>;
}

/** Listens on the port that the suite's server is to have. Throws {@link SuiteError} where it is taken. */
export async function openProbe(port: number): Promise<Probe> {
  const word = randomUUID();
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'Cache-Control': 'no-store', Connection: 'close' }).end(word);
  });
  await listen(server, port);
  return {
    reach: async (base, name) => {
      const said = await answerOf(`${base}/probe-${word}`);
      if (said.text === word) return;
      throw new SuiteError(
        `${name} does not pass requests on to the suite's server at port ${port}: ${said.problem ?? `it answers ${said.status} without asking there`}`,
      );
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolved) => void server.close(() => resolved()));
    },
  };
}

interface Said {
  readonly status?: number;
  readonly text?: string;
  /** Why there was no answer. */
  readonly problem?: string;
}

async function answerOf(url: string): Promise<Said> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(patienceMs) });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    return { problem: reasonOf(error) };
  }
}

/** `fetch failed` says nothing; its cause does. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return reasonOf(cause);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolved, reject) => {
    server.once('error', (error) => {
      reject(new SuiteError(`nothing can listen on port ${port}: ${reasonOf(error)}`, { cause: error }));
    });
    server.listen(port, () => resolved());
  });
}
