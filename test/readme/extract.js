// Writes the files that README.md shows: `<!-- file: NAME path -->` before a fenced block says which file it is, and
// in which of the README's examples. Usage: node extract.js README.md EXAMPLE DIRECTORY
const fs = require('node:fs');
const path = require('node:path');

const BLOCK = /<!-- file: (\S+) (\S+) -->\s*```\w*\n([\s\S]*?)\n```/g;

/** The files of one example of a README, path → contents. */
function filesOf(markdown, example) {
  const files = {};
  for (const [, name, file, text] of markdown.matchAll(BLOCK)) if (name === example) files[file] = `${text}\n`;
  if (Object.keys(files).length === 0) throw new Error(`README.md shows no file for "${example}"`);
  return files;
}
module.exports = { filesOf };

if (require.main === module) {
  const [, , readme, example, directory] = process.argv;
  for (const [file, text] of Object.entries(filesOf(fs.readFileSync(readme, 'utf8'), example))) {
    const target = path.join(directory, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, text);
  }
}
