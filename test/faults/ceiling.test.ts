/**
 * The ceiling of a machine, tried over a real hub and bridge by somebody who may write: every way by which a hub can ask for
 * more than the owner allows is refused in the session, and nothing is done unasked.
 */
import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Sessions from "@causeway/client/Sessions"
import type * as Viewer from "@causeway/client/Viewer"
import * as Hub from "@causeway/hub/Hub"
import { SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Ceiling from "@causeway/runner/Ceiling"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as World from "./support/World.ts"

let scriptedAgentPath: string
beforeAll(async () => {
  scriptedAgentPath = await World.bundleAgent()
})

/** Somebody elsewhere, and the machine that they reach. */
interface Reach {
  readonly dir: string
  readonly environmentId: string
  readonly home: SessionId
  /** Asks the hub's HTTP API. */
  readonly post: (path: string, body: JsonObject) => Effect.Effect<JsonObject>
  readonly send: (id: SessionId, ...events: ReadonlyArray<JsonObject>) => Effect.Effect<void>
  /** The log until an event of the agent's side. */
  readonly heard: (
    id: SessionId,
    matches: (payload: JsonObject) => boolean,
    count?: number
  ) => Effect.Effect<ReadonlyArray<JsonObject>, World.TooLate, Viewer.Viewer>
}

const reach = <A, E, R>(
  options: {
    readonly ceiling: Ceiling.Ceiling
    readonly stateDirectory: string
    readonly dir: string
  },
  use: (reach: Reach) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const { ceiling, dir, stateDirectory } = options
    const context = yield* Layer.build(World.hub({ file: join(stateDirectory, "hub.db") }))
    const { firstToken, url } = yield* Effect.provide(Hub.Hub, context)
    const tokenFile = join(stateDirectory, "test-token")
    if (Option.isSome(firstToken)) writeFileSync(tokenFile, Redacted.value(firstToken.value))
    const to = { url, token: Redacted.make(readFileSync(tokenFile, "utf8")) }
    return yield* Effect.gen(function* () {
      const handle = yield* World.start({
        dir,
        baseUrl: url,
        more: { ceiling, maxSessions: 64, perpetual: true }
      })
      const sessions = yield* Sessions.Sessions
      return yield* use({
        dir,
        environmentId: yield* handle.environmentId,
        home: yield* handle.sessionId,
        post: (path, body) =>
          Effect.promise(async () => {
            const response = await fetch(`${url}${path}`, {
              method: "POST",
              headers: {
                authorization: `Bearer ${Redacted.value(to.token)}`,
                "content-type": "application/json",
                "anthropic-beta": "ccr-byoc-2025-07-29"
              },
              body: JSON.stringify(body)
            })
            if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
            return (await response.json()) as JsonObject
          }),
        send: (id, ...events) =>
          Effect.orDie(
            sessions.sendEvents(
              id,
              events.map((event) => ({ uuid: randomUUID(), ...event }))
            )
          ),
        heard: (id, matches, count) =>
          World.until(id, matches, count).pipe(
            Effect.map((events) => events.map(({ payload }) => payload)),
            Effect.mapError(({ message }) => new World.TooLate({ message })),
            Effect.timeoutFail({
              duration: "20 seconds",
              onTimeout: () => new World.TooLate({ message: `${id} does not tell it: ${matches.toString()}` })
            })
          )
      })
    }).pipe(
      Effect.scoped,
      Effect.provide(World.bridge({ stateDirectory, scriptedAgentPath })),
      Effect.provide(World.client(to))
    )
  }).pipe(Effect.scoped)

/** A reach of a machine of its own. */
const machine = <A, E, R>(ceiling: Ceiling.Ceiling, use: (reach: Reach) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const [dir, stateDirectory] = yield* Effect.all([World.directory, World.directory])
    execFileSync("git", ["init", "-q", dir])
    const name = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    execFileSync("git", ["-C", dir, ...name, "commit", "-q", "--allow-empty", "-m", "first"])
    return yield* reach({ ceiling, dir, stateDirectory }, use)
  })

const isRefusal = ({ message, type }: JsonObject) =>
  type === "bridge_error" && String(message).includes("not allowed on this machine: ")

const isQuestion = ({ request, type }: JsonObject) =>
  type === "control_request" && JSON.stringify(request).includes("can_use_tool")

const isEnd = ({ type }: JsonObject) => type === "result"

const control = (request: JsonObject): JsonObject => ({
  type: "control_request",
  request_id: randomUUID(),
  request
})

const answer = (asked: JsonObject | undefined, response: JsonObject): JsonObject => ({
  type: "control_response",
  response: { subtype: "success", request_id: asked?.["request_id"], response }
})

/** Prompts for a command that leaves a file; answers whether it ran by itself. It is denied where it is asked about. */
const ranUnasked = ({ dir, heard, send }: Reach, id: SessionId) =>
  Effect.gen(function* () {
    const witness = join(dir, randomUUID())
    const uuid = randomUUID()
    const isOver = (payload: JsonObject) => isEnd(payload) && payload["user_message_uuid"] === uuid
    yield* send(id, World.prompt(`!bash touch ${witness}`, uuid))
    const log = yield* heard(
      id,
      (payload) => isOver(payload) || (isQuestion(payload) && JSON.stringify(payload).includes(witness))
    )
    const asked = log.at(-1)
    if (asked?.["type"] === "control_request") {
      yield* send(id, answer(asked, { behavior: "deny", message: "no" }))
      yield* heard(id, isOver)
    }
    return existsSync(witness)
  })

/** Makes a session with what somebody asks for. */
const create = ({ environmentId, post }: Reach, more: JsonObject, options?: JsonObject) =>
  Effect.map(
    post("/v1/sessions", {
      events: [],
      environment_id: environmentId,
      source: "remote-control",
      session_context: { sources: [], outcomes: [], ...(options === undefined ? {} : { options }) },
      ...more
    }),
    ({ id }) => SessionId.make(String(id))
  )

type Way = (reach: Reach) => Effect.Effect<SessionId, World.TooLate, Viewer.Viewer>

const asSession =
  (more: JsonObject, options?: JsonObject): Way =>
  (reach) =>
    create(reach, more, options)

/** An answer to a question, with a change of the agent's rules. */
const asAnswer =
  (update: JsonObject): Way =>
  (reach) =>
    Effect.gen(function* () {
      const id = yield* create(reach, {})
      yield* reach.send(id, World.prompt("!bash true", randomUUID()))
      const asked = (yield* reach.heard(id, isQuestion)).at(-1)
      const given = { behavior: "allow", updatedInput: { command: "true" }, updatedPermissions: [update] }
      yield* reach.send(id, answer(asked, given))
      return id
    })

const goesOn =
  (more: JsonObject): Way =>
  (reach) =>
    Effect.gen(function* () {
      const parent = yield* create(reach, {})
      yield* reach.send(parent, World.prompt("hello", randomUUID()))
      yield* reach.heard(parent, isEnd)
      const { id } = yield* reach.post(`/v1/sessions/${parent}/continue`, { message: "hello", ...more })
      return SessionId.make(String(id))
    })

const BYPASS = "bypassPermissions"

/** Every way by which a hub can ask for work without a question. A new one belongs here. */
const ways: { readonly [name: string]: Way } = {
  "a session in the mode": asSession({ permission_mode: BYPASS }),
  "a session in the mode under another spelling": asSession({ permission_mode: "Bypass Permissions" }),
  "a session in a mode that refuses instead of asking": asSession({ permission_mode: "dontAsk" }),
  "a session in the mode, in a worktree": (reach) =>
    create(reach, { permission_mode: BYPASS, session_context: { worktree: true } }),
  "a session with a rule": asSession({}, { allowed_tools: ["Bash"] }),
  "a session with a rule behind another": asSession({}, { allowed_tools: ["WebFetch(domain:a),Bash"] }),
  "a session with an MCP server that is a command": asSession({}, { mcp_servers: { a: { command: "sh" } } }),
  "a session with an MCP server whose headers are a command": asSession(
    {},
    { mcp_servers: { a: { url: "https://a.example", headersHelper: "sh" } } }
  ),
  "a session with another directory": asSession({}, { additional_directories: ["/"] }),
  "a session with the home directory": asSession({}, { additional_directories: ["~"] }),
  "an answer that moves to the mode": asAnswer({ type: "setMode", mode: BYPASS, destination: "session" }),
  "an answer that adds a directory": asAnswer({ type: "addDirectories", directories: ["/"] }),
  "an answer with a rule for everything of this user": asAnswer({
    type: "addRules",
    behavior: "allow",
    rules: [{ toolName: "Bash" }],
    destination: "userSettings"
  }),
  "an answer that takes away what denies": asAnswer({
    type: "removeRules",
    behavior: "deny",
    rules: [{ toolName: "Bash" }]
  }),
  "a session that goes on from another, in the mode": goesOn({ permission_mode: BYPASS }),
  "a session that goes on from another, with a setting": goesOn({
    agent_settings: { skip_permissions: true }
  })
}

/** The same for what is sent to a session that runs. */
const events: { readonly [name: string]: JsonObject } = {
  "a request for the mode": control({ subtype: "set_permission_mode", mode: BYPASS }),
  "a request for the mode as an option": control({
    subtype: "set_config_option",
    config_id: "mode",
    value: BYPASS
  }),
  "a request for settings that allow": control({
    subtype: "apply_flag_settings",
    settings: { permissions: { allow: ["Bash"] } }
  }),
  "a request for settings that run a program": control({
    subtype: "apply_flag_settings",
    settings: { hooks: { Stop: [] } }
  }),
  "a request for an MCP server": control({ subtype: "mcp_set_servers", servers: { a: { command: "sh" } } }),
  "an introduction with hooks": control({ subtype: "initialize", hooks: { Stop: [] } }),
  "a request to read a file": control({ subtype: "read_file", path: "/etc/hostname" }),
  "a request that nobody knows": control({ subtype: "grant_everything" }),
  "a setting of the mode": { type: "session_update", permission_mode: BYPASS },
  "a setting that skips permissions": { type: "session_update", skip_permissions: true },
  "a setting of the agent's own": {
    type: "session_update",
    flag_settings: { permissions: { defaultMode: BYPASS } }
  },
  "a message by which the agent moves itself": World.prompt(`!mode ${BYPASS}`, randomUUID())
}

const REFUSED = /not allowed on this machine: .*; the owner can allow it in policy\.json/s

describe("a device that may write", () => {
  it.scopedLive(
    "begins nothing that works unasked where the owner has said nothing, whatever way it takes",
    () =>
      machine(Ceiling.standard, (reach) =>
        Effect.forEach(
          Object.entries(ways),
          ([name, way]) =>
            Effect.gen(function* () {
              const id = yield* way(reach)
              const ran = yield* ranUnasked(reach, id)
              const log = yield* reach.heard(id, isRefusal)
              expect([name, ran]).toEqual([name, false])
              expect([name, log.at(-1)?.["message"]]).toEqual([name, expect.stringMatching(REFUSED)])
              yield* Effect.flatMap(Sessions.Sessions, (sessions) => sessions.archive(id))
            }).pipe(Effect.mapError((cause) => new World.TooLate({ message: `${name}: ${cause.message}` }))),
          { concurrency: 4, discard: true }
        )
      ),
    180_000
  )

  it.scopedLive(
    "moves no agent that runs to work unasked, whatever it sends",
    () =>
      machine(Ceiling.standard, (reach) =>
        Effect.gen(function* () {
          let count = 0
          for (const [name, event] of Object.entries(events)) {
            yield* reach.send(reach.home, event)
            count += 1
            const log = yield* reach
              .heard(reach.home, isRefusal, count)
              .pipe(Effect.mapError((cause) => new World.TooLate({ message: `${name}: ${cause.message}` })))
            expect([name, log.at(-1)?.["message"]]).toEqual([name, expect.stringMatching(REFUSED)])
            expect([name, yield* ranUnasked(reach, reach.home)]).toEqual([name, false])
          }
        })
      ),
    180_000
  )

  it.scopedLive(
    "gets what an earlier start allowed refused, and goes on in a mode that is allowed",
    () =>
      Effect.gen(function* () {
        const [dir, stateDirectory] = yield* Effect.all([World.directory, World.directory])
        const id = yield* reach({ ceiling: Ceiling.unbounded, dir, stateDirectory }, (reach) =>
          Effect.gen(function* () {
            const id = yield* create(reach, { permission_mode: BYPASS })
            expect(yield* ranUnasked(reach, id)).toBe(true)
            return id
          })
        )
        yield* reach({ ceiling: Ceiling.standard, dir, stateDirectory }, (reach) =>
          Effect.gen(function* () {
            expect(yield* ranUnasked(reach, id)).toBe(false)
            yield* reach.heard(id, isRefusal)
            yield* reach.send(id, { type: "session_update", permission_mode: "default" })
            yield* ranUnasked(reach, id)
            yield* reach.heard(id, isQuestion)
          })
        )
      }),
    180_000
  )
})

describe("the owner of a machine", () => {
  it.scopedLive(
    "keeps a tool for people where all else may be skipped, also from a rule",
    () =>
      machine({ ...Ceiling.unbounded, alwaysAsk: ["Bash"] }, (reach) =>
        Effect.gen(function* () {
          const id = yield* create(reach, {})
          yield* reach.send(id, { type: "session_update", skip_permissions: true })
          yield* reach.send(id, World.prompt("!write made.txt unasked", randomUUID()))
          yield* reach.heard(id, isEnd)
          expect(existsSync(join(reach.dir, "made.txt"))).toBe(true)
          expect(yield* ranUnasked(reach, id)).toBe(false)
          const ruled = yield* asAnswer({
            type: "addRules",
            behavior: "allow",
            rules: [{ toolName: "Bash" }],
            destination: "session"
          })(reach)
          yield* reach.heard(ruled, isRefusal)
          expect(yield* ranUnasked(reach, ruled)).toBe(false)
        })
      ),
    180_000
  )

  it.scopedLive("is not passed over at the start", () =>
    machine(Ceiling.standard, ({ dir }) =>
      Effect.forEach(
        [
          { permissionMode: BYPASS },
          { ceiling: { ...Ceiling.standard, agents: ["claude"] } },
          { ceiling: { ...Ceiling.standard, directories: [join(dir, "below")] } }
        ],
        (more) =>
          Effect.gen(function* () {
            const start = World.start({
              dir: join(dir, "other"),
              baseUrl: "http://127.0.0.1:1",
              more: { ceiling: Ceiling.standard, ...more }
            })
            const refused = yield* Effect.flip(start)
            expect(refused._tag).toBe("NotAllowed")
            expect(refused.message).toContain("not allowed on this machine: ")
          })
      )
    )
  )
})
