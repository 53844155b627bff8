import type { Problem } from '../core/problem.ts';

/** The answer to a request whose head or content does not come in time. */
export const requestTimeout: Problem = {
  status: 408,
  code: 'request-timeout',
  title: 'Request Timeout',
  detail: 'The request did not arrive in time.',
};
