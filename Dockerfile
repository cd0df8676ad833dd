# Two stages: one that has the compilers, one that has the program. The second has neither npm's development packages nor
# the Prisma CLI nor the embedded Postgres, and does not run as root.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional --ignore-scripts
COPY build.js prisma.config.ts tsconfig.json tsconfig.build.json ./
COPY prisma ./prisma
COPY src ./src
RUN npm run -s build && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/prisma/migrations ./prisma/migrations
COPY --from=build /app/dist ./dist
USER node
EXPOSE 3000
# Without npm in between, so that SIGTERM reaches the program.
CMD ["node", "--enable-source-maps", "--min-semi-space-size=256", "--max-semi-space-size=256", "dist/server.js"]
