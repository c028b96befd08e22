/** The driver against programs that are called `claude` and are not this one. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type AgentSessionSpec, AgentSessions } from "../../src/Agent.ts"
import * as Sessions from "../../src/AgentSessions.ts"
import * as Drivers from "../../src/Drivers.ts"
import * as Scripted from "../support/Scripted.ts"
import * as Talk from "../support/Talk.ts"

/** Notes how it was started, answers `initialize`, and stays. */
const obedient = `
  const { appendFileSync, readFileSync, statSync } = require("node:fs")
  const args = process.argv.slice(2)
  const given = args.map((each) => each.split("=")).filter(([name]) => /-file$|^--settings$|^--mcp-config$/.test(name))
  const files = Object.fromEntries(given.map(([name, path]) => [name, readFileSync(path, "utf8")]))
  const modes = given.map(([, path]) => statSync(path).mode & 0o777)
  appendFileSync(process.env.NOTES, JSON.stringify({ args, env: process.env, files, modes }) + "\\n")
  let text = ""
  process.stdin.on("data", (data) => {
    text += data
    for (let at = text.indexOf("\\n"); at >= 0; at = text.indexOf("\\n")) {
      const line = JSON.parse(text.slice(0, at)); text = text.slice(at + 1)
      if (line.request?.subtype === "initialize") process.stdout.write(JSON.stringify(
        { type: "control_response", response: { subtype: "success", request_id: line.request_id } }) + "\\n")
    }
  })`

const refusing = (flag: string) => `
  if (process.argv.some((each) => each.startsWith("${flag}"))) {
    process.stderr.write("error: unknown option '${flag}'\\n")
    process.exit(1)
  }
  ${obedient}`

const machine = (script: string) =>
  Effect.gen(function* () {
    const root = yield* Scripted.directory
    const program = join(root, "claude")
    writeFileSync(program, `#!${process.execPath}\n${script}`)
    chmodSync(program, 0o755)
    const cwd = join(root, "some code.d")
    mkdirSync(cwd)
    const environment = {
      PATH: process.env["PATH"],
      HOME: root,
      NOTES: join(root, "notes"),
      CAUSEWAY_TOKEN: "secret"
    }
    const layer = Layer.provide(
      Sessions.layerWith({ lastWords: "200 millis" }),
      Drivers.layer({ environment, claudePath: program, hubUrl: "http://127.0.0.1:1" })
    )
    const open = (more: Partial<AgentSessionSpec> = {}) =>
      Effect.flatMap(AgentSessions, (sessions) =>
        sessions.open(Talk.spec({ cwd, agent: "claude", ...more }))
      ).pipe(Effect.provide(layer))
    const notes = Effect.sync(
      (): ReadonlyArray<{
        readonly args: ReadonlyArray<string>
        readonly env: Payload.JsonObject
        readonly files: { readonly [flag: string]: string }
        readonly modes: ReadonlyArray<number>
      }> =>
        existsSync(environment.NOTES)
          ? readFileSync(environment.NOTES, "utf8")
              .trim()
              .split("\n")
              .map((line) => JSON.parse(line))
          : []
    )
    return { cwd, layer, notes, open, root }
  })

describe("the Claude driver", () => {
  it.scopedLive("passes what a session wishes, and nothing that could be taken for a flag", () =>
    Effect.gen(function* () {
      const { notes, open } = yield* machine(obedient)
      yield* open({
        agentSessionId: "11111111-1111-4111-8111-111111111111",
        options: {
          model: "--dangerously-skip-permissions",
          permissionMode: "plan",
          maxTurns: 2,
          systemPrompt: "-p",
          appendSystemPrompt: "be brief",
          allowedTools: ["Read", "Bash(git log:*)"],
          disallowedTools: ["WebFetch"],
          additionalDirectories: ["/a", "/b"],
          mcpServers: Redacted.make({ one: { command: "probe", env: { KEY: "hidden" } } }),
          settings: Redacted.make({ apiKeyHelper: "hidden" })
        },
        env: { MINE: "1" }
      })
      const [first] = yield* notes
      expect(first?.args).toEqual(
        expect.arrayContaining([
          "--model=--dangerously-skip-permissions",
          "--permission-mode=plan",
          "--max-turns=2",
          "--allowedTools=Read,Bash(git log:*)",
          "--disallowedTools=WebFetch",
          "--add-dir=/a",
          "--add-dir=/b",
          "--session-mirror"
        ])
      )
      expect(first?.args.join(" ")).toContain("--session-id 11111111-1111-4111-8111-111111111111")
      expect(first?.args).not.toContain("--dangerously-skip-permissions")
      expect(first?.files["--system-prompt-file"]).toBe("-p")
      expect(first?.files["--append-system-prompt-file"]).toBe("be brief")
      expect(JSON.parse(first?.files["--settings"] ?? "")).toEqual({ apiKeyHelper: "hidden" })
      expect(JSON.parse(first?.files["--mcp-config"] ?? "")).toMatchObject({
        mcpServers: { one: { command: "probe", env: { KEY: "hidden", CAUSEWAY_RUN_ID: expect.any(String) } } }
      })
      // Neither prompts nor secrets are seen in a list of processes, nor by other users.
      expect(first?.args.join(" ")).not.toMatch(/hidden|be brief/)
      expect(first?.modes).toEqual([0o600, 0o600, 0o600, 0o600])
      expect(first?.env).toMatchObject({ MINE: "1", CAUSEWAY_HUB_URL: "http://127.0.0.1:1" })
      expect(first?.env).not.toHaveProperty("CAUSEWAY_TOKEN")
      expect(first?.env).not.toHaveProperty("CLAUDE_CODE_RESUME_INTERRUPTED_TURN")
    })
  )

  it.scopedLive("does without the mirror where the flag is not known", () =>
    Effect.gen(function* () {
      const { notes, open } = yield* machine(refusing("--session-mirror"))
      yield* open()
      expect((yield* notes).map(({ args }) => args.includes("--session-mirror"))).toEqual([false])
    })
  )

  it.scopedLive("says that a version is of no use that lacks what it needs", () =>
    Effect.gen(function* () {
      const { open } = yield* machine(refusing("--replay-user-messages"))
      const error = yield* Effect.flip(open())
      expect(error.reason).toBe("WrongVersion")
      expect(error.message).toContain("--replay-user-messages")
    })
  )

  it.scopedLive("resumes what was adopted, from the folder that the CLI makes of the directory", () =>
    Effect.gen(function* () {
      const { cwd, layer, notes, open, root } = yield* machine(obedient)
      const spec = Talk.spec({ cwd, agent: "claude" })
      const sessions = yield* Effect.provide(AgentSessions, layer)
      expect(yield* sessions.adopt(spec, [Talk.prompt("of before")])).toEqual(Option.some({}))
      const folder = cwd.replaceAll(/[^A-Za-z0-9]/g, "-")
      const record = readFileSync(
        join(root, ".claude", "projects", folder, `${spec.agentSessionId}.jsonl`),
        "utf8"
      )
      expect(record).toContain("of before")
      const prompt = Payload.make({ ...Talk.prompt("not answered").json, type: "user", uuid: "p" })
      yield* open({ agentSessionId: spec.agentSessionId, resume: true, unanswered: [prompt] })
      const [first] = yield* notes
      expect(first?.args.join(" ")).toContain(`--resume ${spec.agentSessionId}`)
      expect(first?.env).toMatchObject({ CLAUDE_CODE_RESUME_INTERRUPTED_TURN: "1" })
    })
  )

  it.scopedLive("begins anew where nothing of a conversation is there, and says so", () =>
    Effect.gen(function* () {
      const { notes, open } = yield* machine(obedient)
      const session = yield* open({ resume: true })
      const talk = yield* Talk.listen(session)
      yield* talk.untilLine(({ json }) => json["reason"] === "conversation_missing")
      expect((yield* notes)[0]?.args).toContain("--session-id")
    })
  )
})
