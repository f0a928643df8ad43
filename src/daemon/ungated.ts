/**
 * Takes away the storage that Deno gives to every program without asking for a right.
 *
 * A database without a path, `caches` and `localStorage` keep their files in Deno's own cache directory,
 * outside of ours, and no permission covers them. Like the permissions themselves this stops code that strays,
 * and is no boundary against code that means harm.
 */

/** Closes them in this thread, for good; called once. */
export function closeUngatedStorage(): void {
  const open = Deno.openKv;
  Object.defineProperty(Deno, "openKv", {
    value: (path?: string) =>
      path === undefined
        ? Promise.reject(new Deno.errors.NotCapable("opening a database: a path is needed here"))
        : open(path),
  });
  for (const name of ["caches", "localStorage"]) {
    Object.defineProperty(globalThis, name, {
      get: () => {
        throw new Deno.errors.NotCapable(
          `${name} is closed here: it lies outside of the directory`,
        );
      },
    });
  }
}
