/** What streams to one connection, whatever it is made of. */

/** One stream. It waits for `begin`, and tells nothing after `end`. */
export interface Stream {
  /** Lets the stream run: the reply that opens it is on its way. */
  begin(): void;
  /** Tells what there is, as far as there is room. Called whenever there may be more, or more room. */
  pump(): void;
  end(): void;
  /** Whether events up to `seq` are still to be told. */
  isBehind(seq: number): boolean;
  /** Notes that the reader is still there, though there is nothing to tell. */
  touch(): void;
}
