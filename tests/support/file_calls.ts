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

/** Notes the calls until it is disposed of. */
export function watch(calls: string[]): Disposable {
  const file = Deno.FsFile.prototype;
  const { syncSync, sync, truncateSync } = file;
  const { renameSync } = Deno;
  const kindOf = (one: Deno.FsFile) => one.statSync().isDirectory ? "directory" : "file";
  file.syncSync = function () {
    calls.push(`sync ${kindOf(this)}`);
    syncSync.call(this);
  };
  file.sync = function () {
    calls.push(`sync ${kindOf(this)}`);
    return sync.call(this);
  };
  file.truncateSync = function (length) {
    calls.push("truncate");
    truncateSync.call(this, length);
  };
  Deno.renameSync = (from, to) => {
    calls.push(`rename ${basename(String(to))}`);
    renameSync(from, to);
  };
  return {
    [Symbol.dispose]() {
      Object.assign(file, { syncSync, sync, truncateSync });
      Deno.renameSync = renameSync;
    },
  };
}
