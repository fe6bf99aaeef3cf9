import { createHash } from 'node:crypto';
import type { Finding } from '../index';
import type { JsonReport } from '../json';
import { digestOf } from './digest';
import { hints } from './hints';
import { Markup, jsonFor, markup } from './markup';
import { script } from './script';
import { cards, costs, header, list, notes, testTable, timeline, verdictOf } from './sections';
import { style } from './style';

/** The report as one page that needs nothing else: no network, no other file, no server. */
export function renderHtml(report: JsonReport, findings: readonly Finding[] = []): string {
  const digest = digestOf(report);
  // Nothing may be loaded, and no script but ours may run, whatever a title has in it.
  const policy = `default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-${sha256(script)}'`;
  const page = markup`<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mocha-rewind: ${verdictOf(report)}</title>
<link rel="icon" href="data:,">
<style>${new Markup(style)}</style>
</head>
<body>
${header(report)}
${cards(report, digest)}
${notes(report, digest)}
${timeline(report)}
${list('', 'Hints', hints(report))}
${findings.map(({ title, explanation, items }) => list('', explanation ? `${title}: ${explanation}` : title, items))}
${costs(digest)}
${testTable(report)}
<script type="application/json" id="data">${jsonFor(report.tests)}</script>
<script>${new Markup(script)}</script>
</body>
</html>
`;
  return `<!doctype html>\n${page.text}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
