/** The whole way with everything real, and what must hold when parts of it end. */
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import type * as Bridge from "@causeway/bridge/Bridge"
import type { BridgeEvent } from "@causeway/bridge/BridgeEvent"
import type * as Client from "@causeway/client/Client"
import * as CodeSession from "@causeway/client/CodeSession"
import type * as Credentials from "@causeway/client/Credentials"
import * as Environments from "@causeway/client/Environments"
import * as Sessions from "@causeway/client/Sessions"
import * as Viewer from "@causeway/client/Viewer"
import * as Hub from "@causeway/hub/Hub"
import type { SessionId } from "@causeway/protocol/Ids"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as World from "./support/World.ts"

let scriptedAgentPath: string
beforeAll(async () => {
  scriptedAgentPath = await World.bundleAgent()
})

/** A hub that can be stopped and started, and bridges of one directory. */
interface Place {
  readonly dir: string
  readonly url: string
  readonly token: Redacted.Redacted
  /** What the bridges of this place have told, in order. */
  readonly events: Array<BridgeEvent>
  readonly stopHub: Effect.Effect<void>
  readonly startHub: Effect.Effect<void>
  /** Runs with a bridge, and shuts it down in order. */
  readonly bridged: <A, E, R>(
    use: (handle: Bridge.Handle) => Effect.Effect<A, E, R>,
    more?: Partial<Bridge.Config> & { readonly hosted?: boolean }
  ) => Effect.Effect<A, unknown, Exclude<R, Scope.Scope>>
}

const at = <A, E>(
  use: (place: Place) => Effect.Effect<A, E, Client.Client | Credentials.Credentials | Scope.Scope>
) =>
  Effect.gen(function* () {
    const dir = yield* World.directory
    const stateDirectory = yield* World.directory
    const port = yield* World.freePort
    const events: Array<BridgeEvent> = []
    let hubScope = yield* Scope.make()
    const open = Effect.gen(function* () {
      hubScope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        World.hub({ file: join(stateDirectory, "hub.db"), port }),
        hubScope
      )
      return yield* Effect.provide(Hub.Hub, context)
    })
    const { url, firstToken } = yield* open
    yield* Effect.addFinalizer(() => Scope.close(hubScope, Exit.void))
    const token = Option.getOrThrow(firstToken)
    const stopHub = Effect.suspend(() => Scope.close(hubScope, Exit.void))
    const place: Place = {
      dir,
      url,
      token,
      events,
      stopHub,
      startHub: Effect.orDie(Effect.asVoid(open)),
      bridged: (run, more) =>
        World.start({ dir, baseUrl: url, events, more, hosted: more?.hosted !== false }).pipe(
          // Whoever talks to the session is not the bridge: a client of its own, with its own tokens.
          Effect.flatMap((handle) => Effect.provide(run(handle), World.client({ url, token }))),
          Effect.scoped,
          Effect.provide(World.bridge({ stateDirectory, scriptedAgentPath })),
          Effect.provide(World.client({ url, token }))
        )
    }
    return yield* Effect.provide(use(place), World.client({ url, token }))
  })

const say = (sessionId: SessionId, text: string) =>
  Effect.gen(function* () {
    const uuid = randomUUID()
    yield* (yield* Sessions.Sessions).sendEvents(sessionId, [World.prompt(text, uuid)])
    return uuid
  })

const resultOf = (sessionId: SessionId, uuid: string) =>
  Effect.map(
    World.until(
      sessionId,
      (payload) => payload["user_message_uuid"] === uuid && payload["type"] === "result"
    ),
    (log) => log.at(-1)?.payload
  )

/** Says something and waits for the answer. */
const talk = (sessionId: SessionId, text: string) =>
  Effect.flatMap(say(sessionId, text), (uuid) => resultOf(sessionId, uuid))

const state = (handle: Bridge.Handle, tag: string) =>
  handle.state.changes.pipe(
    Stream.filter(({ _tag }) => _tag === tag),
    Stream.runHead
  )

const attachedTo = (events: ReadonlyArray<BridgeEvent>) =>
  events.flatMap((event) => (event._tag === "SessionAttached" ? [event.sessionId] : []))

const isArchived = (id: SessionId) =>
  Effect.flatMap(Sessions.Sessions, (sessions) =>
    Effect.map(sessions.get(id), ({ archivedAt }) => Option.isSome(archivedAt))
  )

describe("bridge and hub", () => {
  it.scopedLive(
    "a prompt is answered; prompt, answer and result once each, in order; shutdown archives",
    () =>
      at(({ bridged, events }) =>
        Effect.gen(function* () {
          const sessionId = yield* bridged((handle) =>
            Effect.gen(function* () {
              const sessionId = yield* handle.sessionId
              const uuid = yield* say(sessionId, "!say hello")
              yield* resultOf(sessionId, uuid)
              return sessionId
            })
          )
          const log = yield* World.until(sessionId, ({ archived }) => archived === true)
          expect(
            log.flatMap(({ payload: { type } }) =>
              type === "user" || type === "assistant" || type === "result" ? [type] : []
            )
          ).toEqual(["user", "assistant", "result"])
          expect(yield* isArchived(sessionId)).toBe(true)
          expect(events.at(-1)).toEqual({ _tag: "ShutDown", unfinished: [] })
        })
      )
  )

  it.scopedLive("a shutdown in mid-turn ends the turn with one result, and archives", () =>
    at(({ bridged }) =>
      Effect.gen(function* () {
        const sessionId = yield* bridged((handle) =>
          Effect.gen(function* () {
            const sessionId = yield* handle.sessionId
            yield* say(sessionId, "!hang")
            yield* World.until(sessionId, ({ subtype }) => subtype === "session_state_changed")
            return sessionId
          })
        )
        expect(yield* isArchived(sessionId)).toBe(true)
        const log = yield* World.until(sessionId, ({ archived }) => archived === true)
        expect(log.filter(({ payload }) => payload["type"] === "result")).toHaveLength(1)
      })
    )
  )

  it.scopedLive("perpetual: the same environment and session at the next start, nothing archived", () =>
    at(({ bridged, events }) =>
      Effect.gen(function* () {
        const perpetual = { perpetual: true }
        const ids = (handle: Bridge.Handle) => Effect.all([handle.sessionId, handle.environmentId])
        const first = yield* bridged(
          (handle) =>
            Effect.gen(function* () {
              const [sessionId] = yield* ids(handle)
              yield* talk(sessionId, "one")
              return yield* ids(handle)
            }),
          perpetual
        )
        expect(yield* isArchived(first[0])).toBe(false)
        // What is said meanwhile waits, and is answered by the next start.
        const uuid = yield* say(first[0], "two")
        const second = yield* bridged(
          (handle) =>
            Effect.gen(function* () {
              yield* resultOf(first[0], uuid)
              return yield* ids(handle)
            }),
          perpetual
        )
        expect(second).toEqual(first)
        expect(events).toContainEqual({ _tag: "SessionReady", sessionId: first[0], reused: true })
      })
    )
  )

  it.scopedLive("a saved session that was archived meanwhile is dropped once, and not taken up again", () =>
    at(({ bridged, events }) =>
      Effect.gen(function* () {
        const perpetual = { perpetual: true }
        const old = yield* bridged((handle) => handle.sessionId, perpetual)
        yield* (yield* Sessions.Sessions).archive(old)
        const next = yield* bridged((handle) => handle.sessionId, perpetual)
        expect(next).not.toBe(old)
        const third = yield* bridged((handle) => handle.sessionId, perpetual)
        expect(third).toBe(next)
        expect(events.filter(({ _tag }) => _tag === "SavedSessionDropped")).toEqual([
          { _tag: "SavedSessionDropped", sessionId: old, why: "it is archived" }
        ])
      })
    )
  )

  it.scopedLive("a second bridge for the directory is refused and changes nothing", () =>
    at(({ bridged }) =>
      Effect.gen(function* () {
        yield* bridged((handle) =>
          Effect.gen(function* () {
            const sessionId = yield* handle.sessionId
            const refused = yield* Effect.flip(bridged(() => Effect.void))
            expect(refused).toMatchObject({ _tag: "DirectoryInUse", pid: process.pid })
            expect(yield* talk(sessionId, "still here")).toMatchObject({ is_error: false })
          })
        )
      })
    )
  )

  it.scopedLive(
    "at capacity another session waits, and is taken up when there is room",
    () =>
      at(({ bridged, events }) =>
        bridged(
          (handle) =>
            Effect.gen(function* () {
              const sessions = yield* Sessions.Sessions
              const home = yield* handle.sessionId
              const environmentId = yield* handle.environmentId
              yield* talk(home, "home")
              const other = yield* sessions.create({ environmentId, title: "other", events: [] })
              const uuid = yield* say(other, "is there room?")
              expect(yield* talk(home, "home again")).toMatchObject({ is_error: false })
              expect(attachedTo(events)).toEqual([home])
              yield* sessions.archive(home)
              expect(yield* resultOf(other, uuid)).toMatchObject({ is_error: false })
              expect(attachedTo(events)).toEqual([home, other])
              const log = yield* World.until(home, ({ archived }) => archived === true)
              expect(JSON.stringify(log)).not.toContain("is there room?")
            }),
          { maxSessions: 1, lease: "10 seconds" }
        )
      ),
    180_000
  )

  it.scopedLive(
    "the hub restarts: the bridge reconnects to the same session by itself",
    () =>
      at(({ bridged, stopHub, startHub }) =>
        bridged((handle) =>
          Effect.gen(function* () {
            const sessionId = yield* handle.sessionId
            yield* talk(sessionId, "before")
            yield* say(sessionId, "!slow 20 50")
            yield* stopHub
            yield* state(handle, "Reconnecting")
            yield* startHub
            yield* state(handle, "Connected")
            expect(yield* talk(sessionId, "after")).toMatchObject({ is_error: false })
            const log = yield* World.until(sessionId, ({ type }) => type === "result", 3)
            expect(log.filter(({ payload }) => payload["type"] === "result")).toHaveLength(3)
          })
        )
      ),
    180_000
  )

  it.scopedLive(
    "an environment that was removed: a new one, the old session archived, a new one with the title of now",
    () =>
      at(({ bridged, events }) =>
        bridged(
          (handle) =>
            Effect.gen(function* () {
              const sessions = yield* Sessions.Sessions
              const old = { session: yield* handle.sessionId, environment: yield* handle.environmentId }
              yield* talk(old.session, "before")
              yield* (yield* Environments.Environments).deregister(old.environment)
              yield* state(handle, "Reconnecting")
              yield* state(handle, "Connected")
              const now = { session: yield* handle.sessionId, environment: yield* handle.environmentId }
              expect(now.session).not.toBe(old.session)
              expect(now.environment).not.toBe(old.environment)
              expect(yield* isArchived(old.session)).toBe(true)
              expect((yield* sessions.get(now.session)).title).toEqual(Option.some("the title of now"))
              expect(yield* talk(now.session, "after")).toMatchObject({ is_error: false })
              expect(events.filter(({ _tag }) => _tag === "SessionReady")).toHaveLength(2)
            }),
          { currentTitle: Effect.succeed("the title of now") }
        )
      ),
    180_000
  )

  it.scopedLive(
    "the home session is archived by a person: its agent ends, and the bridge serves others on",
    () =>
      at(({ bridged, events }) =>
        bridged((handle) =>
          Effect.gen(function* () {
            const sessions = yield* Sessions.Sessions
            const home = yield* handle.sessionId
            yield* talk(home, "before")
            yield* sessions.archive(home)
            const other = yield* sessions.create({
              environmentId: yield* handle.environmentId,
              title: "other",
              events: []
            })
            expect(yield* talk(other, "after")).toMatchObject({ is_error: false })
            expect(events.some(({ _tag }) => _tag === "SessionAttached")).toBe(true)
          })
        )
      ),
    180_000
  )

  it.scopedLive(
    "another worker takes the session: this one stops writing, and leaves it to that one",
    () =>
      at(({ bridged, events }) =>
        bridged((handle) =>
          Effect.gen(function* () {
            const sessionId = yield* handle.sessionId
            yield* talk(sessionId, "before")
            yield* say(sessionId, "!slow 100 20")
            const codeSession = yield* CodeSession.CodeSession
            const { apiBaseUrl, epoch } = yield* codeSession.credentials(sessionId)
            const target = { sessionId, apiBaseUrl }
            yield* Effect.forkScoped(Stream.runDrain(codeSession.stream(target, 0)))
            const ended = yield* World.eventually(() => events.find(({ _tag }) => _tag === "SessionEnded"))
            expect(ended).toMatchObject({ sessionId, why: "another worker has it" })
            const reasons = events.flatMap((event) =>
              event._tag === "SessionDetached" ? [event.reason] : []
            )
            expect(["superseded", "token_refused"]).toContain(reasons[0])
            expect(reasons).toHaveLength(1)
            expect((yield* codeSession.getWorker(target)).worker_epoch).toBe(epoch)
            expect(yield* isArchived(sessionId)).toBe(false)
          })
        )
      ),
    180_000
  )

  it.scopedLive("an agent that does not exist is reported in the log, and the bridge goes on", () =>
    at(({ bridged }) =>
      bridged(
        (handle) =>
          Effect.gen(function* () {
            const sessionId = yield* handle.sessionId
            const result = yield* talk(sessionId, "anybody?")
            expect(result).toMatchObject({ is_error: true, terminal_reason: "agent_unavailable" })
            const log = yield* World.until(sessionId, ({ type }) => type === "bridge_error")
            expect(log.at(-1)?.payload["message"]).toContain("nonesuch")
            expect(yield* talk(sessionId, "again?")).toMatchObject({ is_error: true })
          }),
        { agent: "nonesuch" }
      )
    )
  )

  it.scopedLive("a hub that is not there yet: the start waits for it and says so", () =>
    at(({ bridged, events, startHub, stopHub }) =>
      Effect.gen(function* () {
        yield* stopHub
        const talking = yield* Effect.fork(
          bridged((handle) => Effect.flatMap(handle.sessionId, (sessionId) => talk(sessionId, "hello")))
        )
        yield* World.eventually(() => events.find(({ _tag }) => _tag === "StartDelayed"))
        yield* startHub
        expect(yield* Fiber.join(talking)).toMatchObject({ is_error: false })
      })
    )
  )

  it.scopedLive("without a host the handle brings what people say, and writes what it is given", () =>
    at(({ bridged }) =>
      bridged(
        (handle) =>
          Effect.gen(function* () {
            const sessionId = yield* handle.sessionId
            const viewer = yield* Viewer.Viewer
            const uuid = yield* say(sessionId, "to whom it may concern")
            yield* viewer.send(sessionId, [
              {
                type: "control_request",
                uuid: randomUUID(),
                request_id: "1",
                request: { subtype: "interrupt" }
              }
            ])
            const message = yield* Stream.runHead(handle.userMessages)
            expect(Option.getOrThrow(message).uuid).toBe(uuid)
            const request = yield* Stream.runHead(handle.controlRequests)
            expect(Option.getOrThrow(request).json["request_id"]).toBe("1")
            yield* handle.sendControlResponse({ subtype: "success", request_id: "1" })
            yield* handle.writeSdkMessages([
              { type: "assistant", message: { role: "assistant", content: [] } }
            ])
            yield* handle.sendResult
            const log = yield* World.until(sessionId, ({ type }) => type === "result")
            expect(log.map(({ payload }) => payload["type"])).toEqual([
              "session_update",
              "user",
              "control_request",
              "control_response",
              "assistant",
              "result"
            ])
          }),
        { hosted: false }
      )
    )
  )
})
