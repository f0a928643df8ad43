/**
 * What an HTTP request must get past before anything is asked of it: where it comes from, and which version it
 * speaks.
 *
 * A page in a browser can reach a local server under any name: so a request that says which page it comes from, or
 * that was sent to another name than this machine's, is refused. That name stands in the `Host`, in the request's
 * target, as proxies are asked, or in both.
 */

import { PosternError, shown } from "../../core/errors.ts";

/** The major version of the interface, in each answer. */
export const API_VERSION = "0";
const API_HEADERS = ["postern-api-version", "cheetahclaws-api-version"];

const LOCAL_HOSTS: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Whether a request is one of HTTP/2, which the platform speaks with whoever begins so, as far as it can be told: HTTP/2
 * names the host in the target and needs no `Host`. (So may HTTP/1.0 to a proxy.) One that is made to look as of HTTP/1
 * passes.
 */
export function isHttp2({ url, headers }: Request): boolean {
  return !url.startsWith("http+unix:") && !headers.has("host");
}

/** @throws PosternError `permission_denied` */
export function requireLocal({ url, headers }: Request, name: string): void {
  const origin = headers.get("origin");
  if (origin !== null) {
    throw new PosternError(
      "permission_denied",
      `a request from a page is refused, this one comes from ${shown(origin)}`,
    );
  }
  for (const host of [headers.get("host") ?? "", targetHost(url)]) {
    const given = host.toLowerCase().replace(/:\d*$/, "");
    // No browser leaves it out; clients of HTTP/1.0 may.
    if (host === "" || LOCAL_HOSTS.has(given) || given === name.toLowerCase()) continue;
    throw new PosternError(
      "permission_denied",
      `the Host must be localhost or this daemon's name, got ${shown(host)}`,
    );
  }
}

/** The host that a request's target names; without one the platform puts that of `Host`, or the socket's path. */
function targetHost(url: string): string {
  const host = /^[^:/?#]+:\/\/([^/?#]*)/.exec(url)?.[1] ?? "";
  return host.startsWith("%2F") ? "" : host;
}

/** @throws PosternError `unsupported_version` */
export function requireVersion({ headers }: Request): void {
  for (const header of API_HEADERS) {
    const version = headers.get(header);
    if (version === null || version.split(".", 1)[0]!.trim() === API_VERSION) continue;
    throw new PosternError(
      "unsupported_version",
      `${header}: this daemon speaks version ${API_VERSION}, got ${shown(version)}`,
      { supported: API_VERSION },
    );
  }
}

/** What an answer says of every request. */
export function withVersion(response: Response): Response {
  response.headers.set("postern-api-version", API_VERSION);
  return response;
}
