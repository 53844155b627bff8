const binary: Readonly<Record<string, number>> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, k: 1e3, M: 1e6, G: 1e9 };

/** A memory quantity of Kubernetes in bytes; NaN for what is none. */
export function parseSize(quantity: unknown): number {
  const [, digits, unit] = /^(\d+)(Ki|Mi|Gi|k|M|G)?$/.exec(String(quantity)) ?? [];
  return Number(digits) * (unit === undefined ? 1 : (binary[unit] ?? Number.NaN));
}
