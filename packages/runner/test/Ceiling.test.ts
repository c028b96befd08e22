import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Launch from "../src/Ceiling/Launch.ts"
import * as Settings from "../src/Ceiling/Settings.ts"
import * as Steering from "../src/Ceiling/Steering.ts"
import * as Ceiling from "../src/Ceiling.ts"

const { standard, unbounded } = Ceiling

const modes = [
  "default",
  "plan",
  "acceptEdits",
  "auto",
  "dontAsk",
  "bypassPermissions",
  "yolo",
  "full-access"
]
const ceiling = FastCheck.record({
  permissionModes: FastCheck.option(FastCheck.subarray(modes), { nil: undefined }),
  skipPermissions: FastCheck.boolean(),
  acceptEdits: FastCheck.boolean(),
  alwaysAsk: FastCheck.subarray(["Bash", "Edit"])
}).map((some) => ({ ...standard, ...some }))
const settings = FastCheck.record(
  {
    model: FastCheck.constantFrom("a", "b"),
    permission_mode: FastCheck.constantFrom(null, ...modes),
    auto_accept_edits: FastCheck.boolean(),
    skip_permissions: FastCheck.boolean(),
    skip_permissions_until: FastCheck.constantFrom(null, 5),
    flag_settings: FastCheck.dictionary(
      FastCheck.constantFrom("effortLevel", "hooks", "permissions"),
      FastCheck.constantFrom("low", "high")
    ),
    config_options: FastCheck.dictionary(
      FastCheck.constantFrom("mode", "model", "thought"),
      FastCheck.constantFrom(...modes, "large")
    )
  },
  { requiredKeys: [] }
)

const names = (why: ReadonlyArray<Ceiling.NotAllowed>) => why.map(({ what }) => what)

describe("settings", () => {
  it.prop(
    "are allowed or taken back, member by member, and what is left is allowed",
    [ceiling, settings, settings],
    ([ceiling, change, before]) => {
      const { allowed, undo, why } = Settings.judge(ceiling, change, before)
      expect(why.length === 0).toBe(Object.keys(undo).length === 0)
      expect(Settings.judge(ceiling, allowed).why).toEqual([])
      expect(Settings.judge(ceiling, undo).why).toEqual([])
      expect(Settings.judge(ceiling, { ...change, ...allowed, ...undo }).why.length).toBe(
        Settings.judge(ceiling, {
          ...(undo.flag_settings === undefined ? {} : { flag_settings: undo.flag_settings }),
          ...(undo.config_options === undefined ? {} : { config_options: undo.config_options })
        }).why.length
      )
    }
  )

  it("leave an agent what it had before", () => {
    const { undo } = Settings.judge(
      standard,
      { permission_mode: "bypassPermissions", flag_settings: { hooks: {}, effortLevel: "high" } },
      { permission_mode: "plan", flag_settings: { hooks: { old: 1 } } }
    )
    expect(undo).toEqual({ permission_mode: "plan", flag_settings: { hooks: null } })
  })
})

describe("modes", () => {
  it.prop("that never ask are allowed by name or by the owner's flag alone", [ceiling], (ceiling) => {
    for (const mode of ["bypassPermissions", "Bypass Permissions", "YOLO", "full_access"]) {
      const named = (ceiling[0].permissionModes ?? []).some(
        (each) => each.replaceAll(/\W|_/g, "").toLowerCase() === mode.replaceAll(/\W|_/g, "").toLowerCase()
      )
      expect(Ceiling.allowsMode(ceiling[0], mode)).toBe(
        ceiling[0].alwaysAsk.length === 0 && (named || ceiling[0].skipPermissions)
      )
    }
  })

  it("of other agents are known by their names, and by a list of either", () => {
    expect(Ceiling.choiceRefused(standard, ["m1", "YOLO"], true)?.what).toContain("YOLO")
    expect(Ceiling.choiceRefused(standard, ["m1", "YOLO"], false)?.what).toContain("YOLO")
    expect(Ceiling.choiceRefused(standard, ["ask", "Ask"], true)).toBeUndefined()
    const listed = { ...standard, permissionModes: ["Ask first"] }
    expect(Ceiling.choiceRefused(listed, ["m1", "Ask first"], true)).toBeUndefined()
    expect(Ceiling.choiceRefused(listed, ["m2", "Build"], true)).toBeDefined()
    expect(Ceiling.choiceRefused(listed, ["large", "Large"], false)).toBeUndefined()
  })
})

describe("a launch", () => {
  const asked = { agent: "claude", cwd: "/tmp" }
  const refused = (ceiling: Ceiling.Ceiling, options: Parameters<typeof Launch.refused>[1]["options"]) =>
    Effect.map(Launch.refused(ceiling, { ...asked, options }), (why) => why.length)

  it.effect("brings no program, no rule and no directory that the owner has not named", () =>
    Effect.gen(function* () {
      const servers = (server: Payload.JsonObject) => ({ mcpServers: Redacted.make({ a: server }) })
      const remote = servers({ type: "http", url: "https://a.example", headers: {} })
      const command = servers({ command: "a" })
      expect(yield* refused(standard, remote)).toBe(0)
      expect(yield* refused({ ...standard, mcpServers: "none" }, remote)).toBe(1)
      expect(yield* refused(standard, command)).toBe(1)
      expect(yield* refused(standard, servers({ url: "https://a.example", command: "a" }))).toBe(1)
      expect(yield* refused(unbounded, command)).toBe(0)
      const listed = { ...standard, allowedTools: ["Bash(git log:*)", "Read"] }
      expect(yield* refused(listed, { allowedTools: ["Bash(git log:*)", "Read(a)", "Read"] })).toBe(0)
      expect(
        yield* refused(listed, { allowedTools: ["Bash", "Read,Bash", "Read(a),Bash(b)", "Read Bash"] })
      ).toBe(4)
      expect(
        yield* refused({ ...unbounded, alwaysAsk: ["mcp__a__b"] }, { allowedTools: ["mcp__a", "Read"] })
      ).toBe(1)
      expect(yield* refused(standard, { additionalDirectories: ["sub", "/tmp/a"] })).toBe(0)
      expect(yield* refused(standard, { additionalDirectories: ["/", "..", "~/a", "../etc"] })).toBe(4)
      const rooted = { ...standard, directories: ["/usr"] }
      expect(yield* refused(rooted, { additionalDirectories: ["/usr/lib", "/etc"] })).toBe(1)
      expect(yield* refused({ ...standard, agents: ["scripted"] }, {})).toBe(1)
    })
  )
})

describe("an answer", () => {
  const answer = (response: Payload.JsonObject) =>
    Payload.make({
      type: "control_response",
      response: { subtype: "success", request_id: "1", response }
    })
  const refused = (ceiling: Ceiling.Ceiling, author: Option.Option<{ deviceId: string; role: undefined }>) =>
    Effect.map(
      Steering.refused(ceiling, "/tmp", author, answer({ behavior: "allow", updatedInput: {} })),
      names
    )

  it.effect("is taken from whom the owner names, as far as the hub tells who it was; anybody may deny", () =>
    Effect.gen(function* () {
      const ceiling = { ...standard, approvers: { devices: ["phone"], roles: [] } }
      const author = (deviceId: string) => Option.some({ deviceId, role: undefined })
      expect(yield* refused(ceiling, author("phone"))).toEqual([])
      expect(yield* refused(ceiling, author("other"))).toEqual(['an answer of "other"'])
      expect(yield* refused(ceiling, Option.none())).toEqual(["an answer whose author the hub does not name"])
      expect(yield* refused(standard, Option.none())).toEqual([])
      const denial = answer({ behavior: "deny", message: "no" })
      expect(yield* Steering.refused(ceiling, "/tmp", Option.none(), denial)).toEqual([])
    })
  )
})

describe("what is sent to an agent", () => {
  const { make } = Payload
  const bypass = "bypassPermissions"
  const rules = [{ toolName: "Bash" }]
  const requests: ReadonlyArray<Payload.JsonObject> = [
    { subtype: "set_permission_mode", mode: bypass },
    { subtype: "set_permission_mode", mode: 7 },
    { subtype: "set_config_option", config_id: "approval", value: "yolo" },
    { subtype: "apply_flag_settings", settings: { env: {} } },
    { subtype: "mcp_set_servers", servers: { a: { command: "a" } } },
    { subtype: "initialize", agents: {} },
    { subtype: "read_file", path: "a" },
    {}
  ]
  const updates: ReadonlyArray<Payload.JsonObject> = [
    { type: "setMode", mode: bypass },
    { type: "setMode" },
    { type: "addDirectories", directories: ["/"] },
    { type: "addRules", behavior: "allow", rules, destination: "userSettings" },
    { type: "replaceRules", behavior: "deny", rules },
    { type: "removeRules", behavior: "ask", rules },
    { type: "somethingNew" }
  ]
  const judged = (payload: Payload.Payload) => Steering.refused(standard, "/tmp", Option.none(), payload)
  const answered = (update: Payload.JsonObject) =>
    make({
      type: "control_response",
      response: {
        subtype: "success",
        request_id: "1",
        response: { behavior: "allow", updatedPermissions: [update] }
      }
    })

  it.effect("is judged before the agent has it, whatever the agent would make of it", () =>
    Effect.gen(function* () {
      for (const request of requests) {
        const why = yield* judged(make({ type: "control_request", request_id: "1", request }))
        expect([request, why.length]).toEqual([request, 1])
      }
      for (const update of updates) {
        expect([update, (yield* judged(answered(update))).length]).toEqual([update, 1])
      }
      expect(yield* judged(make({ type: "update_environment_variables", variables: {} }))).toHaveLength(1)
    })
  )

  it.effect("passes where it allows nothing, or what the agent suggests to a person", () =>
    Effect.gen(function* () {
      for (const payload of [
        make({ type: "user", message: { role: "user", content: "x" } }),
        make({ type: "control_request", request: { subtype: "interrupt" } }),
        make({ type: "control_request", request: { subtype: "initialize" } }),
        make({ type: "control_request", request: { subtype: "set_permission_mode", mode: "plan" } }),
        make({
          type: "control_request",
          request: { subtype: "apply_flag_settings", settings: { fastMode: true } }
        }),
        answered({ type: "addRules", behavior: "allow", rules, destination: "localSettings" }),
        answered({ type: "setMode", mode: "acceptEdits", destination: "session" }),
        answered({ type: "addDirectories", directories: ["/tmp/a"], destination: "session" })
      ]) {
        expect([payload.text, yield* judged(payload)]).toEqual([payload.text, []])
      }
    })
  )
})
