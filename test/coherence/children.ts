import type { ChildProcess } from 'node:child_process';

const alive = new Set<ChildProcess>();

/** So that a run which ends before its time leaves nothing behind, not even what it has stopped. */
export function endWithParent(child: ChildProcess): void {
  if (alive.size === 0) process.once('exit', endAll);
  alive.add(child);
  child.once('exit', () => {
    alive.delete(child);
    if (alive.size === 0) process.off('exit', endAll);
  });
}

function endAll(): void {
  for (const child of alive) child.kill('SIGKILL');
}
