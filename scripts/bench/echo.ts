/** `echo.ts <path>`: sends back what it receives over a Unix socket. Prints a line when it listens. */

if (import.meta.main) {
  const listener = Deno.listen({ transport: "unix", path: Deno.args[0]! });
  console.log("listening");
  const conn = await listener.accept();
  const buffer = new Uint8Array(64 * 1024);
  for (let read = await conn.read(buffer); read !== null; read = await conn.read(buffer)) {
    await conn.write(buffer.subarray(0, read));
  }
  listener.close();
}
