/** The lifecycle over fake services: what is called, in which order, and what is never called. */
import * as ClientError from "@causeway/client/ClientError"
import * as Environments from "@causeway/client/Environments"
import * as Poller from "@causeway/client/Poller"
import * as Sessions from "@causeway/client/Sessions"
import * as EnvironmentCapabilities from "@causeway/protocol/EnvironmentCapabilities"
import { EnvironmentId, SessionId, sessionBody, WorkId } from "@causeway/protocol/Ids"
import * as LaunchOptions from "@causeway/protocol/LaunchOptions"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Payload from "@causeway/protocol/Payload"
import * as Journal from "@causeway/runner/Journal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Bridge from "../src/Bridge.ts"
import { BridgeEvent } from "../src/BridgeEvent.ts"
import * as Pointer from "../src/Pointer.ts"
import * as Worktrees from "../src/Worktrees.ts"
import * as ModelHub from "./support/ModelHub.ts"
import { passing, until } from "./support/Time.ts"

const environmentId = EnvironmentId.make("env_1")

interface Fakes {
  /** Calls that change something on the hub, in order. */
  readonly calls: Array<string>
  readonly events: Array<BridgeEvent>
  readonly hub: ModelHub.ModelHub
  /** Offers work. */
  readonly offer: (sessionId: SessionId, workId?: string) => Effect.Effect<void>
  /** Ends polling with this failure. */
  readonly endPolls: (error: Poller.WorkError) => Effect.Effect<void>
  /** Ends polling with a defect. */
  readonly breakPolls: (message: string) => Effect.Effect<void>
  readonly archived: Set<string>
  /** What the hub tells of sessions beside their ids. */
  readonly told: Map<string, JsonObject>
  /** Metadata of each registration. */
  readonly metadata: Array<JsonObject | undefined>
  /** Whether sessions cannot be read now. */
  readonly unreadable: { now: boolean }
  /** Calls that never answer. */
  readonly deaf: Set<string>
  /** Calls that are refused for good. */
  readonly refused: Set<string>
  readonly start: (
    config?: Partial<Bridge.Config>
  ) => Effect.Effect<
    { readonly handle: Bridge.Handle; readonly close: Effect.Effect<void> },
    Bridge.StartError
  >
  readonly pointer: Effect.Effect<Option.Option<Pointer.Pointer>>
  readonly saved: Effect.Effect<ReadonlyArray<Journal.SessionRecord>, Journal.JournalFailed>
}

const withFakes = <A, E>(use: (fakes: Fakes) => Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const stateDirectory = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
    const calls: Array<string> = []
    const events: Array<BridgeEvent> = []
    const archived = new Set<string>()
    const told = new Map<string, JsonObject>()
    const metadata: Array<JsonObject | undefined> = []
    const unreadable = { now: false }
    const deaf = new Set<string>()
    const refused = new Set<string>()
    const polls = yield* Queue.unbounded<Effect.Effect<Poller.Work, Poller.WorkError>>()
    const hub = yield* ModelHub.make(SessionId.make("session_1"))
    let made = 0
    const call = <A>(name: string, answer: () => A): Effect.Effect<A, ClientError.Unauthorized> =>
      Effect.suspend(() => {
        calls.push(name)
        if (deaf.has(name.split(" ")[0] ?? "")) return Effect.never
        if (refused.has(name.split(" ")[0] ?? "")) {
          return new ClientError.Unauthorized({ operation: name, status: 401 })
        }
        return Effect.sync(answer)
      })
    const services = Layer.mergeAll(
      hub.layer(),
      Layer.mock(Environments.Environments, {
        register: ({ reuseEnvironmentId, metadata: said }) =>
          call(`register ${reuseEnvironmentId ?? "-"}`, () => {
            metadata.push(said)
            return {
              environmentId,
              secret: Redacted.make("secret"),
              reused: reuseEnvironmentId === environmentId
            }
          }),
        deregister: () => call("deregister", () => undefined),
        reconnect: (_, sessionId) => call(`reconnect ${sessionId}`, () => undefined),
        ack: (_, workId) =>
          Effect.sync(() => {
            calls.push(`ack ${workId}`)
          }),
        stop: (_, workId) =>
          Effect.suspend(() => {
            calls.push(`stop ${workId}`)
            return deaf.has("stop") ? Effect.never : Effect.void
          })
      }),
      Layer.mock(Sessions.Sessions, {
        create: () => call("create", () => SessionId.make(`session_${++made}`)),
        get: (id) =>
          archived.has("gone")
            ? new ClientError.SessionNotFound({ sessionId: id })
            : unreadable.now
              ? new ClientError.HubUnreachable({ operation: "get", reason: "Transport", detail: "cut" })
              : Effect.succeed({
                  id,
                  environmentId: Option.some(environmentId),
                  title: Option.none(),
                  archivedAt: archived.has(id) ? Option.some("2026-01-01T00:00:00Z") : Option.none(),
                  raw: told.get(sessionBody(id)) ?? {}
                }),
        archive: (id) => call(`archive ${id}`, () => void archived.add(id))
      }),
      Layer.mock(Poller.Poller, {
        work: () => Stream.repeatEffect(Effect.flatten(Queue.take(polls))),
        hold: () => Effect.never
      })
    )
    const layer = Bridge.layer.pipe(
      Layer.provide(Worktrees.layer({ root: `${stateDirectory}/worktrees`, environment: {} })),
      Layer.provideMerge(services),
      Layer.provideMerge(Layer.mergeAll(Journal.layer({ stateDirectory }), Pointer.layer({ stateDirectory })))
    )
    const context = yield* Layer.build(layer)
    return yield* Effect.gen(function* () {
      const bridge = yield* Bridge.Bridge
      const journal = yield* Journal.Journal
      const pointers = yield* Pointer.Pointers
      return yield* use({
        calls,
        events,
        hub,
        archived,
        told,
        metadata,
        unreadable,
        deaf,
        refused,
        offer: (sessionId, workId = "work_1") =>
          Queue.offer(
            polls,
            Effect.succeed({
              environmentId,
              workId: WorkId.make(workId),
              sessionId,
              item: {
                id: WorkId.make(workId),
                type: "work",
                environment_id: environmentId,
                state: "queued",
                data: { type: "session", id: sessionId },
                created_at: "2026-01-01T00:00:00Z"
              },
              secret: { version: 1, sessionIngressToken: Redacted.make("token"), apiBaseUrl: undefined }
            })
          ),
        endPolls: (error) => Queue.offer(polls, Effect.fail(error)),
        breakPolls: (message) => Queue.offer(polls, Effect.dieMessage(message)),
        start: (config) =>
          Effect.gen(function* () {
            const scope = yield* Scope.make()
            const handle = yield* bridge
              .start({
                dir: "/project",
                machineName: "test",
                baseUrl: "http://hub",
                workerType: "test",
                maxSessions: 2,
                perpetual: false,
                agent: "model",
                onEvent: (event) => Effect.sync(() => void events.push(event)),
                ...config
              })
              .pipe(
                Scope.extend(scope),
                Effect.onError((cause) => passing(Scope.close(scope, Exit.failCause(cause))))
              )
            return { handle, close: passing(Scope.close(scope, Exit.void)) }
          }),
        pointer: pointers.read("/project"),
        saved: journal.sessions("/project")
      })
    }).pipe(Effect.provide(context))
  }).pipe(Effect.provide(NodeContext.layer))

const gaveUp = new ClientError.PollGaveUp({
  environmentId,
  since: 0,
  attempts: 20,
  lastError: new ClientError.HubUnreachable({ operation: "poll", reason: "Timeout", detail: "no answer" })
})

const states = (events: ReadonlyArray<BridgeEvent>) =>
  events.flatMap((event) => (event._tag === "StateChanged" ? [event.state._tag] : []))

const home = SessionId.make("session_1")

describe("Bridge", () => {
  it.scoped("shuts down in order: the work item, the session, the environment, the pointer", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close, handle } = yield* fakes.start()
        yield* fakes.offer(home)
        yield* until(() => states(fakes.events).includes("Connected"))
        yield* handle.writeSdkMessages([{ type: "assistant", uuid: "last-words" }])
        yield* close
        expect(fakes.hub.log).toEqual(["last-words"])
        expect(fakes.calls).toEqual([
          "register -",
          "create",
          "ack work_1",
          "stop work_1",
          "archive session_1",
          "deregister"
        ])
        expect(yield* fakes.pointer).toEqual(Option.none())
        expect(yield* fakes.saved).toEqual([])
        expect(fakes.events.at(-1)).toEqual(BridgeEvent.ShutDown({ unfinished: [] }))
      })
    )
  )

  it.scoped("a turn that nobody will end gets its result before the session is archived", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close } = yield* fakes.start({ serve: () => Effect.never })
        yield* fakes.offer(home)
        yield* fakes.hub.say(Payload.make({ type: "user", uuid: "p" }))
        yield* until(() => fakes.hub.deliveries.get("p") === "received")
        yield* close
        expect(fakes.hub.texts.map((text) => JSON.parse(text).type)).toEqual(["result"])
        expect(fakes.calls).toContain("archive session_1")
      })
    )
  )

  it.scoped("a fault in the work on one session is told, and ends neither it nor another", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const serving = new Map<string, number>()
        const { close } = yield* fakes.start({
          serve: ({ sessionId }) =>
            Effect.suspend(() => {
              const times = (serving.get(sessionId) ?? 0) + 1
              serving.set(sessionId, times)
              return sessionId === home && times < 3 ? Effect.dieMessage("boom") : Effect.never
            })
        })
        yield* fakes.offer(home)
        const other = SessionId.make("session_2")
        yield* fakes.offer(other, "work_2")
        yield* until(() => serving.get(home) === 3 && serving.get(other) === 1)
        const told = fakes.events.filter((event) => event._tag === "Warning")
        expect(told.map((event) => event._tag === "Warning" && event.sessionId)).toEqual([home, home])
        expect(told[0]).toMatchObject({ message: expect.stringContaining("boom") })
        yield* close
        expect(fakes.calls).toContain("archive session_1")
      })
    )
  )

  it.scoped("a fault in the polling is told, and it begins again", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close } = yield* fakes.start()
        yield* fakes.breakPolls("boom")
        yield* until(() => fakes.events.some(({ _tag }) => _tag === "Warning"))
        yield* fakes.offer(home)
        yield* until(() => states(fakes.events).includes("Connected"))
        yield* close
      })
    )
  )

  it.scoped("a fault in the connection of a session is told, and work is asked for again", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close } = yield* fakes.start()
        fakes.hub.faults.push("broken")
        yield* fakes.offer(home)
        yield* until(() => fakes.calls.includes("reconnect session_1"))
        expect(fakes.events.find(({ _tag }) => _tag === "Warning")).toMatchObject({
          message: expect.stringContaining("boom"),
          sessionId: home
        })
        yield* fakes.offer(home, "work_2")
        yield* until(() => states(fakes.events).includes("Connected"))
        yield* close
      })
    )
  )

  it.scoped("a listener that throws stops nothing", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close } = yield* fakes.start({ onEvent: () => Effect.dieMessage("listener") })
        yield* fakes.offer(home)
        yield* until(() => fakes.hub.statuses.length > 0)
        yield* close
        expect(fakes.calls).toContain("archive session_1")
      })
    )
  )

  it.scoped("a give-up archives nothing, and the next start takes the session up again", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close, handle } = yield* fakes.start()
        yield* fakes.offer(home)
        yield* until(() => states(fakes.events).includes("Connected"))
        yield* fakes.endPolls(gaveUp)
        const failed = yield* passing(handle.failed)
        expect(failed.reason).toBe("gave_up")
        expect(states(fakes.events)).toEqual(["Connected", "Reconnecting", "Failed"])
        yield* close
        expect(fakes.calls.filter((call) => /^(archive|stop|deregister)/.test(call))).toEqual([])
        expect(Option.isSome(yield* fakes.pointer)).toBe(true)
        expect((yield* fakes.saved).map(({ state }) => state)).toEqual(["live"])

        fakes.calls.length = 0
        const again = yield* fakes.start()
        expect(yield* again.handle.sessionId).toBe(home)
        yield* until(() => fakes.calls.includes("reconnect session_1"))
        expect(fakes.calls).toEqual(["register env_1", "reconnect session_1"])
        yield* again.close
      })
    )
  )

  it.scoped("credentials that are refused at start leave everything as it was", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        fakes.refused.add("create")
        const error = yield* Effect.flip(fakes.start())
        expect(error._tag).toBe("Unauthorized")
        expect(fakes.calls).toEqual(["register -", "create"])
      })
    )
  )

  it.scoped("a hub that does not answer at shutdown costs no more than the bound, and is told of", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close } = yield* fakes.start({ shutdownTimeout: "4 seconds" })
        yield* fakes.offer(home)
        yield* until(() => states(fakes.events).includes("Connected"))
        for (const name of ["stop", "archive"]) fakes.deaf.add(name)
        yield* close
        const end = fakes.events.at(-1)
        expect(end?._tag === "ShutDown" ? end.unfinished.map(({ step }) => step) : []).toEqual([
          "stop",
          "archive"
        ])
        // What was not archived is taken up by the next start.
        expect((yield* fakes.saved).map(({ state }) => state)).toEqual(["live"])
        expect(fakes.calls).not.toContain("deregister")
      })
    )
  )

  it.scoped("work beyond the capacity is not acknowledged", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close } = yield* fakes.start({ maxSessions: 1 })
        yield* fakes.offer(home)
        yield* fakes.offer(SessionId.make("session_other"), "work_2")
        yield* until(() => fakes.events.some(({ _tag }) => _tag === "AtCapacity"))
        expect(fakes.calls).not.toContain("ack work_2")
        yield* close
      })
    )
  )

  it.scoped("work for a session that is held already renews its attachment, and starts no second agent", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        let served = 0
        const { close } = yield* fakes.start({
          serve: () =>
            Effect.zipRight(
              Effect.sync(() => void served++),
              Effect.never
            )
        })
        yield* fakes.offer(home, "work_1")
        yield* until(() => fakes.events.filter(({ _tag }) => _tag === "SessionAttached").length === 1)
        yield* fakes.offer(SessionId.make("cse_1"), "work_2")
        yield* until(() => fakes.events.filter(({ _tag }) => _tag === "SessionAttached").length === 2)
        expect(served).toBe(1)
        yield* close
        expect(fakes.calls.filter((call) => call.startsWith("stop"))).toEqual(["stop work_2"])
      })
    )
  )

  it.scoped("tells which agents it offers, and serves a session with the one that it asks for", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const served = new Map<string, string>()
        const { close } = yield* fakes.start({
          maxSessions: 9,
          agents: ["acp:/opt/gemini --key secret", "claude", "model"],
          serve: (link) =>
            Effect.zipRight(
              Effect.sync(() => void served.set(sessionBody(link.sessionId), link.record.agent)),
              Effect.never
            )
        })
        expect(fakes.metadata.map((each) => EnvironmentCapabilities.fromMetadata(each ?? {}))).toEqual([
          {
            agents: ["model", "acp:gemini", "claude"],
            worktrees: false,
            sessions: true,
            standIn: false,
            notAllowed: ["dontAsk", "bypassPermissions", "skip_permissions"],
            alwaysAsk: []
          }
        ])
        const wishes = { none: undefined, own: "model", known: "claude", command: "acp:gemini" }
        for (const [id, agent] of Object.entries(wishes)) {
          fakes.told.set(id, { session_context: agent === undefined ? {} : { agent } })
          yield* fakes.offer(SessionId.make(`session_${id}`), `work_${id}`)
          yield* until(() => served.has(id))
        }
        expect(Object.fromEntries(served)).toEqual({
          "1": "model",
          none: "model",
          own: "model",
          known: "claude",
          command: "acp:/opt/gemini --key secret"
        })
        yield* close
      })
    )
  )

  it.scoped("asks for the secrets of a session's MCP servers, and starts its agent with them", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const servers = { notes: { command: "notes", env: { KEY: "s3cret" } } }
        const started: Array<unknown> = []
        const { close } = yield* fakes.start({
          serve: (link) =>
            Effect.zipRight(
              Effect.sync(() => {
                const { mcpServers } = link.record.launch.options ?? {}
                if (!link.home) started.push(mcpServers && Redacted.value(mcpServers))
              }),
              Effect.never
            )
        })
        const shown = LaunchOptions.shown({ options: { mcp_servers: servers } })
        expect(JSON.stringify(shown)).not.toContain("s3cret")
        fakes.told.set("other", { session_context: shown })
        fakes.hub.launchOptions = { mcp_servers: servers }
        yield* fakes.offer(SessionId.make("session_other"), "work_2")
        yield* until(() => started.length > 0)
        expect(started).toEqual([servers])
        yield* close
      })
    )
  )

  it.scoped(
    "serves no session whose agent it does not offer, tells its people why, and serves it once it does",
    () =>
      withFakes((fakes) =>
        Effect.gen(function* () {
          const served: Array<string> = []
          const serve: Bridge.Config["serve"] = (link) =>
            Effect.zipRight(
              Effect.sync(() => {
                if (!link.home) served.push(link.record.agent)
              }),
              Effect.never
            )
          const other = SessionId.make("session_other")
          fakes.told.set("other", { session_context: { agent: "acp:rm -rf /" } })
          const first = yield* fakes.start({ perpetual: true, serve })
          yield* fakes.offer(other, "work_2")
          yield* until(() => fakes.events.some(({ _tag }) => _tag === "WorkRefused"))
          yield* fakes.hub.say(Payload.make({ type: "user", uuid: "p1" }))
          yield* until(() => fakes.hub.texts.length === 2)
          const said = fakes.hub.texts.map((text) => JSON.parse(text))
          expect(said).toMatchObject([
            { type: "bridge_error", reason: "agent_unavailable", detail: "AgentNotOffered" },
            { type: "result", is_error: true, user_message_uuid: "p1" }
          ])
          expect(said[0].message).toContain('"acp:rm -rf /"')
          expect(said[0].message).toContain("offered: model")
          expect(served).toEqual([])
          yield* first.close

          const second = yield* fakes.start({ perpetual: true, serve, agents: ["acp:rm -rf /"] })
          yield* fakes.offer(other, "work_3")
          yield* until(() => served.length > 0)
          expect(served).toEqual(["acp:rm -rf /"])
          yield* second.close
        })
      )
  )

  it.scoped(
    "a session that asks for a worktree works in its own; where none can be made its people are told",
    () =>
      withFakes((fakes) =>
        Effect.gen(function* () {
          const served: Array<string> = []
          const { close } = yield* fakes.start({
            serve: (link) =>
              Effect.zipRight(
                Effect.sync(() => void served.push(link.record.cwd)),
                Effect.never
              )
          })
          fakes.told.set("other", { session_context: { worktree: true } })
          yield* fakes.offer(SessionId.make("session_other"), "work_2")
          yield* until(() => fakes.events.some(({ _tag }) => _tag === "WorkRefused"))
          yield* fakes.hub.say(Payload.make({ type: "user", uuid: "p1" }))
          yield* until(() => fakes.hub.texts.length === 2)
          expect(JSON.parse(fakes.hub.texts[0] ?? "{}")).toMatchObject({ detail: "WorkspaceUnavailable" })
          expect(served).toEqual(["/project"])
          yield* close
        })
      )
  )

  it.scoped("work whose wishes cannot be read now is left for the next offer", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close } = yield* fakes.start({ serve: () => Effect.never })
        fakes.unreadable.now = true
        yield* fakes.offer(SessionId.make("session_other"), "work_2")
        yield* until(() => fakes.events.some(({ _tag }) => _tag === "WorkRefused"))
        expect(fakes.calls).not.toContain("ack work_2")
        fakes.unreadable.now = false
        yield* fakes.offer(SessionId.make("session_other"), "work_2")
        yield* until(() => fakes.calls.includes("ack work_2"))
        yield* close
      })
    )
  )

  it.scoped("a hub that refuses whatever it offers is asked again ever more slowly", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close } = yield* fakes.start({ perpetual: true })
        fakes.hub.unknown = true
        const asked = () => fakes.calls.filter((call) => call === "reconnect session_1").length
        for (let offered = 0; offered < 7; offered += 1) {
          yield* fakes.offer(home, `work_${offered}`)
          yield* until(() => asked() === offered + 1)
        }
        // At once, then after 2, 4, 8, 16, 32 and 60 s.
        expect(yield* Clock.currentTimeMillis).toBeGreaterThan(
          2_000 + 4_000 + 8_000 + 16_000 + 32_000 + 60_000
        )
        fakes.hub.unknown = false
        yield* fakes.offer(home, "work_good")
        yield* until(() => states(fakes.events).at(-1) === "Connected")
        yield* close
      })
    )
  )

  it.scoped(
    "a session that is archived by somebody is let go at once, long before its lease would tell",
    () =>
      withFakes((fakes) =>
        Effect.gen(function* () {
          const other = SessionId.make("session_other")
          const ended: Array<string> = []
          const { close } = yield* fakes.start({
            serve: (link) =>
              Effect.zipRight(
                Effect.addFinalizer(() => Effect.sync(() => void ended.push(link.sessionId))),
                Effect.never
              )
          })
          yield* fakes.offer(other, "work_2")
          yield* until(() => fakes.events.some(({ _tag }) => _tag === "SessionAttached"))
          const before = yield* Clock.currentTimeMillis
          // Somebody else's words of a change are not believed: the hub is asked.
          yield* fakes.hub.say(Payload.make({ type: "session_update", uuid: "u1", archived: true }))
          yield* until(() => fakes.calls.includes(`reconnect ${other}`))
          expect(ended).toEqual([])

          fakes.archived.add(other)
          yield* fakes.offer(other, "work_3")
          yield* fakes.hub.say(Payload.make({ type: "session_update", uuid: "u2", archived: true }))
          yield* until(() => fakes.events.some(({ _tag }) => _tag === "SessionEnded"))
          expect(ended).toEqual([other])
          expect((yield* Clock.currentTimeMillis) - before).toBeLessThan(30_000)
          yield* close
        })
      )
  )

  it.scoped("teardown is done once, whoever asks for it", () =>
    withFakes((fakes) =>
      Effect.gen(function* () {
        const { close, handle } = yield* fakes.start()
        const [one, two] = yield* passing(
          Effect.all([handle.teardown, handle.teardown], { concurrency: "unbounded" })
        )
        expect(one).toBe(two)
        yield* close
        expect(fakes.calls.filter((call) => call.startsWith("archive"))).toHaveLength(1)
        expect((yield* SubscriptionRef.get(handle.state))._tag).toBe("Ready")
      })
    )
  )
})
