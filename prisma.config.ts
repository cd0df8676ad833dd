import { defineConfig } from 'prisma/config';

// `prisma generate` looks for the native schema engine, tries to download it when it is missing, and never uses it.
// Naming any file that exists keeps the command offline. Migrations run on the WebAssembly engine (src/db/migrate.ts).
process.env['PRISMA_SCHEMA_ENGINE_BINARY'] ??= process.execPath;

export default defineConfig({ schema: 'prisma/schema.prisma', migrations: { path: 'prisma/migrations' } });
