/** Where sessions work, the whole way with everything real: beside each other, apart, alone, and asleep. */
import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type * as Bridge from "@causeway/bridge/Bridge"
import type { BridgeEvent } from "@causeway/bridge/BridgeEvent"
import * as Sessions from "@causeway/client/Sessions"
import * as Hub from "@causeway/hub/Hub"
import { type SessionId, sessionBody } from "@causeway/protocol/Ids"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as World from "./support/World.ts"

let scriptedAgentPath: string
beforeAll(async () => {
  scriptedAgentPath = await World.bundleAgent()
})

interface Place {
  readonly dir: string
  readonly worktrees: string
  /** The agents' processes, as they are registered. */
  readonly processes: () => ReadonlyArray<string>
  readonly events: ReadonlyArray<BridgeEvent>
  readonly handle: Bridge.Handle
}

const git = (dir: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", ["-C", dir, "-c", "user.name=T", "-c", "user.email=t@example.com", ...args], {
    encoding: "utf8"
  })

const checkout = (dir: string) =>
  Effect.sync(() => {
    git(dir, "init", "-q")
    writeFileSync(join(dir, "notes"), "of the checkout")
    git(dir, "add", ".")
    git(dir, "commit", "-q", "-m", "first")
  })

/** Runs each with one hub and a bridge of its own, one after the other; the agents ask for no permissions. */
const at = <A, E, R>(
  options: {
    readonly prepare?: (dir: string) => Effect.Effect<void>
    readonly idleStop?: Duration.DurationInput
    readonly more?: Partial<Bridge.Config>
  },
  ...uses: ReadonlyArray<(place: Place) => Effect.Effect<A, E, R>>
) =>
  Effect.gen(function* () {
    const dir = yield* World.directory
    const stateDirectory = yield* World.directory
    yield* options.prepare?.(dir) ?? Effect.void
    const events: Array<BridgeEvent> = []
    const context = yield* Layer.build(World.hub({ file: join(stateDirectory, "hub.db") }))
    const { firstToken, url } = yield* Effect.provide(Hub.Hub, context)
    const to = { url, token: Option.getOrThrow(firstToken) }
    const live = (use: (place: Place) => Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const handle = yield* World.start({
          dir,
          baseUrl: url,
          events,
          more: { permissionMode: "bypassPermissions", lease: "10 seconds", ...options.more }
        })
        return yield* Effect.provide(
          use({
            dir,
            worktrees: join(stateDirectory, "worktrees"),
            processes: () => readdirSync(join(stateDirectory, "processes")),
            events,
            handle
          }),
          World.client(to)
        )
      }).pipe(
        Effect.scoped,
        Effect.provide(
          World.bridge({
            stateDirectory,
            scriptedAgentPath,
            ...(options.idleStop === undefined ? {} : { idleStop: options.idleStop })
          })
        ),
        Effect.provide(World.client(to))
      )
    for (const use of uses) yield* live(use)
  })

const another = (handle: Bridge.Handle) =>
  Effect.gen(function* () {
    const environmentId = yield* handle.environmentId
    return yield* (yield* Sessions.Sessions).create({ environmentId, title: "another", events: [] })
  })

/** Says something and waits for the answer. */
const talk = (sessionId: SessionId, text: string) =>
  Effect.gen(function* () {
    const uuid = randomUUID()
    yield* (yield* Sessions.Sessions).sendEvents(sessionId, [World.prompt(text, uuid)])
    const log = yield* World.until(
      sessionId,
      (payload) => payload["user_message_uuid"] === uuid && payload["type"] === "result"
    )
    return log.at(-1)?.payload
  })

const archive = (sessionId: SessionId) =>
  Effect.flatMap(Sessions.Sessions, (sessions) => sessions.archive(sessionId))

const ended = (events: ReadonlyArray<BridgeEvent>, id: SessionId) =>
  World.eventually(() =>
    events.find((event) => event._tag === "SessionEnded" && sessionBody(event.sessionId) === sessionBody(id))
  )

describe("spawn modes", () => {
  it.scopedLive(
    "worktree: sessions write the same file and do not meet; at the end the clean one's worktree goes, the other's stays",
    () =>
      at({ prepare: checkout, more: { spawnMode: "worktree" } }, ({ dir, events, handle, worktrees }) =>
        Effect.gen(function* () {
          const home = yield* handle.sessionId
          const one = yield* another(handle)
          const two = yield* another(handle)
          const treeOf = (id: SessionId) => join(worktrees, sessionBody(id))
          const notes = (directory: string) => readFileSync(join(directory, "notes"), "utf8")
          for (const [id, text] of [
            [one, "of one"],
            [two, "of two"]
          ] as const) {
            expect(yield* talk(id, `!write notes ${text}`)).toMatchObject({ is_error: false })
          }
          expect([dir, treeOf(one), treeOf(two)].map(notes)).toEqual(["of the checkout", "of one", "of two"])
          yield* talk(home, "!write home of home")
          expect(readFileSync(join(dir, "home"), "utf8")).toBe("of home")
          expect(existsSync(treeOf(home))).toBe(false)

          git(treeOf(one), "checkout", "-q", "--", ".")
          yield* archive(one)
          yield* archive(two)
          yield* ended(events, one)
          yield* ended(events, two)
          expect([existsSync(treeOf(one)), notes(treeOf(two))]).toEqual([false, "of two"])
          const warnings = events.flatMap((event) => (event._tag === "Warning" ? [event.message] : []))
          expect(warnings).toEqual([
            `the worktree ${treeOf(two)} of session ${two} stays: it has 1 changed or new files`
          ])
        })
      ),
    180_000
  )

  it.scopedLive(
    "worktree: the next start takes up what is there, and removes that of a session that ended meanwhile",
    () => {
      const trees: Array<{ readonly id: SessionId; readonly path: string }> = []
      return at(
        { prepare: checkout, more: { spawnMode: "worktree", perpetual: true } },
        ({ handle, worktrees }) =>
          Effect.gen(function* () {
            for (const text of ["!say first", "!write notes second"]) {
              const id = yield* another(handle)
              yield* talk(id, text)
              trees.push({ id, path: join(worktrees, sessionBody(id)) })
            }
            // In order, and too late for this bridge to see it.
            yield* handle.teardown
            const [first] = trees
            if (first !== undefined) yield* archive(first.id)
            expect(trees.map(({ path }) => existsSync(path))).toEqual([true, true])
          }),
        ({ events }) =>
          Effect.gen(function* () {
            const [first, second] = trees
            if (first === undefined || second === undefined) return expect.fail("two sessions were made")
            yield* World.eventually(() =>
              events.find((event) => event._tag === "SavedSessionDropped" && event.sessionId === first.id)
            )
            expect(yield* talk(second.id, "!write more of second")).toMatchObject({ is_error: false })
            expect(trees.map(({ path }) => existsSync(join(path, "more")))).toEqual([false, true])
            expect(readFileSync(join(second.path, "notes"), "utf8")).toBe("second")
            expect(existsSync(first.path)).toBe(false)
          })
      )
    },
    180_000
  )

  it.scopedLive(
    "worktree, where there is no checkout: the person and the operator are told, and it works when there is one",
    () =>
      at({ more: { spawnMode: "worktree" } }, ({ dir, events, handle, worktrees }) =>
        Effect.gen(function* () {
          const one = yield* another(handle)
          const refused = yield* talk(one, "anybody?")
          expect(refused).toMatchObject({ is_error: true })
          expect(JSON.stringify(refused?.["errors"])).toContain("cannot create a worktree")
          expect(events).toContainEqual({
            _tag: "WorkRefused",
            sessionId: one,
            why: expect.stringContaining("cannot create a worktree")
          })
          yield* checkout(dir)
          expect(yield* talk(one, "!write notes of one")).toMatchObject({ is_error: false })
          expect(readFileSync(join(worktrees, sessionBody(one), "notes"), "utf8")).toBe("of one")
        })
      ),
    180_000
  )

  it.scopedLive("session: other work is left alone, also when its own session has ended, and said so", () =>
    at({ more: { spawnMode: "session" } }, ({ events, handle }) =>
      Effect.gen(function* () {
        const home = yield* handle.sessionId
        const other = yield* another(handle)
        yield* (yield* Sessions.Sessions).sendEvents(other, [World.prompt("hello", randomUUID())])
        expect(yield* talk(home, "hello")).toMatchObject({ is_error: false })
        yield* archive(home)
        yield* World.eventually(() =>
          events.find((event) => event._tag === "WorkRefused" && event.sessionId === other)
        )
        const attached = events.flatMap((event) =>
          event._tag === "SessionAttached" ? [event.sessionId] : []
        )
        expect(attached).toEqual([home])
      })
    )
  )
})

describe("idle stop", () => {
  it.scopedLive("an idle agent's process ends, and the next message is answered with the conversation", () =>
    at({ idleStop: "100 millis" }, ({ handle, processes }) =>
      Effect.gen(function* () {
        const sessionId = yield* handle.sessionId
        for (const text of ["one", "two", "three"]) {
          expect(yield* talk(sessionId, text)).toMatchObject({ is_error: false })
          yield* World.eventually(() => (processes().length === 0 ? true : undefined))
        }
        const log = yield* World.until(sessionId, ({ type }) => type === "result", 3)
        const types = log.map(({ payload }) => payload["type"])
        expect(types.filter((type) => type === "result")).toHaveLength(3)
        // Neither a crash nor a conversation that was lost.
        expect(types).not.toContain("bridge_error")
      })
    )
  )
})
