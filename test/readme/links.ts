import fs from 'node:fs';
import path from 'node:path';
import { repo } from '../support/project';

/** Links of a Markdown file of the repository that lead nowhere; those to other sites are not tried. */
export function brokenLinks(file: string): string[] {
  return [...read(file).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
    if (target.startsWith('http')) return [];
    const [to = '', anchor] = target.split('#');
    const linked = to === '' ? file : path.join(path.dirname(file), to);
    if (!fs.existsSync(path.join(repo, linked))) return [target];
    return anchor && !anchorsOf(read(linked)).includes(anchor) ? [target] : [];
  });
}

export function read(file: string): string {
  return fs.readFileSync(path.join(repo, file), 'utf8');
}

/** As GitHub makes them of headings. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
}
