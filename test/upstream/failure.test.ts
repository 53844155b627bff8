import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { describe as worded, nameFailure, pastLimit, type CallPhase } from '../../src/upstream/failure.ts';

function coded(code: string, message = 'message of a library'): Error {
  return Object.assign(new Error(message), { code });
}

const phases: readonly CallPhase[] = ['connecting', 'waiting', 'body'];

describe('An error of a connection', () => {
  it.each([
    ['ENOTFOUND', 'connecting', 'dns'],
    ['EAI_NODATA', 'connecting', 'dns'],
    ['ECONNREFUSED', 'connecting', 'connect'],
    ['ECONNRESET', 'connecting', 'connect'],
    ['EADDRNOTAVAIL', 'connecting', 'connect'],
    ['ECONNRESET', 'waiting', 'reset'],
    ['EPIPE', 'body', 'reset'],
    ['CERT_HAS_EXPIRED', 'connecting', 'tls'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'connecting', 'tls'],
    ['ERR_OSSL_SOMETHING_NEW', 'connecting', 'tls'],
    ['ERR_OSSL_SOMETHING_NEW', 'waiting', 'malformed'],
    ['UND_ERR_CONNECT_TIMEOUT', 'connecting', 'timeout'],
    ['UND_ERR_HEADERS_TIMEOUT', 'waiting', 'timeout'],
    ['UND_ERR_BODY_TIMEOUT', 'body', 'timeout'],
    ['UND_ERR_HEADERS_OVERFLOW', 'waiting', 'malformed'],
    ['HPE_INVALID_CONSTANT', 'waiting', 'malformed'],
    ['HPE_INVALID_EOF_STATE', 'body', 'truncated'],
    ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'body', 'truncated'],
    ['UND_ERR_SOCKET', 'waiting', 'reset'],
    ['UND_ERR_SOCKET', 'body', 'truncated'],
    ['UND_ERR_ABORTED', 'body', 'aborted'],
  ] as const)('%s while %s is %s', (code, phase, failure) => {
    expect(nameFailure(coded(code), phase).failure).toBe(failure);
  });

  it('is known by the code of its cause, or of the first of several', () => {
    expect(nameFailure(new Error('outer', { cause: coded('ENOTFOUND') }), 'connecting').failure).toBe('dns');
    // Not one that an error without any code is named, too.
    const several = new AggregateError([coded('ETIMEDOUT'), coded('ECONNREFUSED')]);
    expect(nameFailure(several, 'connecting').failure).toBe('timeout');
  });

  it('with a chain of causes that bites its tail is named all the same', () => {
    const error = new Error('a');
    error.cause = error;
    expect(phases.map((phase) => nameFailure(error, phase).failure)).toEqual(['connect', 'malformed', 'malformed']);
  });

  it('that is a response nobody asked for is malformed', () => {
    expect(nameFailure(coded('UND_ERR_SOCKET', 'bad response'), 'waiting').failure).toBe('malformed');
  });

  it.each([
    ['UND_ERR_CONNECT_TIMEOUT', 'connectTimeout'],
    ['UND_ERR_HEADERS_TIMEOUT', 'headersTimeout'],
    ['UND_ERR_BODY_TIMEOUT', 'bodyTimeout'],
    ['UND_ERR_HEADERS_OVERFLOW', 'maxHeaderBytes'],
    ['HPE_HEADER_OVERFLOW', 'maxHeaderBytes'],
    ['ECONNRESET', undefined],
  ])('%s is the limit %s', (code, limit) => {
    expect(nameFailure(coded(code), 'waiting').limit).toBe(limit);
  });

  it('is told in words of ours and a code alone, whatever was thrown', () => {
    fc.assert(
      fc.property(
        fc.anything(),
        fc.string(),
        fc.string(),
        fc.constantFrom(...phases),
        (thrown, code, message, phase) => {
          for (const error of [thrown, coded(code, message), new Error(message, { cause: thrown })]) {
            expect(nameFailure(error, phase).detail).toMatch(/^[a-zA-Z0-9/. ]+(?: \([A-Z][A-Z0-9_]{1,60}\))?$/);
          }
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe('A limit of ours', () => {
  it.each([
    ['connectTimeout', 'timeout'],
    ['headersTimeout', 'timeout'],
    ['bodyTimeout', 'timeout'],
    ['totalTimeout', 'timeout'],
    ['maxHeaderBytes', 'malformed'],
    ['maxBodyBytes', 'too-large'],
  ] as const)('%s ends a call as %s', (limit, failure) => {
    expect(pastLimit(limit)).toEqual({ ...worded(failure), limit });
  });
});
