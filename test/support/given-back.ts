import { Pages } from '../../src/store/pages.ts';

/**
 * To be run as a process of its own: fills pages of the memory tier beside other memory that stays, gives them back, and prints which part of
 * what they took is resident no more.
 */
const pageBytes = 2 ** 20;
const count = 48;

// As a start does. From then on glibc takes pieces up to this size for usual, and keeps them in its heap.
const large = Buffer.allocUnsafeSlow(8 * pageBytes).fill(1);
large.buffer.transfer(0);

const pages = new Pages(64 * pageBytes);
const staying: Buffer[] = [];
for (let item = 0; item < 4 * count; item += 1) {
  const { bytes } = pages.place(pageBytes / 4, false);
  bytes.fill(1, pages.offset, pages.offset + pageBytes / 4);
  staying.push(Buffer.allocUnsafeSlow(100_000));
}
const fullBytes = process.memoryUsage.rss();
pages.clear();
while (pages.emptyPages > 0) pages.trim();
const leftBytes = process.memoryUsage.rss();
process.stdout.write(
  `${JSON.stringify({ staying: staying.length, part: (fullBytes - leftBytes) / (count * pageBytes) })}\n`,
);
