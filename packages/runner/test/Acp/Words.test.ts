import * as Approvals from "@causeway/transcript/Approvals"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Command from "../../src/Acp/Command.ts"
import * as Elicitation from "../../src/Acp/Elicitation.ts"
import * as Permission from "../../src/Acp/Permission.ts"
import * as Prompt from "../../src/Acp/Prompt.ts"
import * as Settings from "../../src/Acp/Settings.ts"

describe("Command", () => {
  it.each([
    ["gemini --acp", ["gemini", "--acp"]],
    ["  a\t b ", ["a", "b"]],
    [`'a b' "c \\"d\\"" e\\ f`, ["a b", 'c "d"', "e f"]],
    [`x ""`, ["x", ""]],
    ["a;b $HOME `c` | d > e *", ["a;b", "$HOME", "`c`", "|", "d", ">", "e", "*"]]
  ])("%s", (text, words) => {
    expect(Command.words(text)).toEqual(Either.right(words))
  })

  it.each(["", "   ", `"a`, "a '", "a\\", `""`])("%j is refused", (text) => {
    expect(Either.isLeft(Command.parse(text))).toBe(true)
  })

  it.prop(
    "words in single quotes come back as they are",
    [FastCheck.array(FastCheck.string(), { minLength: 1 })],
    ([words]) => {
      const quoted = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")
      expect(Command.words(quoted)).toEqual(Either.right(words))
    }
  )

  it.prop("no text makes it throw", [FastCheck.string()], ([text]) => {
    expect(Either.isEither(Command.parse(text))).toBe(true)
  })
})

// --- Permission ---

const option: FastCheck.Arbitrary<Permission.Option> = FastCheck.record({
  optionId: FastCheck.string({ minLength: 1, maxLength: 6 }),
  name: FastCheck.string(),
  kind: FastCheck.constantFrom("allow_once", "allow_always", "reject_once", "reject_always")
})
const options = FastCheck.uniqueArray(option, { selector: (each) => each.optionId, maxLength: 6 })
const allow = (more: object = {}) => ({ subtype: "success", response: { behavior: "allow", ...more } })
const deny = (more: object = {}) => ({ subtype: "success", response: { behavior: "deny", ...more } })
const selected = (answer: Permission.Answer): string | undefined =>
  answer.outcome.outcome === "selected" ? answer.outcome.optionId : undefined

describe("Permission", () => {
  it.prop("every option can be chosen by its id, on its side", [options], ([offered]) => {
    for (const each of offered) {
      const isAllow = each.kind.startsWith("allow")
      const named = (isAllow ? allow : deny)({ option_id: each.optionId })
      expect(selected(Permission.answer(offered, named))).toBe(each.optionId)
    }
  })

  it.prop(
    "a suggestion that is sent back chooses its option; together with the plain answer they reach all",
    [options],
    ([offered]) => {
      const suggestions = Permission.suggestions(offered, "Bash")
      const reached = suggestions.map((rule) =>
        selected(Permission.answer(offered, allow({ updatedPermissions: [rule] })))
      )
      expect(reached).toEqual(suggestions.map((rule) => rule["option_id"]))
      const plain = selected(Permission.answer(offered, allow()))
      const all = offered.filter((each) => each.kind.startsWith("allow")).map((each) => each.optionId)
      expect(new Set([...reached, ...(plain === undefined ? [] : [plain])])).toEqual(new Set(all))
    }
  )

  it.prop(
    "no answer picks an option of the other side, and once goes before always",
    [options, FastCheck.boolean(), FastCheck.jsonValue(), FastCheck.option(FastCheck.string())],
    ([offered, isAllow, rules, id]) => {
      const answer = Permission.answer(
        offered,
        (isAllow ? allow : deny)({ updatedPermissions: rules, option_id: id })
      )
      const chosen = offered.find((each) => each.optionId === selected(answer))
      if (chosen !== undefined) expect(chosen.kind.startsWith(isAllow ? "allow" : "reject")).toBe(true)
      else expect(offered.every((each) => each.kind.startsWith(isAllow ? "reject" : "allow"))).toBe(true)
      expect(answer.allowed).toBe(isAllow && chosen !== undefined)
      const plain = offered.find(
        (each) => each.optionId === selected(Permission.answer(offered, isAllow ? allow() : deny()))
      )
      if (plain?.kind.endsWith("_always") === true) {
        expect(offered.some((each) => each.kind === (isAllow ? "allow_once" : "reject_once"))).toBe(false)
      }
    }
  )

  it("carries the comment of a denial, takes an error reply for one, and an interrupt for the end of the turn", () => {
    const offered = Permission.options([
      { optionId: "n", name: "No", kind: "reject_once" },
      { optionId: "?", kind: "new" }
    ])
    expect(offered).toHaveLength(1)
    expect(Permission.answer(offered, deny({ message: "use git mv" }))).toMatchObject({
      outcome: { outcome: "selected", optionId: "n" },
      comment: "use git mv"
    })
    expect(Permission.answer(offered, deny({ message: Approvals.DENIED })).comment).toBe(undefined)
    expect(Permission.answer(offered, { subtype: "error", error: "no surface" })).toMatchObject({
      allowed: false,
      comment: "no surface"
    })
    expect(Permission.answer(offered, deny({ interrupt: true }))).toMatchObject({
      outcome: { outcome: "cancelled" },
      interrupt: true
    })
    expect(Permission.answer([], allow())).toMatchObject({
      outcome: { outcome: "cancelled" },
      allowed: false
    })
  })
})

// --- Prompt ---

const user = (content: unknown) => ({ type: "user", message: { role: "user", content } })
const image = { type: "image", source: { type: "base64", media_type: "image/jpeg", data: "AAAA" } }
const note = {
  type: "document",
  title: "notes",
  source: { type: "text", media_type: "text/plain", data: "abc" }
}

describe("Prompt", () => {
  it("is text, images and resources where the agent takes them", () => {
    expect(Prompt.fromUser(user("hi"), {})).toEqual({ blocks: [{ type: "text", text: "hi" }], omitted: [] })
    expect(
      Prompt.fromUser(user([{ type: "text", text: "see" }, image, note]), {
        image: true,
        embeddedContext: true
      })
    ).toEqual({
      blocks: [
        { type: "text", text: "see" },
        { type: "image", data: "AAAA", mimeType: "image/jpeg" },
        { type: "resource", resource: { uri: "attachment:notes", text: "abc", mimeType: "text/plain" } }
      ],
      omitted: []
    })
  })

  it("says to both sides what is left out", () => {
    const { blocks, omitted } = Prompt.fromUser(user([image, note]), {})
    expect(omitted).toEqual(["an image: this agent takes none"])
    expect(blocks).toEqual([
      { type: "text", text: "[left out: an image: this agent takes none]" },
      { type: "text", text: "notes:\nabc" }
    ])
  })

  it.prop("any payload gives at least one block", [FastCheck.jsonValue({ maxDepth: 3 })], ([content]) => {
    expect(Prompt.fromUser(user(content), {}).blocks.length).toBeGreaterThan(0)
  })
})

// --- Elicitation ---

describe("Elicitation", () => {
  const label = FastCheck.stringMatching(/^[a-z]{1,3}(, [a-z]{1,3})?$/)
  const labels = FastCheck.uniqueArray(label, { minLength: 1, maxLength: 4 })
  const formOf = (properties: object, required: ReadonlyArray<string> = []) =>
    Elicitation.form({
      mode: "form",
      message: "m",
      requestedSchema: { type: "object", properties, required }
    })
  const given = (answers: object) => ({
    subtype: "success",
    response: { behavior: "allow", updatedInput: { answers } }
  })

  it.prop("a choice comes back as its value, whatever its label holds", [labels], ([offered]) => {
    const oneOf = offered.map((each, at) => ({ const: `value ${at}`, title: each }))
    const form = formOf(
      { one: { type: "string", title: "q", oneOf }, two: { type: "boolean", title: "r" } },
      ["one"]
    )
    if (form === undefined) return expect.unreachable()
    for (const [at, each] of offered.entries()) {
      expect(Elicitation.answer(form, given({ q: each, r: "No" }))).toEqual({
        action: "accept",
        content: { one: `value ${at}`, two: false }
      })
    }
  })

  it.prop(
    "choices of many come back as they were joined",
    [labels, FastCheck.array(FastCheck.boolean(), { minLength: 4, maxLength: 4 })],
    ([offered, ticks]) => {
      // One label that begins another together with a comma cannot be told from it.
      const clear = offered.filter(
        (each) => !offered.some((other) => other !== each && other.startsWith(`${each}, `))
      )
      const form = formOf({ many: { type: "array", title: "q", items: { enum: clear } } })
      if (form === undefined) return expect.unreachable()
      const chosen = clear.filter((_, at) => ticks[at])
      expect(Elicitation.answer(form, given({ m: chosen.join(", ") }))).toEqual({
        action: "accept",
        content: chosen.length === 0 ? {} : { many: chosen }
      })
    }
  )

  it.prop(
    "no form and no answer makes it throw",
    [FastCheck.jsonValue(), FastCheck.jsonValue()],
    ([schema, response]) => {
      const form = Elicitation.form({ mode: "form", message: 1, requestedSchema: schema })
      if (form === undefined) return expect.unreachable()
      expect(Approvals.questionsOf(Elicitation.input(form)).length).toBe(form.fields.length)
      expect(["accept", "decline"]).toContain(Elicitation.answer(form, { response }).action)
    }
  )
})

// --- Settings ---

describe("Settings", () => {
  const settings = Settings.opened({
    modes: {
      currentModeId: "code",
      availableModes: [
        { id: "code", name: "Code" },
        { id: "plan", name: "Plan first" }
      ]
    },
    configOptions: [
      {
        id: "llm",
        category: "model",
        type: "select",
        name: "Model",
        currentValue: "small",
        options: [
          {
            group: "g",
            name: "G",
            options: [
              { value: "small", name: "Small" },
              { value: "big-1", name: "Big" }
            ]
          }
        ]
      },
      { id: "fast", type: "boolean", name: "Fast", currentValue: false }
    ]
  })

  it("reads modes and the model", () => {
    expect(Settings.mode(settings)).toBe("code")
    expect(Settings.model(settings)).toBe("small")
  })

  it("finds a value by id, then by name, and says what there is otherwise", () => {
    expect(Settings.setModel(settings, "Big")).toEqual(
      Either.right({ method: "session/set_config_option", params: { configId: "llm", value: "big-1" } })
    )
    expect(Settings.setMode(settings, "PLAN")).toEqual(
      Either.right({ method: "session/set_mode", params: { modeId: "plan" } })
    )
    expect(Settings.setMode(settings, "yolo")).toEqual(
      Either.left("this agent has no mode yolo; it has code, plan")
    )
    expect(Settings.setOption(settings, "fast", true)).toEqual(
      Either.right({
        method: "session/set_config_option",
        params: { configId: "fast", type: "boolean", value: true }
      })
    )
    expect(Either.isLeft(Settings.setOption(settings, "fast", "yes"))).toBe(true)
    expect(Settings.setModel(Settings.empty, "x")).toEqual(Either.left("this agent has no choice of model"))
  })

  it("takes the mode from a config option where there are no modes", () => {
    const without = Settings.opened({
      configOptions: [
        {
          id: "m",
          category: "mode",
          type: "select",
          currentValue: "ask",
          options: [
            { value: "ask", name: "Ask" },
            { value: "code", name: "Code" }
          ]
        }
      ]
    })
    expect(Settings.mode(without)).toBe("ask")
    expect(Settings.setMode(without, "code")).toEqual(
      Either.right({ method: "session/set_config_option", params: { configId: "m", value: "code" } })
    )
  })
})
