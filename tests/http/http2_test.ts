/** The socket speaks HTTP/1.1; the platform behind it would speak HTTP/2 as well. */

import { assertEquals, assertMatch } from "@std/assert";
import { askByHand, guarded } from "../support/http_client.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

/** Asks for the health in HTTP/2, without having been told that it is spoken. */
async function askHttp2(daemon: TestDaemon, host: string): Promise<Response> {
  const proxy = { transport: "unix", path: daemon.httpSocketPath } as const;
  using client = Deno.createHttpClient({ proxy, http1: false, http2: true });
  const headers = { authorization: `Bearer ${daemon.token}` };
  return await guarded(fetch(`http://${host}/healthz`, { client, headers }), "answer");
}

Deno.test("HTTP/2 is answered 505, without a body", async () => {
  await using daemon = await startTestDaemon();
  for (const host of ["localhost", "example.org"]) {
    const response = await askHttp2(daemon, host);
    assertEquals([response.status, await response.text()], [505, ""]);
  }
});

Deno.test("a host in the target of a request must be this machine's, as that in Host", async () => {
  await using daemon = await startTestDaemon();
  const cases: [string, RegExp][] = [
    ["http://localhost/readyz HTTP/1.1\r\nHost: localhost", /^HTTP\/1.1 200/],
    ["http://LOCALHOST:80/readyz HTTP/1.1\r\nHost: localhost", /^HTTP\/1.1 200/],
    ["http://example.org/readyz HTTP/1.1\r\nHost: localhost", /^HTTP\/1.1 403 .*example.org/s],
    ["http://localhost/readyz HTTP/1.1\r\nHost: example.org", /^HTTP\/1.1 403 .*example.org/s],
    ["http+unix://example.org/readyz HTTP/1.1", /^HTTP\/1.1 403 .*example.org/s],
    ["http://localhost/readyz HTTP/1.0", /^HTTP\/1.0 505/],
    ["/readyz HTTP/1.0", /^HTTP\/1.0 200/],
  ];
  const more = `Connection: close\r\nAuthorization: Bearer ${daemon.token}\r\n\r\n`;
  for (const [head, expected] of cases) {
    assertMatch(await askByHand(daemon.httpSocketPath, `GET ${head}\r\n${more}`), expected);
  }
});
