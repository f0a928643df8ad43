/** The calls that come to one connection, as the provider of services, and its answers to them. */

import type { CallAnswer, CallCodec } from "../codecs/codec.ts";
import type { CallerIdentity, Provider } from "../core/service_call.ts";
import type { ServiceRegistry } from "../core/service_registry.ts";
import type { JsonText } from "../core/text.ts";
import { providerError } from "../operations/services.ts";

/** One connection as a provider; bounded by what the registry gives it at once. */
export class ProvidedCalls implements Provider {
  readonly #codec: () => CallCodec;
  readonly #send: (line: string) => void;
  readonly #registry: ServiceRegistry;

  constructor(
    registry: ServiceRegistry,
    { codec, send }: { readonly codec: () => CallCodec; readonly send: (line: string) => void },
  ) {
    this.#registry = registry;
    this.#codec = codec;
    this.#send = send;
  }

  call(id: string, method: string, params: JsonText, caller: CallerIdentity): void {
    this.#send(this.#codec().encodeCall({ id, method, params, caller }));
  }

  cancel(id: string): void {
    this.#send(this.#codec().encodeCancel(id));
  }

  /** Takes an answer; one to a call that it does not have is dropped. */
  answer({ id, result, error }: CallAnswer): void {
    const answer = error === undefined ? { result } : { error: providerError(error) };
    this.#registry.answer(this, id, answer);
  }

  /** The connection is over: nothing more comes to it. */
  end(): void {
    this.#registry.gone(this);
  }
}
