import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

import { resetSocket } from '../support/reset-socket.ts';

/** Towards the server, or back from it. */
export type Direction = 'up' | 'down';

/** What lies between one sidecar and one server: a TCP proxy that can be made worse. */
export interface Wire extends AsyncDisposable {
  readonly port: number;
  /** Bytes of these directions stay where they are, connections stay open, new ones are taken. */
  pause(directions: readonly Direction[]): void;
  /** Undoes everything; what was held is delivered. */
  heal(): void;
  /** Resets all connections. */
  cut(): void;
  /** Resets all connections and every new one. */
  refuse(): void;
  /** From now on bytes come so much later, in order; those of one direction, or of both. */
  delay(ms: number, directions?: readonly Direction[]): void;
  /** Resets all connections; new ones lead to another server, as where a name has moved in a fail-over. */
  moveTo(port: number): void;
  /** The next reply of each connection breaks off in its middle. */
  cutMidReply(): void;
}

interface Conditions {
  readonly paused: Set<Direction>;
  readonly delayMs: Record<Direction, number>;
  refusing: boolean;
}

/** Listens on a free port of loopback, in front of a port that need not be there yet. `translate` sees what comes back. */
export async function startWire(first: number, translate: (chunk: Buffer) => Buffer = (chunk) => chunk): Promise<Wire> {
  const conditions: Conditions = { paused: new Set(), delayMs: { up: 0, down: 0 }, refusing: false };
  const pairs = new Set<Pair>();
  let target = first;
  const server = createServer({ noDelay: true }, (near) => {
    // Errors are followed by `close`, which is all that matters here.
    near.on('error', () => {});
    if (conditions.refusing) {
      resetSocket(near);
      return;
    }
    const far = connect({ host: '127.0.0.1', port: target, noDelay: true });
    far.on('error', () => {});
    const pair: Pair = {
      near,
      far,
      up: new Pipe({ from: near, to: far, direction: 'up', conditions }),
      down: new Pipe({ from: far, to: near, direction: 'down', conditions, translate }),
    };
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    near.on('close', end);
    far.on('close', end);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the wire has no port');
  const cut = (): void => pairs.forEach(({ near, far }) => [near, far].forEach(resetSocket));
  return {
    port: address.port,
    pause: (directions) => directions.forEach((direction) => conditions.paused.add(direction)),
    heal() {
      conditions.paused.clear();
      Object.assign(conditions.delayMs, { up: 0, down: 0 });
      conditions.refusing = false;
      for (const { up, down } of pairs) {
        up.flush();
        down.flush();
      }
    },
    cut,
    refuse() {
      conditions.refusing = true;
      cut();
    },
    delay(ms, directions = ['up', 'down']) {
      for (const direction of directions) conditions.delayMs[direction] = ms;
    },
    moveTo(port) {
      target = port;
      cut();
    },
    cutMidReply: () => pairs.forEach(({ down }) => down.breakNext()),
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  readonly up: Pipe;
  readonly down: Pipe;
}

interface PipeOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly direction: Direction;
  readonly conditions: Conditions;
  readonly translate?: (chunk: Buffer) => Buffer;
}

/** One direction of one connection. */
class Pipe {
  readonly #options: PipeOptions;
  #held: { readonly chunk: Buffer; readonly dueMs: number }[] = [];
  #breakNext = false;

  constructor(options: PipeOptions) {
    this.#options = options;
    options.from.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  breakNext(): void {
    this.#breakNext = true;
  }

  /** Delivers what is due. */
  flush(): void {
    const { to, direction, conditions } = this.#options;
    while (!conditions.paused.has(direction)) {
      const [first] = this.#held;
      if (first === undefined) return;
      const restMs = conditions.delayMs[direction] === 0 ? 0 : first.dueMs - performance.now();
      if (restMs > 0) {
        setTimeout(() => this.flush(), restMs);
        return;
      }
      this.#held.shift();
      to.write(first.chunk);
    }
  }

  #take(bytes: Buffer): void {
    const { from, to, direction, conditions, translate } = this.#options;
    const chunk = translate === undefined ? bytes : translate(bytes);
    if (this.#breakNext) {
      to.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => {
        resetSocket(from);
        to.destroy();
      });
      return;
    }
    this.#held.push({ chunk, dueMs: performance.now() + conditions.delayMs[direction] });
    this.flush();
  }
}

/**
 * Puts other ports in the place of those that Sentinel and Cluster tell their clients (`:7000\r\n`, `$4\r\n7000\r\n`,
 * `-MOVED 1 127.0.0.1:7000\r\n`), so that all that a sidecar does goes by its own wires. All ports have five digits, so
 * lengths stay right. One that is cut in two by a packet's end is missed, and leads past the wires: a fault less, no more.
 */
export function portTranslation(wireOf: ReadonlyMap<number, number>): (chunk: Buffer) => Buffer {
  const all = [...wireOf.keys(), ...wireOf.values()];
  if (all.some((port) => port < 10_000)) throw new RangeError('a port has fewer than five digits');
  const pattern = new RegExp(`(?<=[ :\\n])(?:${[...wireOf.keys()].join('|')})(?=[ \\r@])`, 'g');
  return (chunk) => {
    const text = chunk.toString('latin1');
    const translated = text.replaceAll(pattern, (port) => String(wireOf.get(Number(port))));
    return translated === text ? chunk : Buffer.from(translated, 'latin1');
  };
}
