/** Loads as anything; whoever uses a part of it is told why that fails. */
module.exports = new Proxy(
  {},
  {
    get: (_target, name) => {
      if (typeof name === 'symbol' || ['__esModule', 'default', 'then'].includes(name)) return undefined;
      throw new Error(`${name}: this checkout has no Prisma Studio and no prisma dev; "npx prisma@7 studio" outside it has them.`);
    },
  },
);
