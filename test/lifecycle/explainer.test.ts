import { expect, test, vi } from 'vitest';

import { buildExplainer } from '../../src/serving.ts';
import { configOf } from '../support/config-text.ts';

const made = vi.hoisted(() => ({ times: 0 }));

vi.mock('../../src/cache/explain.ts', () => ({
  createExplainer: () => {
    made.times += 1;
    if (made.times === 1) throw new Error('EMFILE: too many open files');
    return { explain: async () => 'explained' };
  },
}));

test('what explains is read anew with the next question where it could not be read, and then no more', async () => {
  const config = configOf(`
upstreams: { api: { origin: "http://127.0.0.1:9" } }
routes: [{ name: one, match: /one, upstream: api, ttl: 1h }]
`);
  // Of the parts nothing is used but by what is put in the place of the explainer here.
  const parts = JSON.parse('{ "deps": {}, "tiers": {} }');
  const explainer = buildExplainer(config, parts, () => []);
  const request = JSON.parse('{}');
  await expect(explainer.explain(request)).rejects.toThrow('EMFILE');
  expect(await explainer.explain(request)).toBe('explained');
  expect(await explainer.explain(request)).toBe('explained');
  expect(made.times).toBe(2);
});
