import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const client = fileURLToPath(new URL('../../../src/store/redis/client.ts', import.meta.url));
const config = fileURLToPath(new URL('../../support/redis-config.ts', import.meta.url));

/** Whether V8 finds the methods of texts quickly, said by a process of its own. */
const script = `
const isQuick = () => %HasFastProperties(String.prototype);
const told = [isQuick()];
const { connectRedis } = await import(${JSON.stringify(client)});
const { redisConfig } = await import(${JSON.stringify(config)});
told.push(isQuick());
const links = connectRedis(redisConfig({ host: '127.0.0.1', port: 1 }), { onError() {} });
told.push(isQuick());
await links[Symbol.asyncDispose]();
console.log(JSON.stringify(told));
`;

test('methods of texts are found as quickly as without the library, whose class for texts has V8 look each up by its name', () => {
  const told = execFileSync(process.execPath, ['--allow-natives-syntax', '--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  // The second one tells when the library needs no help any more.
  expect(JSON.parse(told)).toEqual([true, false, true]);
});
