import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { FieldLines } from '../../src/core/fields.ts';
import type { Route } from '../../src/core/route.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, routeOf } from '../support/policy.ts';

/** With this stored. */
async function rigWith(route: Route, fields: FieldLines, body: Buffer): Promise<ExchangeRig> {
  const rig = new ExchangeRig({ routes: [route] });
  onTestFinished(() => rig[Symbol.dispose]());
  rig.memory.put(rig.stored('/forecast', { fields, body, etag: '"v1"' }));
  return rig;
}

const valueOf = (fields: FieldLines, name: string): string | undefined => fields.find((line) => line[0] === name)?.[1];

describe('a 416', () => {
  it.each([
    ['a ruled', routeOf()],
    ['an honour', honourRoute()],
  ])('on %s route says nothing of what is stored but its length', async (_kind, route) => {
    const metadata = fieldsOf(
      'Cache-Control: max-age=3600',
      'CDN-Cache-Control: max-age=3600',
      'Expires: Mon, 23 Nov 2036 13:00:00 GMT',
      'Content-Type: text/plain',
      'Content-Disposition: attachment',
      'Content-MD5: x',
      'Content-Digest: sha-256=:x:',
      'Repr-Digest: sha-256=:x:',
      'Digest: x',
      'Last-Modified: Mon, 23 Nov 2026 11:00:00 GMT',
      'ETag: "v1"',
    );
    const rest = fieldsOf('Date: Mon, 23 Nov 2026 12:00:00 GMT', 'Vary: Accept', 'Access-Control-Allow-Origin: *');
    const rig = await rigWith(route, [...rest, ...metadata], Buffer.from('whole'));
    const seen = await rig.get('/forecast', 'Range: bytes=99-');
    expect(seen.status).toBe(416);
    expect(seen.fields.filter(([name]) => name !== 'cache-status' && name !== 'via')).toEqual([
      ...rest,
      ...fieldsOf('Accept-Ranges: bytes', 'Content-Range: bytes */5', 'Content-Length: 0'),
    ]);
  });
});

describe('the ETag of a 304', () => {
  it.each([
    ['identity', 'W/"v1"'],
    ['gzip', '"v1"'],
  ])('is that of the 200 which a client with Accept-Encoding: %s would get', async (accepted, etag) => {
    const fields = fieldsOf('Date: Mon, 23 Nov 2026 12:00:00 GMT', 'Content-Encoding: gzip', 'ETag: "v1"');
    const rig = await rigWith(honourRoute(), fields, gzipSync('text'));
    const whole = await rig.get('/forecast', `Accept-Encoding: ${accepted}`);
    const same = await rig.get('/forecast', `Accept-Encoding: ${accepted}`, 'If-None-Match: "v1"');
    expect([whole.status, same.status]).toEqual([200, 304]);
    expect([whole, same].map((seen) => valueOf(seen.fields, 'etag'))).toEqual([etag, etag]);
  });
});
