import type { Path, SourceNode } from './source.ts';

/** One for all: it is caught where it is thrown from, and nobody gets to see it. */
const wasRefused = new Error('a value that the schema refused was read outside of unlessRefused');

/**
 * Makes the value at a path of the schema's output one that cannot be read: whatever stands there has not the type that
 * it claims. Checks can so be written as if all had been accepted, each in an {@link unlessRefused} of its own.
 */
export function refuseAt(output: unknown, path: Path): void {
  let holder: unknown = output;
  for (const [index, step] of path.entries()) {
    // Whatever holds it is refused itself.
    if (typeof holder !== 'object' || holder === null) return;
    const found = Object.getOwnPropertyDescriptor(holder, step);
    if (found?.get !== undefined) return;
    if (index === path.length - 1) Object.defineProperty(holder, step, refusing);
    holder = found?.value;
  }
}

const refusing: PropertyDescriptor = {
  configurable: true,
  enumerable: true,
  get: () => {
    throw wasRefused;
  },
};

/** What `read` gives; `undefined` where it reads a value that the schema refused, so that nothing can be said. */
export function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error === wasRefused) return undefined;
    throw error;
  }
}

/** True where the file gives a value, be it one that was refused. */
export function isGiven(read: () => unknown): boolean {
  return unlessRefused(() => (read() ?? '') === '') !== true;
}

/** The members of a list with their places, without those that were refused. */
export function readable<T>(list: readonly T[]): readonly (readonly [index: number, value: T])[] {
  return [...list.keys()].flatMap((index) => {
    const value = unlessRefused(() => list[index]);
    return value === undefined ? [] : [[index, value] as const];
  });
}

/** The paths of what was reported before the schema read the file. */
export function brokenIn(node: SourceNode, path: Path = []): readonly Path[] {
  switch (node.kind) {
    case 'broken':
      return [path];
    case 'list':
      return node.items.flatMap((item, index) => brokenIn(item, [...path, index]));
    case 'map':
      return [...node.entries].flatMap(([key, { value }]) => brokenIn(value, [...path, key]));
    case 'text':
    case 'nothing':
      return [];
  }
}
