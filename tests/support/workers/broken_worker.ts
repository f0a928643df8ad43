/** A Worker that throws while it is loaded, before it is ready. */

throw new Error("broken on purpose");
