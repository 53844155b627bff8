import type { RedisProcess } from '../support/redis.ts';
import { portTranslation, startWire, type Wire } from './wire.ts';

export interface Wired {
  readonly wires: readonly Wire[];
  readonly portOf: (port: number) => number;
}

/** A wire to each of them, all of which tell the ports of wires where servers tell their own. */
export async function wireAll(nodes: readonly RedisProcess[], stack: AsyncDisposableStack): Promise<Wired> {
  const wireOf = new Map<number, number>();
  // Known when all of them have ports; nobody connects before.
  let translate: ((chunk: Buffer) => Buffer) | undefined;
  const wires: Wire[] = [];
  for (const { port } of nodes) {
    const wire = stack.use(await startWire(port, (chunk) => translate?.(chunk) ?? chunk));
    wires.push(wire);
    wireOf.set(port, wire.port);
  }
  translate = portTranslation(wireOf);
  return { wires, portOf: (port) => wireOf.get(port) ?? port };
}
