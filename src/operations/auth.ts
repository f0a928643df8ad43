/** Operations on the caller's authentication. */

import { z } from "zod";
import { PosternError } from "../core/errors.ts";
import { SCOPES } from "../core/principal.ts";
import { defineOperation } from "./operation.ts";
import { boundedText } from "./params.ts";

export const AUTH_LOGIN = defineOperation({
  name: "auth.login",
  summary: "Authenticate this connection with a token.",
  scope: null,
  handshake: true,
  params: z.object({
    token: boundedText("token", 1024).describe("the content of the token file, or a named token"),
  }),
  result: z.object({
    scopes: z.array(z.enum(SCOPES)).describe("what the token may do"),
  }),
  async handle({ token }, { services, caller }) {
    const principal = services.tokens.authenticate(token);
    if (principal === null) {
      await caller.loginFailed();
      throw new PosternError("auth_failed", "auth.login: the token is not valid");
    }
    caller.login(principal);
    return { scopes: [...principal.scopes] };
  },
});
