import { describe, expect, test } from 'vitest';

import type { AnswerSource, ContentSink } from '../../src/upstream/relay-answer.ts';
import { passContent } from '../../src/upstream/relay-content.ts';

/** An answer of which so many chunks came before anybody asked for them, and a client that takes nothing until it is told to. */
function heldUp(chunks: number): { readonly log: string[]; readonly sink: ContentSink; readonly take: () => void } {
  const log: string[] = [];
  const waits: (() => void)[] = [];
  let sink: ContentSink | undefined;
  const answer: AnswerSource = {
    statusCode: 200,
    rawHeaders: [],
    complete: false,
    destroyed: false,
    fault: undefined,
    framing: undefined,
    destroy: () => {},
    flow: (given) => {
      sink = given;
      for (let count = 0; count < chunks; count += 1) given.chunk(Buffer.from('a'));
    },
    pause: () => log.push('pause'),
    resume: () => log.push('resume'),
    [Symbol.asyncIterator]: () => {
      throw new Error('nothing is made of it');
    },
  };
  const to = { passing: true, whole: false, touch: () => {}, finish: () => {}, fail: () => {} };
  const reply = {
    write: () => false,
    whenTaken: (callback: () => void) => {
      log.push('wait');
      waits.push(callback);
    },
    taken: () => Promise.resolve(),
  };
  passContent(answer, { fields: [], received: [], chunks: undefined, maxBytes: 1000 }, { to, reply, tap: undefined });
  if (sink === undefined) throw new Error('nobody has asked for the content');
  return { log, sink, take: () => waits.shift()?.() };
}

describe('the content of a relayed answer', () => {
  test('that came in many chunks before it was asked for waits for its client once', () => {
    const { log } = heldUp(100);
    expect(log).toEqual(['pause', 'wait']);
  });

  test('waits anew after its client has taken what was there', () => {
    const { log, sink, take } = heldUp(2);
    take();
    sink.chunk(Buffer.from('b'));
    expect(log).toEqual(['pause', 'wait', 'resume', 'pause', 'wait']);
  });
});
