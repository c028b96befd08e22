/** The example in docs/examples, as a person would run it. */
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { rolldown } from "rolldown"
import * as Scripted from "../support/Scripted.ts"

const root = fileURLToPath(new URL("../../../..", import.meta.url))
const scriptedAgentPath = await Scripted.bundle()

describe("docs/examples/two-agents.ts", () => {
  it.scopedLive("runs two agents and prints their events", () =>
    Effect.gen(function* () {
      // Beside the packages, where the native module is found.
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => {
          mkdirSync(join(root, "node_modules/.cache"), { recursive: true })
          return mkdtempSync(join(root, "node_modules/.cache/two-agents-"))
        }),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const output = yield* Effect.promise(async () => {
        const file = join(directory, "main.mjs")
        const build = await rolldown({
          input: join(root, "docs/examples/two-agents.ts"),
          platform: "node",
          external: ["better-sqlite3"],
          resolve: { conditionNames: ["source"] },
          checks: { circularDependency: false }
        })
        await build.write({ file, format: "esm", codeSplitting: false })
        await build.close()
        return new Promise<string>((resolve, reject) =>
          execFile(
            process.execPath,
            [file],
            { cwd: root, env: { ...process.env, SCRIPTED_AGENT: scriptedAgentPath } },
            (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(new Error(stdout + stderr)))
          )
        )
      })
      expect(output).toContain("may I use Bash?")
      expect(output).toContain("completed: done: from the first")
      expect(output).toContain("completed: from the second")
      expect(output.match(/new -> starting/g)).toHaveLength(2)
      expect(output.match(/running -> completed/g)).toHaveLength(2)
    })
  )
})
