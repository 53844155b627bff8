import { judge, type Figure } from './bars.ts';

const figureHeadings = ['bar', 'what', 'ours', 'rival', 'theirs', 'ratio', 'spread', 'limit', ''] as const;

/** The table of figures: medians of the rounds, and the range of what is judged. */
export function figureLines(figures: readonly Figure[]): readonly string[] {
  const cells = figures.map((figure) => {
    const { value, ours, rival, verdict } = judge(figure);
    const sign = figure.bound === 'least' ? '≥' : '≤';
    const unit = figure.unit === '' ? '' : ` ${figure.unit}`;
    return [
      figure.bar,
      figure.what,
      `${digits(ours.median)}${unit}`,
      figure.rival ?? '',
      rival === undefined ? '' : `${digits(rival.median)}${unit}`,
      rival === undefined ? '' : digits(value.median),
      figure.rounds.length < 2 ? '' : `${digits(value.min)}–${digits(value.max)}`,
      figure.limit === undefined ? '' : `${sign} ${figure.limit}${rival === undefined ? unit : ''}`,
      verdict === 'told' ? '' : verdict,
    ];
  });
  const widths = figureHeadings.map((heading, i) =>
    Math.max(heading.length, ...cells.map((row) => row[i]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (leftColumns.has(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(figureHeadings), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(line)];
}

const leftColumns = new Set([0, 1, 3, 8]);

/** Two or three figures that count, never an exponent. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return '-';
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 0.1 || size === 0 ? 2 : 4);
}
