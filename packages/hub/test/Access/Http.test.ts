import * as Permissions from "@causeway/protocol/Permissions"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { AccessTable } from "../../src/Auth/AccessTable.ts"
import { call, layer, token } from "../harness.ts"
import { mismatches } from "./http.ts"

type Endpoints = { readonly [group: string]: { readonly [endpoint: string]: Permissions.Line } }

/** A hub that enforces another table than the one that is published. */
const withTable = (change: (endpoints: Endpoints) => Endpoints) =>
  Layer.provide(
    layer,
    Layer.succeed(AccessTable, {
      endpoints: change(Permissions.endpoints),
      methods: Permissions.methods
    })
  )

const withLine = (group: string, name: string, line: Partial<Permissions.Line>) =>
  withTable((endpoints) => {
    const before = endpoints[group]?.[name]
    return before === undefined
      ? endpoints
      : { ...endpoints, [group]: { ...endpoints[group], [name]: { ...before, ...line } } }
  })

describe("every endpoint, with every kind of bearer", () => {
  it.scoped("does as its line of the permission table says", () =>
    Effect.gen(function* () {
      expect(yield* mismatches()).toEqual([])
    }).pipe(Effect.provide(layer))
  )

  const changes: ReadonlyArray<readonly [group: string, name: string, line: Partial<Permissions.Line>]> = [
    ["sessions", "list", { needs: ["tokens.manage"] }],
    ["sessions", "sendEvents", { needs: ["sessions.read"] }],
    ["environments", "register", { needs: ["sessions.read"] }],
    ["work", "stop", { also: ["environment secret"] }],
    ["worker", "workerStream", { also: [] }],
    ["ingress", "append", { needs: ["sessions.write"] }],
    ["accessTokens", "create", { needs: ["sessions.read"] }]
  ]

  for (const [group, name, line] of changes) {
    it.scoped(`is found out where ${group}.${name} is enforced by another line`, () =>
      Effect.gen(function* () {
        const only = Permissions.linesOf().lines.filter((each) => each.group === group && each.name === name)
        expect((yield* mismatches(only)).length).toBeGreaterThan(0)
      }).pipe(Effect.provide(withLine(group, name, line)))
    )
  }
})

describe("a route without a line", () => {
  it.scoped("ends the start of the hub, with its name", () =>
    Effect.gen(function* () {
      const without = withTable(({ sessions, ...rest }) => {
        const { snapshots: _, ...others } = sessions ?? {}
        return { ...rest, sessions: others }
      })
      const exit = yield* Effect.exit(Layer.build(without))
      expect(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "").toContain(
        "GET /v1/sessions/:id/snapshots has no line in the permission table"
      )
    })
  )
})

describe("a role", () => {
  it.scoped("makes no token that may more than itself", () =>
    Effect.gen(function* () {
      // A table in which operators may make tokens, so that the second rule is the one that refuses.
      const owner = yield* token
      const make = (role: string | undefined, bearer: string) =>
        call({ method: "POST", path: "/v1/access_tokens", token: bearer, body: { name: "n", role } })
      const operator = yield* make("operator", owner)
      expect(operator.json).toMatchObject({ role: "operator" })
      expect((yield* make("owner", operator.json.token)).status).toBe(403)
      expect((yield* make("bridge", operator.json.token)).json.error.message).toBe(
        "a token of the role operator cannot make one of the role bridge"
      )
      expect((yield* make(undefined, operator.json.token)).json).toMatchObject({ role: "operator" })
      expect((yield* make("viewer", operator.json.token)).json).toMatchObject({ role: "viewer" })
      expect((yield* make("emperor", owner)).status).toBe(400)
    }).pipe(Effect.provide(withLine("accessTokens", "create", { needs: ["sessions.write"] })))
  )

  it.scoped("that only reads or only sends does not answer what an agent asks, at any door", () =>
    Effect.gen(function* () {
      const owner = yield* token
      const roles = yield* Effect.forEach(["approver", "operator", "viewer"] as const, (role) =>
        Effect.map(
          call({ method: "POST", path: "/v1/access_tokens", token: owner, body: { name: role, role } }),
          ({ json }) => ({ role, token: String(json.token) })
        )
      )
      const session = yield* call({ method: "POST", path: "/v1/sessions", token: owner, body: {} })
      const id: string = session.json.id
      const answer = { type: "control_response", response: { subtype: "success", request_id: "r" } }
      const prompt = { type: "user", message: { role: "user", content: "hi" } }
      const seen = yield* Effect.forEach(roles, ({ role, token: bearer }) =>
        Effect.forEach([answer, prompt], (event) =>
          Effect.map(
            Effect.all([
              call({
                method: "POST",
                path: `/v1/sessions/${id}/events`,
                token: bearer,
                body: { events: [{ type: "event", data: event }] }
              }),
              call({
                method: "POST",
                path: `/v1/code/sessions/${id}/events`,
                token: bearer,
                body: { events: [{ payload: event }] }
              })
            ]),
            (answers) => [role, event.type, ...answers.map(({ status }) => status)]
          )
        )
      )
      expect(seen.flat()).toEqual([
        ["approver", "control_response", 200, 200],
        ["approver", "user", 403, 403],
        ["operator", "control_response", 200, 200],
        ["operator", "user", 200, 200],
        ["viewer", "control_response", 403, 403],
        ["viewer", "user", 403, 403]
      ])
    }).pipe(Effect.provide(layer))
  )
})
