import { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

import { describe, expect, it, vi } from 'vitest';

import { Connections } from '../../src/server/connections.ts';
import { whenStillPartial } from '../../src/server/second-look.ts';

interface Request {
  complete: boolean;
}

/** A connection whose request is late, and what `node:http` would tell of it. */
function late() {
  const connections = new Connections(8);
  const socket = new Socket();
  const end = vi.fn<() => void>();
  return {
    end,
    look: () => whenStillPartial(socket, connections, end),
    /** A head has come. The returned function says that its response has ended. */
    came: (request: Request): (() => void) => {
      const connection = connections.of(socket);
      const owed = connections.oweOn(connection, false);
      connection.last = request;
      return () => connections.settleOn(connection, owed);
    },
  };
}

describe('A request whose time is over', () => {
  it('is ended where no more of it comes, or not all of it', async () => {
    const [nothing, part, head] = [late(), late(), late()];
    for (const one of [nothing, head]) one.look();
    part.came({ complete: false });
    part.look();
    head.came({ complete: false });
    await turn();
    for (const { end } of [nothing, part, head]) expect(end).toHaveBeenCalledOnce();
  });

  it('is ended where it is answered, and its rest has not come', async () => {
    const { came, look, end } = late();
    const answered = came({ complete: false });
    look();
    answered();
    await turn();
    expect(end).toHaveBeenCalledOnce();
  });

  it('goes on where it is whole by then, answered or not', async () => {
    const [owed, answered, head] = [late(), late(), late()];
    for (const [one, isAnswered] of [[owed, false] as const, [answered, true] as const]) {
      const request = { complete: false };
      const settle = one.came(request);
      one.look();
      request.complete = true;
      if (isAnswered) settle();
    }
    head.look();
    head.came({ complete: true })();
    await turn();
    for (const { end } of [owed, answered, head]) expect(end).not.toHaveBeenCalled();
  });

  it('goes on where it is whole by then, and only a part of the next one is there', async () => {
    const { came, look, end } = late();
    const request = { complete: false };
    came(request);
    look();
    request.complete = true;
    came({ complete: false });
    await turn();
    expect(end).not.toHaveBeenCalled();
  });
});
