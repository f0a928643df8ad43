/**
 * What an HTTP request must get past before anything is asked of it: where it comes from, which version it speaks,
 * who it is.
 *
 * A page in a browser can reach a local server under any name: so a request that says which page it comes from, or
 * that was sent to another name than this machine's, is refused.
 */

import { PosternError, shown } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import type { Tokens } from "../../core/tokens.ts";

/** The major version of the interface, in each answer. */
export const API_VERSION = "0";
const API_HEADERS = ["postern-api-version", "cheetahclaws-api-version"];

const LOCAL_HOSTS: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** @throws PosternError `permission_denied` */
export function requireLocal(request: Request, url: URL, name: string): void {
  const origin = request.headers.get("origin");
  if (origin !== null) {
    throw new PosternError(
      "permission_denied",
      `a request from a page is refused, this one comes from ${shown(origin)}`,
    );
  }
  if (LOCAL_HOSTS.has(url.hostname) || url.hostname === name.toLowerCase()) return;
  throw new PosternError(
    "permission_denied",
    `the Host must be localhost or this daemon's name, got ${shown(url.hostname)}`,
  );
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

/**
 * Whom the request's token stands for; `null` without a token, `undefined` for one that is not valid.
 */
export function authenticated(
  { headers }: Request,
  tokens: Tokens,
): Principal | null | undefined {
  const given = tokenIn(headers);
  return given === null ? null : tokens.authenticate(given) ?? undefined;
}

function tokenIn(headers: Headers): string | null {
  const bearer = /^bearer[ ]+(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  const service = headers.get("x-rdv-service-token");
  if (service === null) return headers.has("authorization") ? "" : null;
  return asHex(service.trim());
}

/** A token of 32 bytes may be written in base64, as services of the remote-dev backend do. */
function asHex(token: string): string {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(token)) return token;
  const base64 = token.replaceAll("-", "+").replaceAll("_", "/");
  return Array.from(atob(base64), (unit) => unit.charCodeAt(0).toString(16).padStart(2, "0"))
    .join("");
}
