/**
 * A session that the published Claude Code CLI had in one directory, resumed in another from what a hub keeps of it, with a
 * stand-in for its model on loopback. Opt-in: the program is nobody's dependency. Runs when both are set:
 *
 *     CAUSEWAY_TEST_CLAUDE        path of `claude`
 *     CAUSEWAY_TEST_MESSAGES_API  path of a module with `startFakeMessagesApi`
 */
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdirSync, realpathSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as Git from "@causeway/git/Git"
import { SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Resume from "../src/Resume.ts"
import * as Scripted from "./support/Scripted.ts"

const claude = process.env["CAUSEWAY_TEST_CLAUDE"]
const messagesApi = process.env["CAUSEWAY_TEST_MESSAGES_API"]
const wanted = claude !== undefined && messagesApi !== undefined && !messagesApi.startsWith("http")

if (!wanted) {
  process.stderr.write(
    "Resume.real: DID NOT RUN: set CAUSEWAY_TEST_CLAUDE and CAUSEWAY_TEST_MESSAGES_API to try the real Claude CLI\n"
  )
}

interface Api {
  readonly url: string
  readonly close?: () => void
}

const startApi = Effect.acquireRelease(
  Effect.promise(async (): Promise<Api> => {
    const module: { startFakeMessagesApi: (options: object) => Promise<Api> } = await import(
      /* @vite-ignore */ pathToFileURL(messagesApi ?? "").href
    )
    return module.startFakeMessagesApi({ port: 0 })
  }),
  (api) => Effect.sync(() => api.close?.())
)

/** Runs the CLI over the given prompts to its end; answers what it wrote. */
const run = (
  cwd: string,
  environment: NodeJS.ProcessEnv,
  args: ReadonlyArray<string>,
  prompts: ReadonlyArray<string>
) =>
  Effect.async<string>((resume) => {
    const child = spawn(
      claude ?? "",
      [
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--allowedTools",
        "Read",
        ...args
      ],
      { cwd, env: environment, stdio: ["pipe", "pipe", "inherit"] }
    )
    let text = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk
    })
    child.on("close", () => resume(Effect.succeed(text)))
    child.stdin.end(`${prompts.join("\n")}\n`)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const prompt = (text: string) =>
  JSON.stringify({
    type: "user",
    uuid: randomUUID(),
    session_id: "",
    parent_tool_use_id: null,
    message: { role: "user", content: text }
  })

describe.runIf(wanted)("the real Claude CLI", () => {
  it.scopedLive(
    "resumes with its history what it never had on its disk",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const root = realpathSync(yield* fs.makeTempDirectoryScoped({ prefix: "causeway-resume-real-" }))
        const at = (name: string) => {
          mkdirSync(join(root, name), { recursive: true })
          return join(root, name)
        }
        const api = yield* startApi
        const machine = (name: string) => ({
          PATH: process.env["PATH"],
          HOME: at(`${name}/home`),
          TMPDIR: at(`${name}/tmp`),
          CLAUDE_CONFIG_DIR: at(`${name}/config`),
          ANTHROPIC_BASE_URL: api.url,
          ANTHROPIC_API_KEY: "dummy",
          CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1"
        })
        const [here, there] = [at("one/code"), at("two/other-code")]
        writeFileSync(join(here, "notes.txt"), "the sea is blue\n")

        // What a hub would hold: the prompts as people sent them, and the agent's lines.
        const prompts = [prompt("remember the word marmalade"), prompt(`!read ${join(here, "notes.txt")}`)]
        const said: Array<unknown> = []
        let resumedId = randomUUID()
        for (const [n, each] of prompts.entries()) {
          const output = yield* run(
            here,
            machine("one"),
            [n === 0 ? "--session-id" : "--resume", resumedId],
            [each]
          )
          said.push(JSON.parse(each))
          for (const line of output.split("\n").filter((text) => text !== "")) {
            const payload = Payload.decode(line)
            if (Either.isRight(payload) && Payload.isTranscript(payload.right)) said.push(payload.right.json)
          }
        }
        expect(said.length).toBeGreaterThanOrEqual(5)

        const net = Scripted.make((asked) =>
          Effect.succeed(
            asked.path.includes("teleport")
              ? {
                  body: {
                    data: said.map((payload, n) => ({
                      event_id: `e${n}`,
                      payload,
                      created_at: new Date().toISOString()
                    }))
                  }
                }
              : { body: { id: "session_abc", session_context: {} } }
          )
        )
        const elsewhere = machine("two")
        const resumed = yield* Effect.flatMap(Resume.Resume, ({ resume }) =>
          resume(SessionId.make("session_abc"), {
            directory: there,
            configDirectory: elsewhere.CLAUDE_CONFIG_DIR
          })
        ).pipe(
          Effect.provide(
            Resume.layer.pipe(
              Layer.provide([Git.layer(process.env), Scripted.services(net)]),
              Layer.provide(NodeContext.layer)
            )
          )
        )
        expect(resumed.entries).toBe(said.length)

        yield* Effect.promise(() => fetch(`${api.url}/__fake/reset`, { method: "POST" }))
        resumedId = resumed.agentSessionId as typeof resumedId
        const output = yield* run(there, elsewhere, resumed.command.slice(1), [prompt("!say and again")])
        expect(output).toContain("and again")
        const requests = yield* Effect.promise(async () => (await fetch(`${api.url}/__fake/requests`)).text())
        expect(requests).toContain("remember the word marmalade")
        expect(requests).toContain("the sea is blue")
      }).pipe(Effect.provide(NodeContext.layer)),
    120_000
  )
})

it.runIf(!wanted)("did not run against the real Claude CLI: CAUSEWAY_TEST_CLAUDE is not set", () => {
  expect(wanted).toBe(false)
})
