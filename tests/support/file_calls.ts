/** In which order files are synced, renamed and emptied: what a loss of power leaves depends on nothing else. */

import { basename } from "@std/path/posix";

/** What `act` does, in order; only what is done synchronously, and in this process. */
export function fileCalls(act: () => void): string[] {
  const calls: string[] = [];
  const watching = watch(calls);
  try {
    act();
  } finally {
    watching[Symbol.dispose]();
  }
  return calls;
}

/** What `act` does, in order, while one call of one kind is refused: the first, of `truncate` the second. */
export function failing(refused: string, act: () => void): string[] {
  const calls: string[] = [];
  // A new file is emptied first, which is no step yet.
  let left = refused === "truncate" ? 2 : 1;
  const watching = watch(calls, (call) => {
    if (call === refused && --left === 0) throw new Error(`${call} is refused by the test`);
  });
  try {
    act();
  } finally {
    watching[Symbol.dispose]();
  }
  return calls;
}

/** Notes the calls until it is disposed of. */
export function watch(calls: string[], before: (call: string) => void = () => {}): Disposable {
  const note = (call: string) => {
    calls.push(call);
    before(call);
  };
  const file = Deno.FsFile.prototype;
  const { syncSync, sync, truncateSync } = file;
  const { renameSync } = Deno;
  const kindOf = (one: Deno.FsFile) => one.statSync().isDirectory ? "directory" : "file";
  file.syncSync = function () {
    note(`sync ${kindOf(this)}`);
    syncSync.call(this);
  };
  file.sync = function () {
    note(`sync ${kindOf(this)}`);
    return sync.call(this);
  };
  file.truncateSync = function (length) {
    note("truncate");
    truncateSync.call(this, length);
  };
  Deno.renameSync = (from, to) => {
    note(`rename ${basename(String(to))}`);
    renameSync(from, to);
  };
  return {
    [Symbol.dispose]() {
      Object.assign(file, { syncSync, sync, truncateSync });
      Deno.renameSync = renameSync;
    },
  };
}
