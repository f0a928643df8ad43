/** `POST /rpc`: JSON-RPC 2.0 in one request, with the machinery of every other connection. */

import { HTTP_STATUS } from "../../codecs/http_status.ts";
import { parseMessage } from "../../codecs/json.ts";
import { JsonRpcCodec } from "../../codecs/json_rpc.ts";
import type { PosternError } from "../../core/errors.ts";
import { utf8Length } from "../../core/text.ts";
import type { ServerContext } from "../context.ts";
import { Requests } from "../requests.ts";
import type { TokenAnswers } from "./answers.ts";
import type { HttpCaller } from "./http_caller.ts";
import { JSON_HEADERS, withErrorHeaders } from "./route.ts";

/** A refusal of all that a body may have asked for, with the id `null`. */
export function rpcRefusal(refusal: PosternError): Response {
  const text = `${new JsonRpcCodec().encodeError(null, refusal)}\n`;
  const init = { status: HTTP_STATUS[refusal.code], headers: JSON_HEADERS };
  return withErrorHeaders(new Response(text, init), refusal);
}

/** Notes what the one reply of a request came to, which its text does not say. */
class RpcCodec extends JsonRpcCodec {
  refusal: PosternError | null = null;

  override encodeError(
    tag: Parameters<JsonRpcCodec["encodeError"]>[0],
    error: PosternError,
  ): string | null {
    this.refusal = error;
    return super.encodeError(tag, error);
  }
}

/**
 * Carries out what a body asks for.
 *
 * @returns The reply, or those of a batch; 200, or for a single request that is refused the status of its error; 204
 * when nothing is to be said.
 */
export async function answerRpc(
  body: string,
  { context, caller, answers, signal, asRefusal }: {
    readonly context: ServerContext;
    readonly caller: HttpCaller;
    readonly answers: TokenAnswers;
    /** Ends it, for the PosternError that is its reason. */
    readonly signal: AbortSignal;
    readonly asRefusal: (error: unknown) => PosternError;
  },
): Promise<Response> {
  const { metrics } = context.services;
  metrics.bytesReceived += utf8Length(body);
  const codec = new RpcCodec();
  let reply: string | null = null;
  const requests = new Requests({
    context: { services: context.services, caller },
    turns: context.turns,
    send: (line) => reply = line,
    onAnswered() {},
    closedTo: () => signal.aborted ? signal.reason : caller.refusal,
    // Nobody calls whoever asks by HTTP.
    onAnswer() {},
    asRefusal,
  });
  signal.addEventListener("abort", () => requests.endFree(signal.reason));
  let isBatch = false;
  try {
    const decoded = codec.decode(parseMessage(body));
    isBatch = decoded.isBatch;
    // Its answer takes the place of one that nobody takes; meanwhile the others of this turn are not made. Whoever
    // leaves none of them waits for nobody.
    if (answers.isCrowded) await context.turns.next();
    // Behind it there is nothing on this connection that would have to wait.
    requests.begin(codec, decoded);
  } catch (error) {
    requests.refuse(codec, asRefusal(error));
  }
  await requests.settled();
  if (reply === null) return new Response(null, { status: 204 });
  metrics.bytesSent += utf8Length(reply);
  const text = `${reply}\n`;
  if (isBatch || codec.refusal === null) return answers.respond(text);
  const response = answers.respond(text, HTTP_STATUS[codec.refusal.code]);
  return withErrorHeaders(response, codec.refusal);
}
