import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

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

/** Pins a process, all its threads and those that they start, to a core, or a list of them as `taskset` takes it. */
export function pin(pid: number, core: number | string): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(core), String(pid)], { stdio: 'ignore' });
}

/** Pins a process as {@link pin}, and of its threads with that name each to one of the cores. Throws where there are not as many. */
export function pinThreads(pid: number, name: string, cores: readonly number[]): void {
  pin(pid, cores.join(','));
  const threads = threadsOf(pid, name);
  if (threads.length !== cores.length)
    throw new Error(`${threads.length} threads are named ${name}, for ${cores.length} cores`);
  for (const [index, id] of threads.entries()) {
    execFileSync('taskset', ['--cpu-list', '--pid', String(cores[index]), String(id)], { stdio: 'ignore' });
  }
}

function threadsOf(pid: number, name: string): readonly number[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.filter((thread) => readIfThere(`/proc/${pid}/task/${thread}/comm`).trim() === name).map(Number);
}

/**
 * Processor time that a process, all its threads and its living children have used so far, in seconds, to 10 ms.
 * Varnish serves from a child, nginx from a worker: each of the process's threads may have children of its own.
 */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold anything; the fields after it are counted from 3 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[14 - 3]) + Number(fields[15 - 3]);
  return ticks / ticksPerSecond + childrenOf(pid).reduce((sum, child) => sum + cpuSeconds(child), 0);
}

/** The kernel's unit of these fields, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const children = readIfThere(`/proc/${pid}/task/${thread}/children`);
    return children.split(' ').filter(Boolean).map(Number);
  });
}

/** A thread may end between the list of threads and the look at it. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return '';
    throw error;
  }
}

/**
 * Processor time that the living threads of a process have used so far, in milliseconds, to the nanosecond where the kernel
 * keeps it (`/proc/PID/task/TID/schedstat`): for what is over within a few ticks of the other clock. Children are not in it.
 */
export function threadsCpuMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((thread) => Number(readIfThere(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]));
  return ns.reduce((sum, one) => sum + one, 0) / 1e6;
}

/**
 * How long the first thread of a process, which serves in a Node of one, has been ready to run so far and had no core, in milliseconds
 * (`schedstat`): others had it, or other threads of its own.
 */
export function coreWaitMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
}

/** Memory of a process, in MiB: what it holds now, and the most that it ever held (the kernel's own high-water mark). */
export function memoryMib(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
  return { now: field('VmRSS'), peak: field('VmHWM') };
}
