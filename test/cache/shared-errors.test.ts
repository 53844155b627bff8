import { describe, expect, it, onTestFinished } from 'vitest';

import type { Route } from '../../src/core/route.ts';
import { ExchangeRig, ScriptedLocks, type Seen } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, MINUTE } from '../support/policy.ts';

/** What one of those who wait together sends. */
type Lines = readonly string[];

const route: Route = honourRoute({ maxStoredBytes: 64 }, { forwardHeaders: ['x-odd'] });
const large = 'x'.repeat(1000);

const LIFETIME = 'max-age=60, stale-if-error=6000';

interface Failing {
  /** Of the error. */
  readonly body: string;
  /** Of what is stored. */
  readonly lifetime?: string;
}

/** A response is stored and stale; requests with these lines wait for one call, which an error answers. */
async function failedTogether({ body, lifetime = LIFETIME }: Failing, ...requests: readonly Lines[]) {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  const stored = rig.get();
  await rig.settle();
  rig.call(0).answer(200, 'v1', fieldsOf(`cache-control: ${lifetime}`));
  await stored;
  await rig.pass(2 * MINUTE, 2 * MINUTE);
  const answers: Promise<Seen>[] = [];
  for (const lines of requests) {
    answers.push(rig.get('/forecast', ...lines));
    await rig.settle();
  }
  rig.call(1).answer(503, body);
  await rig.settle();
  return { rig, answers };
}

describe('an error in whose place something stale is given', () => {
  it.each([
    ['large', large],
    ['small', 'down'],
  ])('is for all who wait for it, and for who comes next together with others: %s', async (_case, body) => {
    const { rig, answers } = await failedTogether({ body }, [], [], []);
    expect(rig.calls).toHaveLength(2);
    expect((await Promise.all(answers)).map(({ text }) => text)).toEqual(['v1', 'v1', 'v1']);
    const next = [rig.get(), rig.get()];
    await rig.settle();
    expect(rig.calls).toHaveLength(3);
    rig.call(2).answer(503, body);
    expect((await Promise.all(next)).map(({ text }) => text)).toEqual(['v1', 'v1']);
  });

  it('is not for a request that looks otherwise to upstream', async () => {
    const { rig, answers } = await failedTogether({ body: large }, ['x-odd: 1'], []);
    expect(rig.calls).toHaveLength(3);
    rig.call(2).answer(200, 'v2', fieldsOf('cache-control: max-age=60'));
    expect((await Promise.all(answers)).map(({ text }) => text)).toEqual(['v1', 'v2']);
  });

  it('is left whole to whoever began the call and takes nothing stale', async () => {
    const asks = ['cache-control: stale-if-error=6000'];
    const { rig, answers } = await failedTogether({ body: large, lifetime: 'max-age=60' }, [], asks);
    expect((await Promise.all(answers)).map(({ text }) => text)).toEqual([large, 'v1']);
    expect(rig.calls).toHaveLength(2);
  });
});

describe('an error that came of a call without a lease', () => {
  it.each([
    ['large', large],
    ['small', 'down'],
  ])('is for whoever began the call alone, where nothing stale may be given for it: %s', async (_case, body) => {
    const locks = new ScriptedLocks();
    const rig = new ExchangeRig({ routes: [route], locks });
    onTestFinished(() => rig[Symbol.dispose]());
    locks.answers = [locks.ours];
    const stored = rig.get();
    await rig.settle();
    rig.call(0).answer(200, 'v1', fieldsOf(`cache-control: ${LIFETIME}`));
    await stored;
    await rig.pass(2 * MINUTE, 2 * MINUTE);
    const both = [rig.get(), rig.get()];
    // Lost while the process waits for its turn, and back when upstream answers.
    rig.log.leased = false;
    await rig.settle();
    rig.log.leased = true;
    rig.call(1).answer(503, body);
    await rig.settle();
    expect(rig.calls).toHaveLength(3);
    rig.call(2).answer(200, 'v2', fieldsOf('cache-control: max-age=60'));
    expect((await Promise.all(both)).map(({ text }) => text)).toEqual([body, 'v2']);
  });
});

describe('a call that was given up', () => {
  const link = { interim: () => {}, whenOver: () => {} };

  it('in the very step in which a request joined it is made anew for that request', async () => {
    const rig = new ExchangeRig({ routes: [route] });
    onTestFinished(() => rig[Symbol.dispose]());
    const gone = { ...link, isOver: false };
    const first = rig.ask({ client: gone });
    await rig.settle();
    gone.isOver = true;
    const joined = rig.ask({ client: { ...link, isOver: false } });
    const alsoGone = rig.ask({ client: gone });
    await rig.settle();
    rig.call(0).fail('aborted');
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'v1', fieldsOf('cache-control: max-age=60'));
    expect((await joined).text).toBe('v1');
    expect((await Promise.all([first, alsoGone])).map(({ status }) => status)).toEqual([502, 502]);
  });
});
