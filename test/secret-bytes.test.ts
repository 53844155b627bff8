import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

import { secretBytes } from '../src/secret-bytes.ts';

describe('secret bytes', () => {
  it('are as many as asked for, and others each time', () => {
    const drawn = Array.from({ length: 64 }, () => secretBytes(8));
    expect(drawn.every((bytes) => bytes.length === 8)).toBe(true);
    expect(new Set(drawn.map((bytes) => bytes.toString('hex'))).size).toBe(64);
  });

  it('are there where the system has no such file', () => {
    const drawn = Array.from({ length: 64 }, () => secretBytes(8, join(tmpdir(), 'no/such/file')));
    expect(drawn.every((bytes) => bytes.length === 8)).toBe(true);
    expect(new Set(drawn.map((bytes) => bytes.toString('hex'))).size).toBe(64);
  });

  it('are none of a file that ends early', () => {
    const folder = mkdtempSync(join(tmpdir(), 'forecache-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'short');
    writeFileSync(file, Buffer.alloc(7));
    const drawn = secretBytes(8, file);
    expect(drawn).toHaveLength(8);
    expect(drawn.equals(Buffer.alloc(8))).toBe(false);
    expect(secretBytes(7, file).equals(Buffer.alloc(7))).toBe(true);
  });
});
