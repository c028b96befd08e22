/** The viewer's side of a session: watch and steer. Source: spec 5 §1. */
import type { DeliveryUpdate } from "@causeway/protocol/Event"
import type { SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { AccessError, SessionConflict, SessionNotFound } from "./ClientError.ts"
import type { Received, StreamOptions } from "./CodeSession.ts"

/** What a viewer sees. `Ephemeral`: partial text and progress, never stored. */
export type Frame =
  | { readonly _tag: "Event"; readonly event: Received }
  | { readonly _tag: "Ephemeral"; readonly eventType: string; readonly payload: JsonObject }
  | { readonly _tag: "Delivery"; readonly update: DeliveryUpdate }
  | { readonly _tag: "CatchUpTruncated" }
  /** A kind of frame that this program does not know. */
  | { readonly _tag: "Unknown"; readonly name: string; readonly data: string }

export type WatchError = Extract<
  AccessError | SessionNotFound,
  {
    readonly _tag:
      | "AccessTokenMissing"
      | "OrganizationMissing"
      | "Unauthorized"
      | "IdInvalid"
      | "SessionNotFound"
  }
>

export class Viewer extends Context.Tag("@causeway/client/Viewer")<
  Viewer,
  {
    /** Frames after sequence number `from` (0: from the start), for ever; connects again after every loss. */
    readonly watch: (
      sessionId: SessionId,
      from: number,
      options?: StreamOptions
    ) => Stream.Stream<Frame, WatchError>
    /** Appends payloads as a client: messages, control requests and responses. At most 100 a call. */
    readonly send: (
      sessionId: SessionId,
      payloads: ReadonlyArray<JsonObject>
    ) => Effect.Effect<void, AccessError | SessionNotFound | SessionConflict>
  }
>() {}
