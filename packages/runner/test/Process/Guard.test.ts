import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { rolldown } from "rolldown"
import * as ProcessTable from "../../src/Process/ProcessTable.ts"
import * as Scripted from "../support/Scripted.ts"

const host = `
  import * as Effect from "effect/Effect"
  import * as AgentProcess from "${fileURLToPath(new URL("../../src/Process/AgentProcess.ts", import.meta.url))}"
  const log = process.argv[2]
  const agent = \`
    const say = (word) => require("fs").appendFileSync(process.argv[1], word + "\\\\n")
    process.stdin.on("data", () => say("heard")).on("end", () => say("end of input"))
    process.on("SIGTERM", () => { say("SIGTERM"); process.exit(143) })
    setInterval(() => {}, 1000)
    say("up " + process.pid)\`
  Effect.runFork(Effect.scoped(Effect.gen(function* () {
    const process_ = yield* AgentProcess.spawn({
      agent: "test", command: process.execPath, args: ["-e", agent, log], cwd: ".", env: {}
    })
    yield* process_.write("hello")
    yield* Effect.never
  })))`

describe("Guard", () => {
  it.scopedLive("ends the agent of a host that is killed, by a signal and not by the end of its input", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      const log = join(directory, "log")
      writeFileSync(log, "")
      writeFileSync(join(directory, "host.ts"), host)
      yield* Effect.promise(async () => {
        const build = await rolldown({
          input: join(directory, "host.ts"),
          platform: "node",
          resolve: {
            conditionNames: ["source"],
            modules: [fileURLToPath(new URL("../../../../node_modules", import.meta.url))]
          }
        })
        await build.write({ file: join(directory, "host.mjs"), format: "esm", codeSplitting: false })
        await build.close()
      })
      const started = spawn(process.execPath, [join(directory, "host.mjs"), log], {
        cwd: directory,
        stdio: "inherit"
      })
      const words = Effect.sync(() => readFileSync(log, "utf8").trim().split("\n"))
      const eventually = (word: string) =>
        words.pipe(
          Effect.repeat({ until: (said) => said.includes(word), schedule: Schedule.spaced("20 millis") }),
          Effect.timeout("10 seconds")
        )
      yield* eventually("heard")
      const pid = Number((yield* words)[0]?.slice("up ".length))
      started.kill("SIGKILL")
      yield* eventually("SIGTERM")
      yield* ProcessTable.startOf(pid).pipe(
        Effect.repeat({ until: (since) => since === undefined, schedule: Schedule.spaced("20 millis") }),
        Effect.timeout("10 seconds")
      )
      expect((yield* words).slice(1)).toEqual(["heard", "SIGTERM"])
    })
  )
})
