import { expect, it } from 'vitest';

import type { ProxyResponse, Repeat } from '../../src/cache/ports.ts';
import { AnswerWriter, factsOf } from '../../src/server/fast-lane-answer.ts';
import { metaOfHit } from '../support/fast-lane.ts';
import { heapBytes } from '../support/heap.ts';
import { requestOf } from '../support/policy.ts';

const heads = 200;
/** Of what is stored of a response beside its body. */
const storedBytes = 100_000;

/** Its URL is a piece of a larger text, as that of a response which was unpacked. */
function hit(number: number): ProxyResponse {
  const stored = Buffer.alloc(storedBytes, `/forecast/of/some/place/${number}?`).toString('latin1');
  return {
    status: 200,
    fields: [
      ['age', '12'],
      ['date', 'Mon, 23 Nov 2026 12:00:00 GMT'],
      ['content-length', '1'],
      ['cache-status', 'forecache; hit; ttl=345'],
    ],
    body: { kind: 'bytes', bytes: Buffer.from('x') },
    meta: { ...metaOfHit, url: stored.slice(0, 30) },
  };
}

it('What is known of a head keeps nothing alive of the response beside its URL', () => {
  const writer = new AnswerWriter({ keepAliveMs: 5000 });
  const said = { ageSeconds: 12, ttlSeconds: 345, sinceMs: 0, untilMs: 0, lastMs: 0 };
  const known = (number: number) => {
    const repeat: Repeat = {
      ageLine: 0,
      ttlFrom: 'forecache; hit; ttl='.length,
      madeOf: undefined,
      at: () => said,
      again: () => true,
    };
    return factsOf({ writer, observer: {} }, requestOf(), hit(number), repeat);
  };
  known(0);
  const before = heapBytes();
  const facts = Array.from({ length: heads }, (_none, number) => known(number));
  const grown = heapBytes() - before;
  expect(facts.map(({ meta }) => meta.url.slice(0, 25))).toContain('/forecast/of/some/place/7');
  expect(grown / heads).toBeLessThan(storedBytes / 10);
});
