// Resolves better-sqlite3 to the module beside this one.
export async function resolve(specifier, context, next) {
  if (specifier !== "better-sqlite3") return next(specifier, context);
  return { url: new URL("./sqlite.mjs", import.meta.url).href, shortCircuit: true };
}
