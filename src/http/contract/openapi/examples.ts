/** Examples of answers: rows as the database would return them, converted as the routes convert them, so that they cannot differ from real ones. */
import type { Purchase } from '../../../sale/types.js';
import type { AdminEventRow } from '../../../sql/readEventForAdmin.js';
import type { TicketRow } from '../../../sql/streamTickets.js';
import { csvLine, ticketColumns } from '../csv.js';
import { toAudit, toEvent, toEventForAdmin, toPurchase } from '../schemas.js';

export interface Example {
  readonly summary: string;
  readonly value: unknown;
}
export type Examples = Readonly<Record<string, Example>>;

export const eventId = '019dd8c0-5a40-7c1e-9f0b-3c1a7c3e5d21';
export const purchaseId = '019de4a8-7f10-7b6d-8a53-5be0c9d1f7a4';
const ticketIds = ['019de4a8-7f1c-7000-b2a4-6f0e8d3c1000', '019de4a8-7f1c-7000-b2a4-6f0e8d3c1001'];

const createdAt = new Date('2026-04-29T09:30:00.000Z');
const opensAt = new Date('2026-05-01T17:00:00.000Z');
const boughtAt = new Date('2026-05-01T17:00:02.145Z');

const eventRow: AdminEventRow = {
  id: eventId,
  name: 'The last night of the tour',
  totalQuota: 100,
  available: 92,
  held: 2,
  sold: 6,
  phase: 'open',
  startsInSeconds: -60,
  revision: 1,
  maxPurchaseLimit: 4,
  saleStartsAt: opensAt,
  saleEndsAt: null,
  maxPerBuyer: 8,
  holdSeconds: 600,
  createdAt,
  updatedAt: createdAt,
};

const confirmedRow: Purchase = {
  id: purchaseId,
  eventId,
  quantity: 2,
  status: 'confirmed',
  buyerId: 'customer-17',
  reference: 'order 4711',
  createdAt: boughtAt,
  expiresAt: new Date(boughtAt.getTime() + 600_000),
  ticketIds,
};

/** Of one purchase, in each status. */
export const confirmed = toPurchase(confirmedRow);
export const held = toPurchase({ ...confirmedRow, status: 'held', ticketIds: [] });
export const released = toPurchase({ ...confirmedRow, status: 'released', ticketIds: [] });
export const expired = toPurchase({ ...confirmedRow, status: 'expired', ticketIds: [] });
export const cancelled = toPurchase({ ...confirmedRow, status: 'cancelled' });

export const event = toEvent(eventRow);
export const scheduledEvent = toEvent({ ...eventRow, available: 100, phase: 'scheduled' });
export const eventForAdmin = toEventForAdmin(eventRow);
export const audit = toAudit(eventId, { totalQuota: 100, available: 92, held: 2, sold: 6, ticketsIssued: 6 });

export const pageOf = (...data: unknown[]) => ({ data, next_cursor: null });

const ticketRow = (ticketId: string): TicketRow => [
  ticketId,
  purchaseId,
  confirmedRow.buyerId,
  confirmedRow.reference,
  boughtAt.toISOString(),
];
export const ticketsCsv = [csvLine(ticketColumns), ...ticketIds.map((id) => csvLine(ticketRow(id)))].join('');

/** An example that needs no name beside the summary of its answer. */
export const only = (summary: string, value: unknown): Examples => ({ example: { summary, value } });
