/** Postgres array literals, built here because JavaScript arrays pass through three layers that convert them element by element. */

/** A Postgres array literal. @param elements each preceded by a comma */
export function toArray(elements: string): string {
  return `{${elements.slice(1)}}`;
}

/** No text here has control characters; such text is quoted in a Postgres array as strings are in JSON. */
export function arrayElement(text: string | null | undefined): string {
  return text === undefined || text === null ? 'NULL' : JSON.stringify(text);
}

/** A Postgres array literal of texts. */
export function toTextArray(texts: readonly string[]): string {
  return toArray(texts.map((text) => `,${arrayElement(text)}`).join(''));
}
