import type { JsonReport } from '../json';
import { unmanagedNote } from '../unmanaged';
import { type Digest, quantile } from './digest';
import { type Content, type Markup, markup } from './markup';
import { createFormat } from './page/format';

const format = createFormat();

/** `passed`, or how many tests and hooks failed. */
export function verdictOf({ run, totals }: JsonReport): string {
  const failed = totals.failed + run.failedHooks.length;
  return failed > 0 ? `${format.count(failed)} failed` : 'passed';
}

export function header(report: JsonReport): Markup {
  const { run } = report;
  const verdict = verdictOf(report);
  const workers = run.workers > 1 ? `, ${run.workers} workers` : '';
  const when = `${run.startedAt.slice(0, 16).replace('T', ' ')} UTC · `;
  return markup`<header>
    <h1>mocha-rewind <span class="verdict ${verdict === 'passed' ? 'passed' : 'failed'}">${verdict}</span></h1>
    <p class="muted">${when}${format.ms(run.durationMs)}${workers}</p>
  </header>`;
}

export function cards({ totals, tests, run }: JsonReport, { tables }: Digest): Markup {
  const costs = tests.flatMap((test) => test.isolationMs ?? []);
  const states = [
    `${format.count(totals.passed)} passed`,
    totals.failed > 0 && `${format.count(totals.failed)} failed`,
    totals.pending > 0 && `${format.count(totals.pending)} pending`,
  ].filter(Boolean);
  const each = totals.restores > 0 ? `${format.ms(totals.restoreMs / totals.restores)} each · ` : '';
  const around = run.setupMs > 0 ? `, ${format.ms(run.setupMs)} around them` : '';
  return markup`<section class="cards">
    ${card('tests', format.count(totals.tests), states.join(' · '))}
    ${card('isolation', format.share(run.isolationShare), `of the run: ${format.ms(totals.isolationMs)} in tests${around}`)}
    ${card('per test', format.ms(quantile(costs, 0.5)), `median · 95 %: ${format.ms(quantile(costs, 0.95))} · most: ${format.ms(quantile(costs, 1))}`)}
    ${card('restores', format.count(totals.restores), `${each}${format.plural(tables.length, 'table')} in all`)}
  </section>`;
}

function card(title: string, figure: string, explanation: string): Markup {
  return markup`<div class="card">
    <h2>${title}</h2>
    <b>${figure}</b><span>${explanation}</span>
  </div>`;
}

export function notes({ run }: JsonReport, { problems }: Digest): Markup[] {
  const { failedHooks } = run;
  return [
    list('', 'Notes', [...run.notes, ...unmanagedNote(run.unmanagedConnections)]),
    list(
      'bad',
      'Failed hooks',
      failedHooks.map(({ title, error }) => markup`${title}: <span class="failed-text">${error}</span>`),
    ),
    list(
      'bad',
      'Problems',
      problems.map(
        ({ code, tests }) => markup`<code>${code}</code> ${format.plural(tests.length, 'test')}: ${firstOf(tests, 3)}`,
      ),
    ),
  ];
}

export function list(kind: string, title: string, items: readonly (Markup | string)[]): Markup {
  if (items.length === 0) return markup``;
  return markup`<section class="notes ${kind}">
    <h2>${title}</h2>
    <ul>
      ${items.map((item) => markup`<li>${item}</li>`)}
    </ul>
  </section>`;
}

function firstOf(titles: readonly string[], most: number): string {
  const more = titles.length > most ? ` and ${format.count(titles.length - most)} more` : '';
  return (
    titles
      .slice(0, most)
      .map((title) => `“${title}”`)
      .join(', ') + more
  );
}

export function timeline({ tests }: JsonReport): Markup {
  if (!tests.some((test) => test.startMs !== null)) {
    return markup`<section>
      <h2>Timeline</h2>
      <p class="muted">When each test ran is not known: the run was not isolated by mocha-rewind.</p>
    </section>`;
  }
  const modes = ['rollback', 'nodb', 'truncate', 'schema', 'dirty', 'unmanaged'].filter((mode) =>
    tests.some((t) => t.mode === mode),
  );
  return markup`<section>
    <div class="title">
      <h2>Timeline</h2>
      <p class="legend">${[...modes, 'failed'].map((name) => markup`<span><i class="${name}"></i>${name}</span> `)}</p>
      <div class="buttons">
        ${MOVES.map(([move, sign, title]) => markup`<button data-move="${move}" title="${title}">${sign}</button>`)}
      </div>
    </div>
    <div class="stage">
      <canvas
        id="timeline"
        tabindex="0"
        role="img"
        aria-label="The run in time: phases, files, describes, tests, and what isolation cost. The table below holds the same facts."
      ></canvas>
      <div id="tip" hidden></div>
    </div>
    <p class="muted hint">
      From the top: phase, file, describes, tests, and below each test what isolating it cost (square root scale). Drag to zoom
      in, 0 shows all again; a click finds a test or describe in the table.
    </p>
  </section>`;
}

const MOVES = [
  ['-', '−', 'Zoom out (-)'],
  ['+', '+', 'Zoom in (+)'],
  ['ArrowLeft', '←', 'Earlier (←)'],
  ['ArrowRight', '→', 'Later (→)'],
  ['0', 'all', 'The whole run (0)'],
] as const;

export function costs({ modes, tables, files }: Digest): Markup {
  return markup`<div class="columns">
    <section>
      <h2>Cost of isolation</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>mode</th>
              ${figureHeads('tests', 'total', 'median', '95 %', 'most', 'share')}
            </tr>
          </thead>
          <tbody>
            ${modes.map(
              (line) =>
                markup`<tr>
                  <td><span class="mode ${line.mode}">${line.mode}</span></td>
                  ${figures(
                    format.count(line.tests),
                    format.ms(line.isolationMs),
                    format.ms(line.medianMs),
                    format.ms(line.p95Ms),
                    format.ms(line.maxMs),
                    format.share(line.share),
                  )}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
      <p class="muted hint">
        What is done before and after a test. The savepoints of a rollback test travel with its own queries, and are part
        of its time.
      </p>
      ${shortened(
        files,
        8,
        (shown) =>
          markup`<div class="scroll">
            <table>
              <thead>
                <tr>
                  <th>file</th>
                  ${figureHeads('tests', 'failed', 'time', 'isolation', 'restores')}
                </tr>
              </thead>
              <tbody>
                ${shown.map(
                  (line) =>
                    markup`<tr>
                      <td class="path">${line.file}</td>
                      ${figures(
                        format.count(line.tests),
                        line.failed > 0 ? markup`<span class="failed-text">${line.failed}</span>` : '',
                        format.ms(line.durationMs),
                        format.ms(line.isolationMs),
                        line.restores > 0 ? format.count(line.restores) : '',
                      )}
                    </tr>`,
                )}
              </tbody>
            </table>
          </div>`,
      )}
    </section>
    <section>
      <h2>Tables restored</h2>
      ${tables.length === 0 && markup`<p class="muted">None: nothing was committed and undone.</p>`}
      ${shortened(
        tables,
        16,
        (shown) =>
          markup`<div class="bars">
            ${shown.map(
              ({ name, restores }) =>
                markup`<span>${name}</span
                  ><i style="width:${((100 * restores) / (tables[0]?.restores ?? 1)).toFixed(1)}%"></i
                  ><b>${format.count(restores)}</b>`,
            )}
          </div>`,
      )}
    </section>
  </div>`;
}

function figureHeads(...names: readonly string[]): Markup[] {
  return names.map((name) => markup`<th class="number">${name}</th>`);
}

function figures(...cells: readonly Content[]): Markup[] {
  return cells.map((cell) => markup`<td class="number">${cell}</td>`);
}

/** The first `most` lines; the others one click away. */
function shortened<Line>(lines: readonly Line[], most: number, render: (lines: readonly Line[]) => Markup): Markup {
  if (lines.length === 0) return markup``;
  if (lines.length <= most + 2) return render(lines);
  const rest = lines.slice(most);
  return markup`${render(lines.slice(0, most))}
    <details>
      <summary>${format.count(rest.length)} more</summary>
      ${render(rest)}
    </details>`;
}

export function testTable({ tests }: JsonReport): Markup {
  const filters = [
    'rollback',
    'nodb',
    'truncate',
    'schema',
    'dirty',
    'unmanaged',
    'failed',
    'pending',
    'retried',
    'restored',
  ];
  const count = (name: string): number =>
    tests.filter(
      (t) =>
        t.mode === name ||
        t.state === name ||
        (name === 'retried' && t.retried) ||
        (name === 'restored' && t.tablesRestored.length > 0),
    ).length;
  const used = filters.map((name) => ({ name, count: count(name) })).filter((filter) => filter.count > 0);
  return markup`<section>
    <div class="title" id="tests-title">
      <h2>Tests</h2>
      <input id="search" type="search" placeholder="Search title, file, table or error" aria-label="Search tests" />
      <div class="buttons">
        ${used.map(
          (filter) =>
            markup`<button data-filter="${filter.name}" aria-pressed="false">${filter.name} <small>${format.count(filter.count)}</small></button>`,
        )}
      </div>
      <span id="found" class="muted" role="status"></span>
    </div>
    <div class="scroll">
      <table id="tests">
        <thead>
          <tr>
            ${COLUMNS.map(
              ([column, title]) =>
                markup`<th data-column="${column}" class="${NUMBERS.includes(column) && 'number'}"><button>${title}</button></th>`,
            )}
          </tr>
        </thead>
        <tbody></tbody>
      </table>
    </div>
    <button id="more" hidden></button>
    <noscript>The timeline and this table need JavaScript, which is switched off here.</noscript>
  </section>`;
}

const COLUMNS = [
  ['order', '#'],
  ['title', 'test'],
  ['mode', 'mode'],
  ['state', 'state'],
  ['duration', 'time'],
  ['isolation', 'isolation'],
  ['restore', 'restore'],
  ['tables', 'tables restored'],
] as const;
const NUMBERS: readonly string[] = ['order', 'duration', 'isolation', 'restore'];
