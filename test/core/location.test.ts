import { expect, test } from 'vitest';

import { locationOnProxy } from '../../src/core/location.ts';

test.each([
  ['http://api.example/next?page=2', undefined, '/next?page=2'],
  ['HTTP://API.example/next', undefined, '/next'],
  ['http://api.example/next', '/v1/{0}', 'http://api.example/next'],
  ['http://api.example.evil/next', undefined, 'http://api.example.evil/next'],
  ['http://api.example:81/next', undefined, 'http://api.example:81/next'],
  ['http://api.example', undefined, 'http://api.example'],
  ['http://api.example//evil.example/x', undefined, 'http://api.example//evil.example/x'],
  ['http://api.example/\\evil.example', undefined, 'http://api.example/\\evil.example'],
  ['/relative', undefined, '/relative'],
  ['https://other.example/', undefined, 'https://other.example/'],
])('Location %s on a route with forward %s becomes %s', (location, forward, expected) => {
  const upstream = { origin: 'http://api.example' };
  expect(locationOnProxy([['location', location]], upstream, { forward })).toEqual([['location', expected]]);
});
