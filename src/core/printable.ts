/** Untrusted text for an error sentence: printable ASCII without quotes and backslashes, cut at 64 characters. */
export function printable(text: string): string {
  const plain = text.replaceAll(/[^ -~]|["\\]/g, '?');
  return plain.length > 64 ? `${plain.slice(0, 61)}...` : plain;
}
