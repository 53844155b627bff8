import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Which cores the servers and the load are pinned to; the same one where there is only one. */
export interface Cores {
  readonly server: number;
  readonly load: number;
}

/** The first two cores that this process may use. */
export function chooseCores(): Cores {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const cores = list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  const [server = 0, load = server] = cores;
  return { server, load };
}

/** Pins a process, all its threads and those that they start. */
export function pin(pid: number, core: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(core), String(pid)], { stdio: 'ignore' });
}

/** Processor time that a process and its living children have used so far, in seconds. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold anything; the fields after it are counted from 3 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[14 - 3]) + Number(fields[15 - 3]);
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return ticks / ticksPerSecond + children.reduce((sum, child) => sum + cpuSeconds(child), 0);
}

/** The kernel's unit of these fields, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;
