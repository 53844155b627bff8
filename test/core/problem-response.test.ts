import { describe, expect, it } from 'vitest';
import { fieldValue } from '../../src/core/fields.ts';
import { problemBody } from '../../src/core/problem-response.ts';

const notFound = { status: 404, code: 'route-not-found', title: 'No route', detail: 'No route matches /a.' };

describe('a problem on the wire', () => {
  it('has the members of RFC 9457 and is never cached', () => {
    const answer = problemBody(notFound, '/a');
    expect(answer.status).toBe(404);
    expect(fieldValue(answer.fields, 'content-type')).toBe('application/problem+json');
    expect(fieldValue(answer.fields, 'cache-control')).toBe('no-store');
    expect(JSON.parse(answer.body.toString())).toEqual({
      type: 'urn:forecache:problem:route-not-found',
      title: 'No route',
      status: 404,
      detail: 'No route matches /a.',
      instance: '/a',
    });
  });

  it('says when to come again, in whole seconds', () => {
    const answer = problemBody({ ...notFound, status: 429, retryAfter: 1.2 });
    expect(fieldValue(answer.fields, 'retry-after')).toBe('2');
    expect(JSON.parse(answer.body.toString())).toMatchObject({ retryAfter: 2 });
  });

  it('lists the methods that a 405 allows', () => {
    const answer = problemBody({ ...notFound, status: 405, extra: { allow: ['GET', 'HEAD'] } });
    expect(fieldValue(answer.fields, 'allow')).toBe('GET, HEAD');
  });

  it('lets no further member stand in for a standard one', () => {
    const answer = problemBody({ ...notFound, extra: { status: 200, title: 'fine', parameter: 'days' } });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 404, title: 'No route', parameter: 'days' });
  });

  it('holds nothing but printable ASCII and stays short', () => {
    const hostile = `\u001b[31m\r\n\u2028é${'x'.repeat(100_000)}`;
    const answer = problemBody(
      { ...notFound, detail: hostile, extra: { parameter: hostile, [hostile]: [hostile] } },
      hostile,
    );
    expect(answer.body.toString()).toMatch(/^[\x20-\x7e]*\n$/);
    expect(answer.body.byteLength).toBeLessThan(8192);
  });
});
