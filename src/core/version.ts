/** The version of this Postern; the docs check holds it equal to deno.json's. */
export const VERSION = "0.1.0";
