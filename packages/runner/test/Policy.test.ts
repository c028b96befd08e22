import * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as Payload from "@causeway/protocol/Payload"
import type * as Approvals from "@causeway/transcript/Approvals"
import * as FileChange from "@causeway/transcript/FileChange"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Ceiling from "../src/Ceiling.ts"
import * as Policy from "../src/Policy.ts"

const now = 1_000_000
const until = FastCheck.option(FastCheck.integer({ min: 0, max: 2 * now }), { nil: null })
const patch: FastCheck.Arbitrary<AgentSettings.AgentSettings> = FastCheck.record(
  {
    auto_accept_edits: FastCheck.boolean(),
    skip_permissions: FastCheck.boolean(),
    skip_permissions_until: until
  },
  { requiredKeys: [] }
)
const settings = FastCheck.array(patch, { maxLength: 5 }).map((changes) =>
  changes.reduce(AgentSettings.merge, AgentSettings.none)
)
const asked = FastCheck.record({
  kind: FastCheck.constantFrom("tool" as const, "dialog" as const),
  toolName: FastCheck.constantFrom("Edit", "Write", "MultiEdit", "NotebookEdit", "Bash", "Read"),
  requiresUserInteraction: FastCheck.boolean()
})
const change: FastCheck.Arbitrary<Pick<Approvals.Approval, "change">> = FastCheck.constantFrom(
  {},
  { change: { path: "src/a.ts", state: "text", counts: null } },
  { change: { path: "/etc/a", state: "outside", counts: null } },
  { change: { path: "sub/.git/hooks/post-checkout", state: "missing", counts: null } }
)
const approval = FastCheck.tuple(asked, change).map(([asked, change]) => ({ ...asked, ...change }))
const ceiling = FastCheck.record({
  skipPermissions: FastCheck.boolean(),
  acceptEdits: FastCheck.boolean(),
  alwaysAsk: FastCheck.subarray(["Bash", "Ed*"])
}).map((some) => ({ ...Ceiling.standard, ...some }))

const ask = (requestId: string, toolName: string, input: unknown) =>
  Payload.make({
    type: "control_request",
    request_id: requestId,
    request: { subtype: "can_use_tool", tool_name: toolName, tool_use_id: `tool-${requestId}`, input }
  })

const before = (requestId: string, path: string) =>
  Payload.make({
    ...FileChange.payload({ toolUseId: `tool-${requestId}`, path, state: "text", text: "", bytes: 0 }, null),
    uuid: `before-${requestId}`
  })

describe("permissions decided ahead", () => {
  it.prop(
    "are asked in order: what only a person can answer, skipping, edits in the directory, the person",
    [approval, settings, ceiling],
    ([asked, given, ceiling]) => {
      const skips =
        ceiling.skipPermissions &&
        given.skip_permissions === true &&
        (given.skip_permissions_until == null || given.skip_permissions_until > now)
      const edits =
        ceiling.acceptEdits &&
        given.auto_accept_edits === true &&
        Ceiling.editTools.has(asked.toolName) &&
        asked.change?.path === "src/a.ts"
      const person =
        asked.kind === "dialog" ||
        asked.requiresUserInteraction ||
        Ceiling.isAlwaysAsked(ceiling, asked.toolName)
      expect(Policy.decide(asked, given, ceiling, now)).toBe(
        person ? "ask" : skips ? "skip_permissions" : edits ? "auto_accept_edits" : "ask"
      )
    }
  )

  it.prop("have no end of skipping without skipping", [settings, patch], ([before, given]) => {
    const after = AgentSettings.merge(before, given)
    if (after.skip_permissions !== true) expect(after.skip_permissions_until ?? null).toBeNull()
    if (given.skip_permissions !== undefined) expect(after.skip_permissions).toBe(given.skip_permissions)
    // Turning it on anew forgets the end it had before.
    if (given.skip_permissions === true) {
      expect(after.skip_permissions_until).toBe(given.skip_permissions_until ?? null)
    }
  })

  it("answer an open request once, with the whole input that was asked, under a uuid of its own", () => {
    const input = { file_path: "a", content: "x".repeat(100_000) }
    const lines = [
      before("1", "a"),
      ask("1", "Write", input),
      ask("2", "Bash", {}),
      before("3", "b"),
      ask("3", "Edit", { file_path: "b" })
    ]
    const desk = lines.reduce((at, each) => Policy.step(at, "worker", each, now), Policy.empty)
    const answers = Policy.answers(desk, { auto_accept_edits: true }, Ceiling.standard, "agent", now)
    expect(answers.map(({ json }) => json)).toMatchObject([
      { decided_by: "auto_accept_edits", response: { request_id: "1", response: { updatedInput: input } } },
      { decided_by: "auto_accept_edits", response: { request_id: "3" } }
    ])
    expect(Policy.answers(desk, { auto_accept_edits: true }, Ceiling.standard, "agent", now)).toEqual(answers)
    const settled = answers.reduce((at, each) => Policy.step(at, "worker", each, now), desk)
    expect(
      Policy.answers(settled, { skip_permissions: true }, Ceiling.unbounded, "agent", now)
    ).toMatchObject([{ json: { decided_by: "skip_permissions", response: { request_id: "2" } } }])
    expect([...settled.inputs.keys()]).toEqual(["2"])
  })

  it("leave what a person has answered", () => {
    const desk = Policy.step(Policy.empty, "worker", ask("1", "Bash", {}), now)
    const answer = Payload.make({
      type: "control_response",
      response: { subtype: "success", request_id: "1", response: { behavior: "deny", message: "no" } }
    })
    expect(
      Policy.answers(
        Policy.step(desk, "client", answer, now),
        { skip_permissions: true },
        Ceiling.unbounded,
        "agent",
        now
      )
    ).toEqual([])
  })
})
