/**
 * The disk is full, and then it is not: a program that runs says so with the disk's path, loses nothing, and goes on by
 * itself. Two kinds of full: a disk of its own that is filled (needs the right to mount one), and a limit on the size of the
 * process's files (always).
 */
import { execFileSync, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Program from "../support/Program.ts"

interface Disk {
  readonly root: string
  readonly fill: (pid: number) => void
  readonly free: (pid: number) => void
  /** What the words say of it. */
  readonly says: RegExp
}

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-disk-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
)

/** 4 MiB in memory. */
const mount = (at: string) => spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", at]).status === 0

const mounted: Effect.Effect<Disk, never, Scope.Scope> = Effect.gen(function* () {
  const root = yield* directory
  const disk = join(root, "disk")
  mkdirSync(disk)
  yield* Effect.acquireRelease(
    Effect.sync(() => mount(disk)),
    () => Effect.sync(() => spawnSync("umount", ["-l", disk]))
  )
  const filler = join(disk, "filler")
  return {
    root: disk,
    fill: () => {
      try {
        writeFileSync(filler, Buffer.alloc(8 * 1024 * 1024))
      } catch {
        // That is what it is for.
      }
    },
    free: () => rmSync(filler),
    says: /is full: free some space/
  }
})

const limited: Effect.Effect<Disk, never, Scope.Scope> = Effect.map(directory, (root) => {
  const limit = (bytes: string) => (pid: number) =>
    void execFileSync("prlimit", ["--pid", String(pid), `--fsize=${bytes}:unlimited`])
  return { root, fill: limit("8192"), free: limit("unlimited"), says: /fails: look at the system's log/ }
})

const canMount = (() => {
  const at = mkdtempSync(join(tmpdir(), "causeway-mount-"))
  const can = mount(at)
  if (can) spawnSync("umount", ["-l", at])
  rmSync(at, { recursive: true })
  return can
})()
const canLimit = spawnSync("prlimit", ["--version"]).status === 0
if (!canMount) process.stderr.write("disk: the full disk DID NOT RUN: this user may not mount one\n")
if (!canLimit) process.stderr.write("disk: the limited files DID NOT RUN: there is no `prlimit`\n")

/** Prompts that wait while the disk is full. */
const WAITING = 8

const story = (disk: Disk) =>
  Effect.gen(function* () {
    const state = join(disk.root, "state")
    const causeway = (...args: ReadonlyArray<string>) => Program.run([...args, "--state-dir", state])
    const up = yield* Program.start([
      ...["up", "--agent", "scripted", "--json", "--port", "0", "--state-dir", state],
      ...["--dir", tmpdir()]
    ])
    const started = yield* up.line((line) => line["event"] === "ready")
    const session = String(started["session_id"])
    expect((yield* causeway("send", session, "before", "--wait")).stdout).toBe("echo: before\n")

    const token = readFileSync(join(state, "token"), "utf8").trim()
    const post = (text: string) =>
      Effect.promise(async () => {
        const answer = await fetch(`${String(started["url"])}/v1/sessions/${session}/events`, {
          method: "POST",
          headers: {
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
            "anthropic-beta": "ccr-byoc-2025-07-29"
          },
          body: JSON.stringify({
            events: [
              {
                type: "event",
                data: { type: "user", uuid: randomUUID(), message: { role: "user", content: text } }
              }
            ]
          })
        })
        return { status: answer.status, text: await answer.text() }
      })
    // Prompts that the session has still to answer when nothing can be written any more.
    const waiting = Array.from({ length: WAITING }, (_, i) => `waiting ${i} `)
    for (const text of waiting) expect((yield* post(text)).status).toBe(200)
    disk.fill(up.pid)
    // Long enough to be certain that the file must grow.
    const refused = yield* post("refused ".repeat(20_000))
    expect(`${refused.status} ${refused.text}`).toContain("503")
    expect(refused.text).toContain(join(state, "hub.db"))
    expect(refused.text).toMatch(disk.says)
    for (let n = 0; n < 20; n++) yield* post("refused ".repeat(20_000))
    // The agent ends while nothing can be written down.
    for (const name of readdirSync(join(state, "agents"))) {
      if (!name.endsWith(".json")) continue
      process.kill(JSON.parse(readFileSync(join(state, "agents", name), "utf8")).pid, "SIGKILL")
    }
    const during = yield* Program.start(["send", session, "during", "--wait", "--json", "--state-dir", state])
    yield* post("refused ".repeat(20_000))

    disk.free(up.pid)
    const answered = yield* during.line((line) => line["event"] === "answered")
    expect(answered["text"]).toBe("echo: during")
    expect((yield* causeway("send", session, "after", "--wait")).stdout).toBe("echo: after\n")
    const log = Program.jsonLines(yield* causeway("logs", session, "--json"))
    const prompts = log.filter((line) => (line["payload"] as Program.Line)["type"] === "user")
    expect(
      prompts.map((line) => JSON.stringify(line).match(/before|during|after|refused|waiting/)?.[0])
    ).toEqual(["before", ...waiting.map(() => "waiting"), "during", "after"])
    const ready = yield* Effect.promise(() => fetch(`${String(started["url"])}/ready`))
    expect(ready.status).toBe(200)
    const answers = log.flatMap((line) => {
      const { type, result } = line["payload"] as Program.Line
      return type === "result" ? [String(result)] : []
    })
    for (const text of waiting)
      expect(answers.filter((answer) => answer.includes(text.trim())).length).toBe(1)

    yield* up.kill("SIGTERM")
    const { code, stderr } = yield* up.ended
    expect(code).toBe(0)
    expect(readdirSync(join(state, "agents"))).toEqual([])
    // Told when it begins, for each of the two databases, and not for every request that met it.
    const told = stderr.split("\n").filter((line) => line.includes("a file cannot be used"))
    expect(told.length).toBeLessThan(5)
    expect(told.join("\n")).toContain(join(state, "hub.db"))
    expect(stderr).not.toContain("defect")
  })

describe("a disk that is full for a while", () => {
  it.scopedLive.skipIf(!canMount)(
    "is named to whoever writes, and everything goes on when it has space",
    () => Effect.flatMap(mounted, story)
  )

  it.scopedLive.skipIf(!canLimit)("and so is a limit on the size of files", () =>
    Effect.flatMap(limited, story)
  )
})
