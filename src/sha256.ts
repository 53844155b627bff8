/** Lower-case hex, as the keys want it. */
export function sha256(text: string): string {
  // Read with the first use: hashes stand for secrets and for fields that key, and node:crypto takes 6 MiB.
  return process.getBuiltinModule('node:crypto').createHash('sha256').update(text, 'utf8').digest('hex');
}
