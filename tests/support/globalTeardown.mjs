import { rm } from 'node:fs/promises';

export default async function globalTeardown() {
  const embedded = globalThis.embeddedForTests;
  await embedded.stop();
  await rm(embedded.dataDir, { recursive: true });
}
