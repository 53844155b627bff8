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

/** A forecast of so many bytes as an API would print it: hourly numbers under names, with a place around them. */
export function forecastJson(bytes: number, seed: number): string {
  let state = seed + 1;
  // Numbers that do not repeat as one would write them by hand, the same in each run.
  const next = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  const hours: object[] = [];
  const text = (): string =>
    JSON.stringify({ location: `city-${seed}`, latitude: 52.52, longitude: 13.41, units: 'metric', hourly: hours });
  let length = text().length;
  for (let hour = 0; ; hour += 1) {
    const one = {
      time: new Date(Date.UTC(2026, 10, 25, hour)).toISOString(),
      temperature_c: Number((next() * 40 - 10).toFixed(1)),
      precipitation_mm: Number((next() * 4).toFixed(2)),
      wind_kmh: Number((next() * 60).toFixed(1)),
      humidity_percent: Math.round(next() * 100),
      summary: ['clear', 'partly cloudy', 'overcast', 'light rain', 'showers'][Math.floor(next() * 5)],
    };
    const more = JSON.stringify(one).length + 1;
    if (length + more > bytes && hours.length > 0) return text();
    hours.push(one);
    length += more;
  }
}
