/** CSV as RFC 4180 has it. */

/** Of the download of tickets. */
export const ticketColumns = ['ticket_id', 'purchase_id', 'buyer_id', 'reference', 'purchased_at'] as const;

/** @param fields null: an empty field; an empty text is quoted, so that the two can be distinguished */
export function csvLine(fields: readonly (string | null)[]): string {
  return `${fields.map((field) => (field === null ? '' : quoted(field))).join(',')}\r\n`;
}

function quoted(field: string): string {
  return field === '' || /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
