/**
 * Who acts, as the door that let them in has found: what a request stores in a log or in the audit log names them. A door
 * sets it for the fiber of its request; what the hub does by itself has none.
 */
import type { Author } from "@causeway/protocol/Event"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as GlobalValue from "effect/GlobalValue"

export const current: FiberRef.FiberRef<Author | undefined> = GlobalValue.globalValue(
  Symbol.for("@causeway/store/Author"),
  () => FiberRef.unsafeMake<Author | undefined>(undefined)
)

/** The credential that acts, by which what it makes is told; null where none does. */
export const issuer: Effect.Effect<string | null> = Effect.map(FiberRef.get(current), (author) =>
  author === undefined || author.kind === "client" ? null : author.id
)

/** As a column holds it; null where nobody acts. */
export const column: Effect.Effect<string | null> = Effect.map(FiberRef.get(current), (author) =>
  author === undefined ? null : JSON.stringify(author)
)
