import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = new URL('../../docs/hostile-input.md', import.meta.url);
const run = promisify(execFile);

/** A test of this folder: its group and its title, `INPUT → OUTCOME`. */
interface Listed {
  readonly file: string;
  readonly group: string;
  readonly title: string;
}

let tests: readonly Listed[];
beforeAll(async () => {
  // Titles as vitest makes them, tables filled in; nothing is run.
  const args = ['list', '--json', '--staticParse=false', '--config', 'test/vitest.config.ts', 'test/hostile'];
  const { stdout } = await run(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
    cwd: root,
    maxBuffer: 16 * 1024 * 1024,
  });
  const listed: readonly { readonly name: string; readonly file: string }[] = JSON.parse(
    stdout.slice(stdout.indexOf('[')),
  );
  // Files come in the order in which they were loaded; the tests of each are in their own.
  tests = listed
    .toSorted((a, b) => (a.file === b.file ? 0 : a.file < b.file ? -1 : 1))
    .filter(({ file }) => !file.endsWith('/table.test.ts'))
    .map(({ name, file }) => {
      const [group = '', ...title] = name.split(' > ');
      return { file: file.slice(file.lastIndexOf('/') + 1), group, title: title.join(' > ') };
    });
});

describe('docs/hostile-input.md', () => {
  it('names class, input, outcome and file of every hostile test, and nothing else', () => {
    const table = rowsOf(tests).join('\n');
    const text = readFileSync(page, 'utf8');
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(page, withTable(text, table));
    expect(tableIn(readFileSync(page, 'utf8'))).toBe(table);
  });

  it('says of every test what goes in and what comes out', () => {
    expect(tests.length).toBeGreaterThan(300);
    expect(tests.filter(({ title }) => title.split(' → ').length !== 2)).toEqual([]);
    expect(new Set(tests.map(({ group, title }) => `${group} ${title}`)).size).toBe(tests.length);
  });

  it('covers each of the nine traps of our packages by tests that are there', () => {
    const titles = new Set(tests.map(({ title }) => title));
    const rows = readFileSync(page, 'utf8')
      .split('\n')
      .filter((line) => /^\| \d\. /.test(line));
    expect(rows.map((row) => row.slice(2, 3))).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
    for (const row of rows) {
      const named = [...(row.split(' | ')[1] ?? '').matchAll(/`([^`]+ → [^`]+)`/g)].map((match) => match[1] ?? '');
      expect(named.length).toBeGreaterThan(0);
      expect(named.filter((title) => !titles.has(title))).toEqual([]);
    }
  });
});

/** Text as Markdown shows it; what is not printed is named. */
function cell(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll(/[|<*_]/g, String.raw`\$&`)
    .replaceAll(
      /[^ -~→’“”…]/g,
      (char) => `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`,
    );
}

function rowsOf(listed: readonly Listed[]): readonly string[] {
  const rows = listed.map(({ file, group, title }) => {
    const [input = '', outcome = ''] = title.split(' → ');
    return `| ${cell(group)} | ${cell(input)} | ${cell(outcome)} | ${file} |`;
  });
  return ['| class | input | outcome | test |', '|---|---|---|---|', ...rows];
}

function tableIn(text: string): string {
  const [, inner = ''] = /<!-- table -->\n\n?([\s\S]*?)\n?\n<!-- \/table -->/.exec(text) ?? [];
  return inner;
}

function withTable(text: string, table: string): string {
  const [before = '', rest = ''] = text.split('<!-- table -->');
  return `${before}<!-- table -->\n\n${table}\n\n<!-- /table -->${rest.split('<!-- /table -->')[1] ?? ''}`;
}
