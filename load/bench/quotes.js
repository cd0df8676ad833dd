// @ts-check
/**
 * The figures that the README quotes stand in one table, below a comment. It is written from the text of load/RESULTS.md, so
 * that a test can write it again and compare.
 */

const marked = /^(<!-- figures of load\/RESULTS\.md, written by .* -->)\n(?:\|.*\n)+/gm;

/** Rows of load/RESULTS.md by their names there, and how the README calls them. @type {[string, string][]} */
const quoted = [
  ['purchases', 'purchases, answers/s'],
  ['purchases / a route that does nothing', 'purchases / a route that does nothing'],
  ['purchases / one transaction per request', 'purchases / one transaction per request'],
];

/** @param {string} results the text of load/RESULTS.md @returns {Map<string, string>} the first figure of each row, by the row's name */
export const figuresOf = (results) =>
  new Map([...results.matchAll(/^\| ([^|]+) \| ([\d,.]+) \|/gm)].map(([, name = '', figure = '']) => [name, figure]));

/** @param {string} document @returns {string} what it says itself */
export const withoutQuotes = (document) => document.replaceAll(marked, '');

/** @param {string} document @throws if it has not exactly one table of figures */
export function findQuotes(document) {
  const tables = document.match(marked) ?? [];
  if (tables.length !== 1) throw new Error(`the document has ${tables.length} tables of figures, not one`);
}

/**
 * @param {string} document the README
 * @param {string} results the text of load/RESULTS.md
 * @returns {string} the document with the figures of these results
 */
export function quoteFigures(document, results) {
  findQuotes(document);
  const figures = figuresOf(results);
  const rows = quoted.map(([name, label]) => {
    const figure = figures.get(name);
    if (figure === undefined) throw new Error(`load/RESULTS.md has no figure of "${name}"`);
    return `| ${label} | ${figure} |`;
  });
  return document.replace(marked, (_, comment) => `${comment}\n| measured | figure |\n|---|---:|\n${rows.join('\n')}\n`);
}
