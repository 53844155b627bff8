import { once } from 'node:events';
import { createServer } from 'node:net';

import type { ListenAddress } from '../core/config.ts';

/** Rejects with the system's error where one of the addresses cannot be had for this process alone. Any free port always can. */
export async function assertFree(addresses: readonly ListenAddress[]): Promise<void> {
  for (const { host, port } of addresses) {
    if (port === 0) continue;
    const server = createServer();
    server.listen({ host, port });
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  }
}
