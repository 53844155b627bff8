import type { Problem } from '../core/problem.ts';

/** An upgrade that the relay cannot make. */
export const upgradeUnsupported: Problem = {
  status: 400,
  code: 'upgrade-unsupported',
  title: 'Upgrade not supported',
  detail: 'Only GET requests without content can be upgraded, and only to websocket.',
};
