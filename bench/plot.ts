import { judge, type Figure } from './bars.ts';
import { digits } from './table.ts';

/**
 * The bars as one SVG: for each judged figure what was measured as a share of its limit, so that all of them end at or
 * before one line. Written here since plotting packages either draw into a page's DOM or bring a megabyte for some
 * rectangles; it has no script and no outer font, so a README may show it as a picture.
 */
export function barsPlot(figures: readonly Figure[]): string {
  const rows = figures.flatMap(rowOf);
  const height = top + rows.length * rowHeight + bottom;
  const body = rows.map((row, index) => drawRow(row, top + index * rowHeight));
  const limitX = xOf(1);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>What each bar measures, as a share of its limit</title>`,
    `<style>${style}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    ...body,
    `<line class="limit" x1="${limitX}" y1="${top - 10}" x2="${limitX}" y2="${height - bottom + 4}"/>`,
    `<text class="small middle" x="${limitX}" y="${top - 16}">limit</text>`,
    `<text class="small" x="${labelWidth}" y="${height - 8}">share of the limit; whiskers: smallest and largest round</text>`,
    `</svg>\n`,
  ].join('\n');
}

const [width, labelWidth, noteWidth] = [1080, 390, 240];
const [top, bottom, rowHeight] = [40, 34, 24];
/** Shares beyond this are cut off: a bar that is missed by far must not make the others unreadable. */
const maxShare = 1.6;

/** Follows the reader's light or dark page. */
const style = `
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 11px; } .middle { text-anchor: middle; } .end { text-anchor: end; }
.ground { fill: #ffffff; } .met { fill: #2da44e; } .missed { fill: #cf222e; }
.limit { stroke: #1f2328; stroke-width: 1.5; } .whisker { stroke: #1f2328; stroke-width: 1; opacity: 0.7; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .ground { fill: #0d1117; } .limit, .whisker { stroke: #e6edf3; }
}
`;

interface PlotRow {
  readonly label: string;
  readonly note: string;
  readonly verdict: 'met' | 'missed';
  /** Of the limit: 1 is just met. */
  readonly share: number;
  readonly least: number;
  readonly most: number;
}

function rowOf(figure: Figure): readonly PlotRow[] {
  const { value, verdict } = judge(figure);
  if (figure.limit === undefined || verdict === 'told') return [];
  const { limit, bound = 'most', unit, rival, what } = figure;
  const share = (measured: number): number => (bound === 'most' ? measured / limit : limit / measured);
  const judged = figure.judge === 'worst' ? (bound === 'most' ? value.max : value.min) : value.median;
  const shares = [share(value.min), share(value.max)].toSorted((a, b) => a - b);
  const of = rival === undefined ? ` ${unit}`.trimEnd() : ` of ${rival}`;
  return [
    {
      label: what,
      note: `${digits(judged)}${of} (${bound === 'most' ? 'at most' : 'at least'} ${limit})`,
      verdict,
      share: share(judged),
      least: shares[0] ?? Number.NaN,
      most: shares[1] ?? Number.NaN,
    },
  ];
}

function xOf(share: number): number {
  const room = width - labelWidth - noteWidth;
  const inside = Number.isFinite(share) ? Math.min(Math.max(share, 0), maxShare) : maxShare;
  return Math.round(labelWidth + (inside / maxShare) * room);
}

function drawRow({ label, note, verdict, share, least, most }: PlotRow, y: number): string {
  const middle = y + rowHeight / 2;
  return [
    `<text class="end" x="${labelWidth - 8}" y="${middle + 4}">${escape(label)}</text>`,
    `<rect class="${verdict}" x="${labelWidth}" y="${y + 4}" width="${xOf(share) - labelWidth}" height="${rowHeight - 8}" rx="2"/>`,
    `<line class="whisker" x1="${xOf(least)}" y1="${middle}" x2="${xOf(most)}" y2="${middle}"/>`,
    `<text class="small" x="${width - noteWidth + 8}" y="${middle + 4}">${escape(note)}</text>`,
  ].join('\n');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
