import { cpus, loadavg } from 'node:os';

/** The value below which this part (0 to 1) of the numbers is; `NaN` of none. */
export function quantile(numbers: readonly number[], part: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

/** Milliseconds for a table, as many digits as mean something. */
export function ms(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** One line that says what the numbers were measured on. */
export function machineLine(redisVersion: string): string {
  const [first] = cpus();
  return (
    `${cpus().length} × ${first?.model.trim() ?? 'unknown processor'}, Node ${process.versions.node}, Redis ${redisVersion}, ` +
    `load ${loadavg()[0]?.toFixed(1)} before the start`
  );
}
