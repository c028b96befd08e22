/** The program with few open files (`ulimit -n 128`): it lives, says what to do, answers, and ends in order. */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Program from "../support/Program.ts"

const main = fileURLToPath(new URL("../../apps/bridge/dist/main.js", import.meta.url))

describe.runIf(process.platform === "linux")("a low limit on open files", () => {
  it.scopedLive("is told with what to do, and the work goes on within it", () =>
    Effect.gen(function* () {
      const root = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-limits-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
      )
      const state = join(root, "state")
      const ready = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<number | null>()
      let output = ""
      const child = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn("/bin/sh", [
            ...["-c", 'ulimit -n 128; exec "$@"', "sh", process.execPath, main, "up", "--agent", "scripted"],
            ...["--port", "0", "--capacity", "50", "--state-dir", state, "--dir", root]
          ])
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      for (const each of [child.stdout, child.stderr]) {
        each.setEncoding("utf8").on("data", (text: string) => {
          output += text
          if (/session session_/.test(output)) Deferred.unsafeDone(ready, Effect.void)
        })
      }
      child.once("exit", (code) => Deferred.unsafeDone(ended, Effect.succeed(code)))
      yield* Deferred.await(ready)
      expect(output).toContain("only 128 files may be open at once: 5 of 50 sessions run at a time")
      expect(output).toContain("ulimit -n 664")

      const session = /session (session_\w+)/.exec(output)?.[1] ?? ""
      const sent = yield* Program.run(["send", session, "hello", "--wait", "--state-dir", state])
      expect(sent.stdout).toBe("echo: hello\n")
      child.kill("SIGTERM")
      expect(yield* Deferred.await(ended)).toBe(0)
      expect(existsSync(join(state, "hub.json"))).toBe(false)
    })
  )
})
