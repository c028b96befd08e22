/** Standard input: a message that is piped in, and what a person types. */
import { createInterface } from "node:readline"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import { Failure } from "./Failure.ts"

const all = Effect.tryPromise({
  try: async () => {
    const chunks: Array<Buffer> = []
    for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks).toString("utf8")
  },
  catch: (cause) => Failure.failed(`standard input cannot be read: ${String(cause)}`)
})

/** The message that an argument gives; `-` reads it from standard input. Refused where it is empty. */
export const message = (argument: string): Effect.Effect<string, Failure> =>
  Effect.filterOrFail(
    argument === "-" ? all : Effect.succeed(argument),
    (text) => text.trim() !== "",
    () => Failure.usage("the message is empty")
  )

/** Lines that were typed and not read yet; older ones give way. */
const TYPED_MAX = 16

/** Lines as they are typed; ends where standard input does. */
export const lines: Effect.Effect<Mailbox.Mailbox<string>, never, Scope.Scope> = Effect.gen(function* () {
  const typed = yield* Mailbox.make<string>({ capacity: TYPED_MAX, strategy: "sliding" })
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const reader = createInterface({ input: process.stdin, terminal: false })
      reader.on("line", (line) => typed.unsafeOffer(line))
      reader.on("close", () => Effect.runFork(typed.end))
      return reader
    }),
    (reader) => Effect.sync(() => reader.close())
  )
  return typed
})
