import type { Problem } from '../core/problem.ts';

/** Request content past the limit (RFC 9110 §15.5.14). */
export function contentTooLarge(maxBodyBytes: number): Problem {
  return {
    status: 413,
    code: 'content-too-large',
    title: 'Content too large',
    detail: `Request content may have at most ${maxBodyBytes} bytes.`,
    extra: { limit: maxBodyBytes },
  };
}

/** An upgrade that the relay cannot make. */
export const upgradeUnsupported: Problem = {
  status: 400,
  code: 'upgrade-unsupported',
  title: 'Upgrade not supported',
  detail: 'Only GET requests without content can be upgraded, and only to websocket.',
};
