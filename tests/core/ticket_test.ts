/** Tickets: one outcome, told once to each who asks. */

import { assertEquals, assertRejects } from "@std/assert";
import { Ticket } from "../../src/core/ticket.ts";

Deno.test("whoever asks before is told in the turn in which the outcome is known, in order", () => {
  const ticket = new Ticket<number>();
  const told: string[] = [];
  for (const name of ["a", "b", "c"]) {
    ticket.whenSettled((outcome) => told.push(`${name}${outcome.ok && outcome.value}`));
  }
  assertEquals(told, []);
  ticket.succeed(7);
  assertEquals(told, ["a7", "b7", "c7"]);
});

Deno.test("whoever asks after is told at once", () => {
  const told: unknown[] = [];
  Ticket.of("x").whenSettled((outcome) => told.push(outcome));
  assertEquals(told, [{ ok: true, value: "x" }]);
});

Deno.test("the first outcome counts, and nobody is told twice", () => {
  const ticket = new Ticket<number>();
  const told: unknown[] = [];
  ticket.whenSettled((outcome) => told.push(outcome));
  ticket.fail("broken");
  ticket.succeed(1);
  ticket.fail("again");
  assertEquals(told, [{ ok: false, error: "broken" }]);
});

Deno.test("a listener that is added while others are told is told as well", () => {
  const ticket = new Ticket<number>();
  let inner = 0;
  ticket.whenSettled(() =>
    ticket.whenSettled((outcome) => inner = outcome.ok ? outcome.value : -1)
  );
  ticket.succeed(3);
  assertEquals(inner, 3);
});

Deno.test("a promise of a ticket keeps or breaks as the ticket did", async () => {
  assertEquals(await Ticket.of(5).promise(), 5);
  const failed = new Ticket<number>();
  failed.fail(new Error("no disk"));
  await assertRejects(() => failed.promise(), Error, "no disk");
  const later = new Ticket<number>();
  const promise = later.promise();
  later.succeed(6);
  assertEquals(await promise, 6);
});

Deno.test("map changes a value and leaves a failure as it is", async () => {
  const ticket = new Ticket<number>();
  const doubled = ticket.map((value) => value * 2);
  ticket.succeed(21);
  assertEquals(await doubled.promise(), 42);
  const failed = new Ticket<number>();
  const never = failed.map(() => 1);
  failed.fail(new Error("no disk"));
  await assertRejects(() => never.promise(), Error, "no disk");
});
