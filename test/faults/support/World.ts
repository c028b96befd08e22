/** A hub, a client of it and a bridge with scripted agents, in one process: real sockets, databases and children. */
import { createServer } from "node:net"
import { join } from "node:path"
import * as Bridge from "@causeway/bridge/Bridge"
import type { BridgeEvent } from "@causeway/bridge/BridgeEvent"
import * as Pointer from "@causeway/bridge/Pointer"
import * as Worktrees from "@causeway/bridge/Worktrees"
import * as Client from "@causeway/client/Client"
import * as Credentials from "@causeway/client/Credentials"
import * as Viewer from "@causeway/client/Viewer"
import * as Hub from "@causeway/hub/Hub"
import type { SessionId } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import * as AgentSessions from "@causeway/runner/AgentSessions"
import * as Ceiling from "@causeway/runner/Ceiling"
import * as Drivers from "@causeway/runner/Drivers"
import * as Engine from "@causeway/runner/Engine"
import * as Journal from "@causeway/runner/Journal"
import * as ProcessRegistry from "@causeway/runner/Process/ProcessRegistry"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Directory from "../../support/Directory.ts"

export { bundle as bundleAgent } from "../../../packages/runner/test/support/Scripted.ts"

export const directory = Directory.temporary("faults")

/** A port that is free now. */
export const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A hub over a file, so that it can be closed and opened again. */
export const hub = (options: { readonly file: string; readonly port?: number }) =>
  Hub.layer({ filename: options.file, ...(options.port === undefined ? {} : { port: options.port }) })

/** The client services and the credentials of a hub. */
export const client = (to: { readonly url: string; readonly token: Redacted.Redacted }) =>
  Client.layer({ baseUrl: to.url }).pipe(
    Layer.provideMerge(Credentials.layerStatic({ accessToken: to.token }, { organization: "token" })),
    Layer.provide(NodeHttpClient.layerUndici)
  )

export const bridge = (options: {
  readonly stateDirectory: string
  readonly scriptedAgentPath: string
  readonly idleStop?: Duration.DurationInput
}) =>
  Layer.mergeAll(
    Bridge.layer.pipe(
      Layer.provideMerge(
        Layer.mergeAll(
          Journal.layer(options),
          Pointer.layer(options),
          Worktrees.layer({ root: join(options.stateDirectory, "worktrees"), environment: process.env })
        )
      ),
      Layer.provide(NodeContext.layer)
    ),
    AgentSessions.layerWith({ idleStop: options.idleStop }).pipe(
      Layer.provide(ProcessRegistry.layer(join(options.stateDirectory, "processes"))),
      Layer.provide(
        Drivers.layer({
          environment: process.env,
          scriptedAgentPath: options.scriptedAgentPath,
          scriptedDirectory: join(options.stateDirectory, "agents")
        })
      )
    )
  )

export const start = (options: {
  readonly dir: string
  readonly baseUrl: string
  /** Default true: agents serve the sessions. */
  readonly hosted?: boolean
  readonly events?: Array<BridgeEvent> | undefined
  readonly more?: Partial<Bridge.Config> | undefined
}) =>
  Effect.gen(function* () {
    // Agents that work unasked are what most of these tests need; the ceiling has its own.
    const ceiling = options.more?.ceiling ?? Ceiling.unbounded
    const serve = yield* Engine.make({ ceiling })
    return yield* (yield* Bridge.Bridge).start({
      dir: options.dir,
      machineName: "test",
      baseUrl: options.baseUrl,
      workerType: "test",
      maxSessions: 8,
      perpetual: false,
      agent: "scripted",
      title: "a session",
      ...(options.hosted === false ? {} : { serve }),
      onEvent: (event) => Effect.sync(() => void options.events?.push(event)),
      ceiling,
      ...options.more
    })
  })

export const prompt = (text: string, uuid: string): Payload.JsonObject & { readonly type: string } => ({
  type: "user",
  uuid,
  message: { role: "user", content: text },
  parent_tool_use_id: null,
  session_id: ""
})

/** The stored events of a session, until one matches. */
export const until = (sessionId: SessionId, matches: (payload: Payload.JsonObject) => boolean, count = 1) =>
  Effect.flatMap(Viewer.Viewer, (viewer) =>
    viewer.watch(sessionId, 0).pipe(
      Stream.filterMap((frame) => (frame._tag === "Event" ? Option.some(frame.event) : Option.none())),
      Stream.mapAccum(0, (seen, event) => {
        const now = seen + (matches(event.payload) ? 1 : 0)
        return [now, { event, done: now >= count }]
      }),
      Stream.takeUntil(({ done }) => done),
      Stream.map(({ event }) => event),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray)
    )
  )

/** What did not happen in time. */
export class TooLate extends Data.TaggedError("TooLate")<{ readonly message: string }> {}

/** Waits for something that other fibers put in place. */
export const eventually = <A>(look: () => A | undefined): Effect.Effect<A> =>
  Effect.suspend(() => {
    const found = look()
    return found === undefined
      ? Effect.zipRight(Effect.sleep("20 millis"), eventually(look))
      : Effect.succeed(found)
  })
