import type { RelayTap } from '../cache/handled.ts';
import { UpstreamBodyError } from '../cache/upstream-ports.ts';
import { describe, pastLimit, type NamedFailure } from './failure.ts';
import type { AnswerSource, PassedAnswer } from './relay-answer.ts';

/** The exchange whose answer it is. */
interface Passing {
  /** False once it has ended, however. */
  readonly passing: boolean;
  /** All was passed on, and that is all there is. */
  readonly whole: boolean;
  touch(): void;
  finish(): void;
  fail(failure: NamedFailure): void;
}

/** The client's side. */
interface Taker {
  write(chunk: Buffer): boolean;
  whenTaken(callback: () => void): void;
  taken(chunk: Buffer): Promise<void>;
}

interface Ways {
  readonly to: Passing;
  readonly reply: Taker;
  readonly tap: RelayTap | undefined;
}

/** Passes on the content of an answer, no faster than its client takes it, and ends the exchange when all is passed on. */
export function passContent(answer: AnswerSource, passed: PassedAnswer, ways: Ways): void {
  if (passed.chunks === undefined) flow(answer, passed.maxBytes, ways);
  else void carry(answer, passed.chunks, ways);
}

/** As it comes. */
function flow(answer: AnswerSource, maxBytes: number, { to, reply, tap }: Ways): void {
  let bytes = 0;
  let heard = tap;
  let isHeldUp = false;
  const over = (): void => {
    heard?.end(to.whole);
    heard = undefined;
  };
  answer.flow({
    chunk: (chunk) => {
      if (!to.passing) return;
      to.touch();
      bytes += chunk.length;
      if (bytes > maxBytes) {
        to.fail(pastLimit('maxBodyBytes'));
        return;
      }
      tap?.chunk(chunk);
      // What came before anybody asked is told all at once, and one wait is enough for it.
      if (reply.write(chunk) || isHeldUp) return;
      isHeldUp = true;
      answer.pause();
      reply.whenTaken(() => {
        isHeldUp = false;
        to.touch();
        answer.resume();
      });
    },
    end: () => {
      if (to.passing) to.finish();
      over();
    },
    cut: () => {
      if (to.passing) to.fail(describe('truncated'));
      over();
    },
  });
}

/** What is made of it: without secrets, and in no coding. */
async function carry(answer: AnswerSource, chunks: AsyncIterable<Buffer>, { to, reply, tap }: Ways): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (!to.passing) return;
      tap?.chunk(chunk);
      await reply.taken(chunk);
      to.touch();
    }
    if (!answer.complete) to.fail(describe('truncated'));
    if (to.passing) to.finish();
  } catch (error) {
    if (!(error instanceof UpstreamBodyError)) to.fail(describe('truncated'));
    else if (error.failure === 'too-large') to.fail(pastLimit('maxBodyBytes'));
    else to.fail({ failure: error.failure, detail: error.message });
  } finally {
    tap?.end(to.whole);
  }
}
