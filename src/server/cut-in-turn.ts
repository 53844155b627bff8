import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { Connection } from './connections.ts';

/**
 * Ends the connection of a response that was broken off before it had the connection, once all before it have left. `node:http` gives it the
 * connection all the same, and would wait for its end for as long as the client does.
 */
export function cutInTurn(res: ServerResponse, connection: Connection): void {
  connection.ending = true;
  res.once('socket', (socket: Socket) => {
    // Of what is there of it nothing is sent: a client may ask again for what it has got nothing of.
    socket.destroy();
  });
}
