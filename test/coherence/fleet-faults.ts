import type { Fault, Hold } from './faults.ts';
import type { SidecarProcess } from './sidecar-process.ts';
import type { Wire } from './wire.ts';

/** A sidecar with all that lies between it and Redis. */
export interface WiredSidecar {
  readonly sidecar: SidecarProcess;
  readonly wires: readonly Wire[];
}

const hourMs = 3_600_000;

/** What goes wrong between one sidecar and Redis. */
export function networkFaults(fleet: readonly WiredSidecar[], leaseMs: number): readonly Fault[] {
  const worsen = (kind: string, act: (wire: Wire, hold: Hold) => void, mostMs = 2.5 * leaseMs): Fault => ({
    kind,
    async inflict(hold) {
      const { sidecar, wires } = hold.random.pick(fleet);
      for (const wire of wires) act(wire, hold);
      await hold.wait(leaseMs / 10, mostMs);
      for (const wire of wires) wire.heal();
      return sidecar.name;
    },
  });
  return [
    worsen('pause-up', (wire) => wire.pause(['up'])),
    worsen('pause-down', (wire) => wire.pause(['down'])),
    worsen('pause-both', (wire) => wire.pause(['up', 'down'])),
    worsen('cut', (wire) => wire.cut(), leaseMs / 5),
    worsen('refuse', (wire) => wire.refuse()),
    worsen('latency', (wire, { random }) => wire.delay(random.whole(10, Math.ceil(leaseMs / 3)))),
    worsen('cut-mid-reply', (wire) => wire.cutMidReply(), leaseMs / 5),
  ];
}

/** What goes wrong with one sidecar. */
export function processFaults(fleet: readonly WiredSidecar[], leaseMs: number): readonly Fault[] {
  const strike = (kind: string, act: (sidecar: SidecarProcess, hold: Hold) => Promise<void>): Fault => ({
    kind,
    async inflict(hold) {
      const { sidecar } = hold.random.pick(fleet);
      await act(sidecar, hold);
      return sidecar.name;
    },
  });
  return [
    strike('sidecar-freeze', async (sidecar, { wait }) => {
      sidecar.freeze();
      await wait(leaseMs / 4, leaseMs * 2.5);
      sidecar.thaw();
    }),
    strike('sidecar-kill', async (sidecar, { random, wait }) => {
      await sidecar.kill();
      await wait(0, leaseMs);
      await sidecar.start(skew(random.next()));
    }),
    strike('clock-step', async (sidecar, { random, wait }) => {
      sidecar.step(skew(random.next()));
      await wait(leaseMs / 4, leaseMs);
    }),
  ];
}

/** From an hour behind to an hour ahead. */
export function skew(draw: number): number {
  return Math.round((2 * draw - 1) * hourMs);
}
