import { expect, it } from 'vitest';

import { secretValues } from '../../src/core/secret-values.ts';
import { createLog } from '../../src/log/log.ts';
import { secretsOf } from '../../src/serving.ts';
import { createRedactor } from '../../src/upstream/redact.ts';
import { configOf } from '../support/config-text.ts';

const config = configOf(
  `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0, token: "\${ADMIN}" }
store: { redis: { url: "redis://:\${REDIS}@r" } }
upstreams:
  a:
    origin: https://a.example
    credentials:
      query: { apikey: "\${KEY}", two: "Words \${KEY}" }
      headers: { authorization: "Bearer \${TOKEN}" }
  b: { origin: https://b.example, credentials: { headers: { authorization: "Basic  \${BASIC}", x-key: "\${OTHER}" } } }
routes:
  - { name: a, match: /a/*, upstream: a, cache: off }
  - { name: b, match: /b/*, upstream: b, cache: off }
`,
  {
    ADMIN: '4dm1n-t0k3n-0123456789-abcdefghij',
    REDIS: 'r3d1s-p4ssw0rd',
    KEY: 'k3y/of=a',
    TOKEN: 't0k3n-of-a',
    BASIC: 'dXNlcjpwYXNz',
    OTHER: '0th3r-of-b',
  },
);
const upstreams = [...config.upstreams.values()];

it('the log looks for the same values of credentials as answers are searched for, and for the secrets of the proxy', () => {
  const ofAnswers = upstreams.flatMap(({ credentials }) => secretValues(credentials));
  expect(ofAnswers).toEqual([
    'k3y/of=a',
    'Words k3y/of=a',
    'Bearer t0k3n-of-a',
    't0k3n-of-a',
    'Basic  dXNlcjpwYXNz',
    'dXNlcjpwYXNz',
    '0th3r-of-b',
  ]);
  const ofProxy = ['4dm1n-t0k3n-0123456789-abcdefghij', 'r3d1s-p4ssw0rd'];
  expect(new Set(secretsOf(config))).toEqual(new Set([...ofAnswers, ...ofProxy]));
});

it.each(['t0k3n-of-a', 'Bearer t0k3n-of-a', 'dXNlcjpwYXNz', 'k3y/of=a', 'k3y%2Fof%3Da', '0th3r-of-b'])(
  'the log masks %s wherever it stands, as an answer does',
  (value) => {
    const written: string[] = [];
    const options = { secrets: secretsOf(config), stream: { write: (lines: string) => written.push(lines) } };
    const log = createLog({ level: 'debug', requests: true }, options);
    log.info({ url: `/x?t=${value}`, err: new Error(`upstream said "${value}" is over`) }, `of ${value}`);
    expect(written.join('')).not.toContain(value);
    expect(JSON.parse(written.join(''))).toMatchObject({
      msg: 'of ***',
      url: '/x?t=***',
      err: { message: 'upstream said "***" is over' },
    });
    const answers = upstreams.map(({ credentials }) => createRedactor(credentials).text(`of ${value}`));
    expect(answers).toContain('of ***');
  },
);
