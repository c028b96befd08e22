import { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Credentials from "../src/Credentials.ts"
import { Sessions } from "../src/Sessions.ts"
import * as Scripted from "./support/Scripted.ts"

const environmentId = EnvironmentId.make("env_1")
const sessionId = SessionId.make("session_abc")

const create = { environmentId, events: [] }

describe("create", () => {
  it.effect("sends what the Sessions API wants", () => {
    const net = Scripted.make(Scripted.sequence({ status: 201, body: { id: "session_new" } }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      const id = yield* sessions.create({
        environmentId,
        title: "a title",
        events: [{ type: "user", uuid: "u1", message: { role: "user", content: "hi" } }],
        gitRepoUrl: "git@github.com:owner/name.git",
        branch: "topic",
        model: "m",
        permissionMode: "plan"
      })
      expect(id).toBe("session_new")
      expect(net.asked).toHaveLength(1)
      expect(net.asked[0]).toMatchObject({
        method: "POST",
        url: `${Scripted.BASE}/v1/sessions`,
        headers: {
          authorization: `Bearer ${Scripted.ACCESS_TOKEN}`,
          "x-organization-uuid": Scripted.ORGANIZATION,
          "anthropic-version": "2023-06-01",
          "anthropic-beta": "ccr-byoc-2025-07-29",
          "content-type": "application/json"
        }
      })
      expect(net.asked[0]?.body).toEqual({
        title: "a title",
        events: [
          { type: "event", data: { type: "user", uuid: "u1", message: { role: "user", content: "hi" } } }
        ],
        session_context: {
          sources: [{ type: "git_repository", url: "https://github.com/owner/name", revision: "topic" }],
          outcomes: [
            {
              type: "git_repository",
              git_info: { type: "github", repo: "owner/name", branches: ["claude/topic"] }
            }
          ],
          model: "m"
        },
        environment_id: "env_1",
        source: "remote-control",
        permission_mode: "plan"
      })
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("leaves out what is not given", () => {
    const net = Scripted.make(Scripted.sequence({ body: { id: "cse_x" } }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      expect(yield* sessions.create({ ...create, gitRepoUrl: "not a remote" })).toBe("cse_x")
      expect(net.asked[0]?.body).toEqual({
        events: [],
        session_context: { sources: [], outcomes: [] },
        environment_id: "env_1",
        source: "remote-control"
      })
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("takes the default branch as revision, the configured prefix, and another hub", () => {
    const net = Scripted.make(Scripted.sequence({ body: { id: "session_x" } }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      yield* sessions.create({
        ...create,
        gitRepoUrl: "owner/name",
        defaultBranch: "trunk",
        baseUrl: "http://other.test/"
      })
      expect(net.asked[0]?.url).toBe("http://other.test/v1/sessions")
      expect(net.asked[0]?.body).toMatchObject({
        session_context: {
          sources: [{ url: "https://github.com/owner/name", revision: "trunk" }],
          outcomes: [{ git_info: { branches: ["cw/task"] } }]
        }
      })
    }).pipe(Effect.provide(Scripted.services(net, Scripted.credentials, { branchPrefix: "cw/" })))
  })

  it.effect("is aborted by an interruption", () => {
    const net = Scripted.make(Scripted.sequence("never"))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      const fiber = yield* Effect.fork(sessions.create(create))
      yield* net.arrived(1)
      expect(net.aborted).toHaveLength(0)
      yield* Fiber.interrupt(fiber)
      expect(net.aborted).toHaveLength(1)
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect.each([
    ["empty body", "", "", "empty body"],
    ["an id of the wrong type", { id: 7 }, "id", "Expected string"],
    ["an id that would be a path", { id: "../../x" }, "id", "SessionId must be"],
    ["a list", [1], "", "Expected"]
  ] as const)("answers a 200 with %s as InvalidResponse", ([, body, path, issue]) => {
    const net = Scripted.make(Scripted.sequence({ body }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      const error = yield* Effect.flip(sessions.create(create))
      expect(error).toMatchObject({ _tag: "InvalidResponse", status: 200, path })
      expect(error._tag === "InvalidResponse" && error.issue).toContain(issue)
    }).pipe(Effect.provide(Scripted.services(net)))
  })
})

describe("who is calling", () => {
  it.effect("asks nobody without an access token", () => {
    const net = Scripted.make(Scripted.sequence({ body: { id: "session_x" } }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      expect((yield* Effect.flip(sessions.create(create)))._tag).toBe("AccessTokenMissing")
      expect((yield* Effect.flip(sessions.get(sessionId)))._tag).toBe("AccessTokenMissing")
      expect(net.asked).toHaveLength(0)
    }).pipe(Effect.provide(Scripted.services(net, Credentials.layerStatic({ organization: "o" }))))
  })

  it.effect("asks nobody without an organisation", () => {
    const net = Scripted.make(Scripted.sequence({ body: { id: "session_x" } }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      expect((yield* Effect.flip(sessions.archive(sessionId)))._tag).toBe("OrganizationMissing")
      expect(net.asked).toHaveLength(0)
    }).pipe(
      Effect.provide(Scripted.services(net, Credentials.layerStatic({ accessToken: Redacted.make("t") })))
    )
  })

  it.effect("leaves the organisation out where the token names it", () => {
    const net = Scripted.make(Scripted.sequence({ body: { id: "session_x" } }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      yield* sessions.create(create)
      expect(net.asked[0]?.headers).not.toHaveProperty("x-organization-uuid")
    }).pipe(
      Effect.provide(
        Scripted.services(
          net,
          Credentials.layerStatic({ accessToken: Redacted.make("t") }, { organization: "token" })
        )
      )
    )
  })

  it.effect("can be overridden for one call", () => {
    const net = Scripted.make(Scripted.sequence({ body: { id: "session_x" } }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      yield* sessions
        .get(sessionId)
        .pipe(Credentials.withOverride({ accessToken: Redacted.make("other"), organization: "org-2" }))
      yield* sessions.get(sessionId)
      expect(
        net.asked.map(({ headers }) => [headers["authorization"], headers["x-organization-uuid"]])
      ).toEqual([
        ["Bearer other", "org-2"],
        [`Bearer ${Scripted.ACCESS_TOKEN}`, Scripted.ORGANIZATION]
      ])
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("notices a new sign-in at the next call", () => {
    const state = { token: "first", organization: "o" }
    const net = Scripted.make(Scripted.sequence({ body: {} }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      yield* sessions.get(sessionId)
      state.token = "second"
      yield* sessions.get(sessionId)
      expect(net.asked.map(({ headers }) => headers["authorization"])).toEqual([
        "Bearer first",
        "Bearer second"
      ])
    }).pipe(Effect.provide(Scripted.services(net, Credentials.layer(Scripted.changing(state)))))
  })
})

describe("get", () => {
  it.effect("reads what a server says", () => {
    const net = Scripted.make(
      Scripted.sequence({ body: { id: "session_abc", environment_id: "env_1", title: null } })
    )
    return Effect.gen(function* () {
      const session = yield* (yield* Sessions).get(sessionId)
      expect(session.environmentId).toEqual(Option.some("env_1"))
      expect(session.title).toEqual(Option.none())
      expect(net.asked[0]).toMatchObject({ method: "GET", url: `${Scripted.BASE}/v1/sessions/session_abc` })
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("gives up after 10 s", () => {
    const net = Scripted.make(Scripted.sequence("never"))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      const fiber = yield* Effect.fork(Effect.flip(sessions.get(sessionId)))
      yield* TestClock.adjust("9999 millis")
      expect(fiber.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "HubUnreachable", reason: "Timeout" })
      expect(net.aborted).toHaveLength(1)
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect.each([
    [401, "Unauthorized"],
    [403, "Unauthorized"],
    [404, "SessionNotFound"],
    [429, "RequestFailed"],
    [500, "RequestFailed"]
  ] as const)("answers %i as %s with the server's words", ([status, tag]) => {
    const net = Scripted.make(
      Scripted.sequence({ status, body: { type: "error", error: { message: "because" } } })
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip((yield* Sessions).get(sessionId))
      expect(error._tag).toBe(tag)
      expect(error.message).toContain("because")
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("refuses an id that would be another path, before asking", () => {
    const net = Scripted.make(Scripted.sequence({ body: {} }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      for (const hostile of ["../admin", "a/b", "a?b", "", "a".repeat(129), "a%2fb", "ä"]) {
        const forged = SessionId.make(hostile, { disableValidation: true })
        expect((yield* Effect.flip(sessions.get(forged)))._tag).toBe("IdInvalid")
        expect((yield* Effect.flip(sessions.archive(forged)))._tag).toBe("IdInvalid")
        expect((yield* Effect.flip(sessions.updateTitle(forged, "t")))._tag).toBe("IdInvalid")
      }
      expect(net.asked).toHaveLength(0)
    }).pipe(Effect.provide(Scripted.services(net)))
  })
})

describe("title and archive", () => {
  it.effect("use the compat spelling", () => {
    const net = Scripted.make(Scripted.sequence({ body: {} }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      yield* sessions.updateTitle(SessionId.make("cse_abc"), "new")
      yield* sessions.archive(SessionId.make("cse_abc"))
      expect(net.asked.map(({ body, method, path }) => [method, path, body])).toEqual([
        ["PATCH", "/v1/sessions/session_abc", { title: "new" }],
        ["POST", "/v1/sessions/session_abc/archive", {}]
      ])
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect.each([[200], [409]] as const)("archive takes %i as success", ([status]) => {
    const net = Scripted.make(Scripted.sequence({ status, body: {} }))
    return Effect.gen(function* () {
      expect(yield* (yield* Sessions).archive(sessionId)).toBeUndefined()
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("archive has its own bound", () => {
    const net = Scripted.make(Scripted.sequence("never"))
    return Effect.gen(function* () {
      const fiber = yield* Effect.fork(
        Effect.flip((yield* Sessions).archive(sessionId, { timeout: "3 seconds" }))
      )
      yield* TestClock.adjust("3 seconds")
      expect((yield* Fiber.join(fiber))._tag).toBe("HubUnreachable")
    }).pipe(Effect.provide(Scripted.services(net)))
  })
})

describe("list and send", () => {
  it.effect("pages by cursor, null ends", () => {
    const net = Scripted.make(
      Scripted.sequence(
        { body: { data: [{ id: "session_1" }], next_cursor: "c 1" } },
        { body: { data: [{ id: "session_2" }], next_cursor: null } }
      )
    )
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      const first = yield* sessions.list({ limit: 1, archived: "all" })
      expect(first.nextCursor).toEqual(Option.some("c 1"))
      const second = yield* sessions.list({ limit: 1, cursor: "c 1" })
      expect(second.data.map(({ id }) => id)).toEqual(["session_2"])
      expect(second.nextCursor).toEqual(Option.none())
      expect(net.asked.map(({ query }) => query)).toEqual([
        { limit: "1", archived: "all" },
        { limit: "1", cursor: "c 1" }
      ])
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("sends events wrapped", () => {
    const net = Scripted.make(
      Scripted.sequence(
        { body: { events: [{ uuid: "u", sequence_num: 3, duplicate: false }] } },
        { status: 409 }
      )
    )
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      const sent = yield* sessions.sendEvents(sessionId, [{ type: "user", uuid: "u" }])
      expect(sent.events).toEqual([{ uuid: "u", sequence_num: 3, duplicate: false }])
      expect(net.asked[0]).toMatchObject({
        path: "/v1/sessions/session_abc/events",
        body: { events: [{ type: "event", data: { type: "user", uuid: "u" } }] }
      })
      expect((yield* Effect.flip(sessions.sendEvents(sessionId, [])))._tag).toBe("SessionConflict")
    }).pipe(Effect.provide(Scripted.services(net)))
  })
})

/** Creates `session_1`, `session_2`, …; archives as `archive` says. */
const hub = (archive: (id: string) => Scripted.Reply | "never") => {
  let created = 0
  return Scripted.make((asked) => {
    if (asked.path === "/v1/sessions") {
      created++
      return Effect.succeed({ status: 201, body: { id: `session_${created}` } })
    }
    const reply = archive(asked.path.split("/")[3] ?? "")
    return reply === "never" ? Effect.never : Effect.succeed(reply)
  })
}

const archived = (net: Scripted.Scripted) =>
  net.asked.flatMap(({ path }) => (path.endsWith("/archive") ? [path.split("/")[3]] : [])).sort()

describe("scoped", () => {
  it.effect.each([["success"], ["failure"], ["defect"], ["interruption"]] as const)(
    "archives on %s",
    ([how]) => {
      const net = hub(() => ({ status: 200, body: {} }))
      return Effect.gen(function* () {
        const sessions = yield* Sessions
        const up = yield* Deferred.make<void>()
        const end =
          how === "success"
            ? Effect.void
            : how === "failure"
              ? Effect.fail("no")
              : how === "defect"
                ? Effect.die("bug")
                : Effect.never
        const fiber = yield* Effect.scoped(
          Effect.zipRight(
            Effect.tap(sessions.scoped(create), () => Deferred.succeed(up, undefined)),
            end
          )
        ).pipe(Effect.fork)
        yield* Deferred.await(up)
        if (how === "interruption") yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        expect(Exit.isSuccess(exit)).toBe(how === "success")
        expect(archived(net)).toEqual(["session_1"])
        expect(net.aborted).toHaveLength(0)
      }).pipe(Effect.provide(Scripted.services(net)))
    }
  )

  it.effect("is not cut short by an interruption, and is bounded", () => {
    const net = hub(() => "never")
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      const up = yield* Deferred.make<void>()
      const fiber = yield* sessions.scoped(create).pipe(
        Effect.tap(() => Deferred.succeed(up, undefined)),
        Effect.zipRight(Effect.never),
        Effect.scoped,
        Effect.fork
      )
      yield* Deferred.await(up)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("9 seconds")
      expect(archived(net)).toEqual(["session_1"])
      expect(fiber.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 seconds")
      expect(Exit.isInterrupted(yield* Fiber.join(interrupting))).toBe(true)
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("archives nothing where creating failed", () => {
    const net = Scripted.make(Scripted.sequence({ status: 500 }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      expect((yield* Effect.flip(Effect.scoped(sessions.scoped(create))))._tag).toBe("RequestFailed")
      expect(net.asked).toHaveLength(1)
    }).pipe(Effect.provide(Scripted.services(net)))
  })
})

describe("archiving many", () => {
  it.effect.prop(
    "a group archives all at once within one bound and reports the rest",
    { fates: FastCheck.array(FastCheck.constantFrom("ok", "conflict", "fails", "never"), { maxLength: 12 }) },
    ({ fates }) => {
      const fateOf = (id: string) => fates[Number(id.replace("session_", "")) - 1]
      const net = hub((id) => {
        const fate = fateOf(id)
        return fate === "never"
          ? "never"
          : { status: fate === "ok" ? 200 : fate === "conflict" ? 409 : 503, body: {} }
      })
      return Effect.gen(function* () {
        const sessions = yield* Sessions
        const reported: Array<string> = []
        const scope = yield* Scope.make()
        const group = yield* sessions
          .group({
            timeout: "5 seconds",
            onNotArchived: (left) => Effect.sync(() => void reported.push(...left.map((l) => l.sessionId)))
          })
          .pipe(Scope.extend(scope))
        const ids = yield* Effect.forEach(fates, () => group.create(create))
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(closing)
        expect(archived(net)).toEqual([...ids].sort())
        expect(reported).toEqual(ids.filter((id) => fateOf(id) === "fails" || fateOf(id) === "never"))
      }).pipe(Effect.provide(Scripted.services(net)))
    },
    { fastCheck: { numRuns: 30 } }
  )

  it.effect("a released or archived session is not archived again", () => {
    const net = hub(() => ({ status: 200, body: {} }))
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      yield* Effect.scoped(
        Effect.gen(function* () {
          const group = yield* sessions.group()
          const [a, b] = [yield* group.create(create), yield* group.create(create)]
          yield* group.adopt(SessionId.make("session_old"))
          yield* group.release(a)
          yield* group.archive(b)
        })
      )
      expect(archived(net)).toEqual(["session_2", "session_old"])
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("archiveAll answers who did not archive", () => {
    const net = hub((id) => ({ status: id === "session_b" ? 404 : 200, body: {} }))
    return Effect.gen(function* () {
      const left = yield* (yield* Sessions).archiveAll([
        SessionId.make("session_a"),
        SessionId.make("session_b")
      ])
      expect(left.map(({ error, sessionId }) => [sessionId, error._tag])).toEqual([
        ["session_b", "SessionNotFound"]
      ])
    }).pipe(Effect.provide(Scripted.services(net)))
  })
})

it.effect("a 401 refreshes once and the call goes on", () => {
  const state = { token: "old", organization: "o" }
  let refreshes = 0
  const net = Scripted.make((asked) =>
    Effect.succeed(asked.headers["authorization"] === "Bearer new" ? { body: {} } : { status: 401 })
  )
  const source: Credentials.Source = {
    ...Scripted.changing(state),
    refreshAccessToken: () =>
      Effect.sync(() => {
        refreshes++
        state.token = "new"
        return Option.some(Redacted.make("new"))
      })
  }
  return Effect.gen(function* () {
    const sessions = yield* Sessions
    expect(Either.isRight(yield* Effect.either(sessions.get(sessionId)))).toBe(true)
    expect(refreshes).toBe(1)
    expect(net.asked).toHaveLength(2)
  }).pipe(Effect.provide(Scripted.services(net, Credentials.layer(source))))
})
