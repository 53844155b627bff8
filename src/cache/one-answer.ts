import type { CanonicalRequest } from '../core/request.ts';
import type { Clock } from './ports.ts';
import type {
  AnswerReader,
  ReadAnswer,
  SupposedHead,
  UpstreamAnswer,
  UpstreamCall,
  UpstreamClient,
} from './upstream-ports.ts';

/** Gives the one answer that is known, as the client of upstream would hand it on, then none. */
export class OneAnswer implements UpstreamClient {
  calls = 0;
  /** Of the first call. */
  method: CanonicalRequest['method'] | undefined;
  /** What the answer comes to, once it was given. */
  read: ReadAnswer | undefined;
  readonly #clock: Clock;
  readonly #reader: Pick<AnswerReader, 'fetched'>;
  readonly #answer: SupposedHead | undefined;

  /** `answer`: `undefined` where upstream cannot be reached. */
  constructor(clock: Clock, reader: Pick<AnswerReader, 'fetched'>, answer: SupposedHead | undefined) {
    this.#clock = clock;
    this.#reader = reader;
    this.#answer = answer;
  }

  async fetch(call: UpstreamCall): Promise<UpstreamAnswer> {
    this.calls += 1;
    this.method ??= call.canonical.method;
    const atMs = this.#clock.nowMs();
    const times = { attempts: 0, requestTimeMs: atMs, responseTimeMs: atMs };
    if (this.#answer === undefined || this.calls > 1) {
      return { kind: 'failure', failure: 'connect', detail: 'a dry run', ...times };
    }
    const read = this.#reader.fetched(call, this.#answer);
    this.read = read;
    if (read.kind === 'failure') return { ...read, ...times };
    const { status, fields, length } = read;
    const body = { length, framed: true, chunks: noChunks, streamed: nothing, cancel: nothing };
    return { kind: 'response', status, fields, body, ...times };
  }
}

async function* noChunks(): AsyncGenerator<Buffer> {
  // Of the content its length may be known, and no decision that is shown depends on more.
}

function nothing(): void {
  // There is nothing to give up.
}
