/** The program started from shells that other programs made: what its agents and its git see of them. */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Program from "../support/Program.ts"

const git = (cwd: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", ["-c", "user.email=t@example.com", "-c", "user.name=t", ...args], {
    cwd,
    encoding: "utf8"
  })

const repository = (root: string, name: string) => {
  const directory = join(root, name)
  mkdirSync(directory)
  git(directory, "init", "-q", "-b", `branch-of-${name}`)
  writeFileSync(join(directory, "file"), name)
  git(directory, "add", ".")
  git(directory, "commit", "-qm", name)
  git(directory, "remote", "add", "origin", `https://example.com/owner/${name}.git`)
  return directory
}

const machine = Effect.gen(function* () {
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-environment-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
  )
  return {
    root,
    state: join(root, "state"),
    ours: repository(root, "ours"),
    other: repository(root, "other")
  }
})

/** A hook of git in another repository, in a shell of Claude Code, in a script of npm. */
const shellIn = (other: string) => ({
  GIT_DIR: join(other, ".git"),
  GIT_WORK_TREE: other,
  GIT_INDEX_FILE: join(other, ".git", "index"),
  CLAUDECODE: "1",
  CLAUDE_CODE_SSE_PORT: "1",
  CLAUDE_CODE_SESSION_ID: "11111111-1111-4111-8111-111111111111",
  CLAUDE_CODE_CHILD_SESSION: "1",
  CLAUDE_CODE_REMOTE: "true",
  CLAUDE_CODE_USE_BEDROCK: "1",
  AWS_PROFILE: "work",
  npm_lifecycle_event: "dev",
  npm_config_local_prefix: other,
  CAUSEWAY_TOKEN: "not for agents",
  SSH_AUTH_SOCK: "/run/ssh"
})

const start = (at: Effect.Effect.Success<typeof machine>, ...more: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const args = ["up", "--agent", "scripted", "--json", "--port", "0", "--state-dir", at.state]
    const program = yield* Program.start([...args, "--dir", at.ours, ...more], { env: shellIn(at.other) })
    const ready = yield* program.line((line) => line["event"] === "ready")
    return { program, ready }
  })

const ask = (state: string, text: string) =>
  Effect.map(Program.run(["send", "latest", text, "--wait", "--json", "--state-dir", state]), (ended) => {
    const answered = Program.jsonLines(ended).find((line) => line["event"] === "answered")
    return String(answered?.["text"] ?? ended.stderr)
  })

describe("started in a shell that another program made", () => {
  it.scopedLive("the agent gets what people set, and not what marks the other program", () =>
    Effect.gen(function* () {
      const at = yield* machine
      yield* start(at)
      const names = (yield* ask(at.state, "!env")).split(" ")
      expect(names).toEqual(
        expect.arrayContaining(["PATH", "HOME", "CLAUDE_CODE_USE_BEDROCK", "AWS_PROFILE", "SSH_AUTH_SOCK"])
      )
      expect(names.filter((name) => /^(GIT_|npm_|CLAUDECODE|CLAUDE_CODE_[^U])/.test(name))).toEqual([])
      expect(names.filter((name) => name.startsWith("CAUSEWAY_"))).toEqual([
        "CAUSEWAY_HUB_URL",
        "CAUSEWAY_RUN_ID",
        "CAUSEWAY_SESSION_ID"
      ])
    })
  )

  it.scopedLive("the session is of the repository that was attached, and its worktree too", () =>
    Effect.gen(function* () {
      const at = yield* machine
      yield* start(at, "--spawn", "worktree")
      const shown = yield* Program.run(["sessions", "show", "latest", "--json", "--state-dir", at.state])
      expect(shown.stdout).toContain("https://example.com/owner/ours")
      expect(shown.stdout).toContain("branch-of-ours")
      expect(shown.stdout).not.toContain("other")
    })
  )

  it.scopedLive("a variable that was named is passed on, Causeway's own are refused with words", () =>
    Effect.gen(function* () {
      const at = yield* machine
      yield* start(at, "--pass-env", "CLAUDE_CODE_REMOTE")
      expect((yield* ask(at.state, "!env")).split(" ")).toContain("CLAUDE_CODE_REMOTE")
      const refused = yield* Program.run([
        ...["up", "--agent", "scripted", "--port", "0", "--state-dir", `${at.state}2`],
        ...["--dir", at.ours, "--pass-env", "CAUSEWAY_TOKEN"]
      ])
      expect(refused.code).toBe(2)
      expect(refused.stderr).toContain('"CAUSEWAY_TOKEN" cannot be passed on to agents')
    })
  )
})
