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

/** The same of exactly so many bytes, ASCII, with spaces behind it; at least some 250. */
export function forecastBody(bytes: number, seed = 1): Buffer {
  return Buffer.from(forecastJson(bytes, seed).padEnd(bytes));
}
