import { rm } from 'node:fs/promises';

export default async function globalTeardown() {
  await rm(process.env.FAULT_DIR, { recursive: true, force: true });
}
