/** Resuming in real checkouts, with real git and real files. */
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Git from "@causeway/git/Git"
import { SessionId } from "@causeway/protocol/Ids"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Resume from "../src/Resume.ts"
import * as Scripted from "./support/Scripted.ts"

const sessionId = SessionId.make("session_abc")

const git = (cwd: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(
    "git",
    ["-c", "user.email=t@example.com", "-c", "user.name=t", "-c", "init.defaultBranch=main", ...args],
    {
      cwd,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"]
    }
  ).trim()

/**
 * `origin`: a repository with `main` and `claude/topic`; `checkout`: a clone of it that stands on `main` and whose remote
 * is spelled as one on a host.
 */
const repositories = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const root = realpathSync(yield* fs.makeTempDirectoryScoped({ prefix: "causeway-resume-" }))
  const [origin, checkout, config] = [join(root, "origin"), join(root, "checkout"), join(root, "config")]
  mkdirSync(origin)
  git(origin, "init", "-q")
  writeFileSync(join(origin, "a.txt"), "a")
  git(origin, "add", ".")
  git(origin, "commit", "-q", "-m", "first")
  git(root, "clone", "-q", origin, checkout)
  git(origin, "checkout", "-q", "-b", "claude/topic")
  writeFileSync(join(origin, "b.txt"), "b")
  git(origin, "add", ".")
  git(origin, "commit", "-q", "-m", "second")
  // The address that people see; git takes the directory instead.
  git(checkout, "remote", "set-url", "origin", "git@example.com:owner/name.git")
  git(checkout, "config", `url.${origin}.insteadOf`, "git@example.com:owner/name.git")
  return { root, origin, checkout, config }
})

const session = (more: object = {}) => ({
  id: "session_abc",
  session_context: {
    sources: [{ type: "git_repository", url: "https://example.com/owner/name", revision: "main" }],
    outcomes: [
      { type: "git_repository", git_info: { type: "github", repo: "owner/name", branches: ["claude/topic"] } }
    ]
  },
  ...more
})

const events = [
  { type: "user", uuid: "u1", message: { role: "user", content: "hello" } },
  { type: "assistant", uuid: "a1", message: { role: "assistant", content: [{ type: "text", text: "é" }] } },
  { type: "result", uuid: "r1" }
]

const hub = (said: unknown = session(), transcript: ReadonlyArray<unknown> = events) =>
  Scripted.make((asked) =>
    Effect.succeed(
      asked.path.includes("teleport")
        ? {
            body: {
              data: transcript.map((payload, n) => ({
                event_id: `e${n}`,
                event_type: "x",
                is_compaction: false,
                payload,
                created_at: "2026-01-01T00:00:00Z"
              }))
            }
          }
        : { body: said }
    )
  )

const resuming = (options: Resume.Options, net: Scripted.Scripted = hub()) =>
  Effect.flatMap(Resume.Resume, ({ resume }) => resume(sessionId, options)).pipe(
    Effect.provide(
      Resume.layer.pipe(
        Layer.provide([Git.layer(process.env), Scripted.services(net)]),
        Layer.provide(NodeContext.layer)
      )
    )
  )

const files = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) =>
    statSync(join(directory, name)).isFile()
  )

describe("resume", () => {
  it.scopedLive("checks the branch out, writes the transcript, and says the command", () =>
    Effect.gen(function* () {
      const { checkout, config } = yield* repositories
      const resumed = yield* resuming({ directory: checkout, configDirectory: config })
      expect(git(checkout, "branch", "--show-current")).toBe("claude/topic")
      expect(readdirSync(checkout)).toContain("b.txt")
      expect(resumed).toMatchObject({
        entries: 2,
        skipped: 1,
        truncated: false,
        directory: checkout,
        checkout: Option.some({ branch: "claude/topic", remote: "origin", fetched: true, upToDate: true }),
        command: ["claude", "--resume", resumed.agentSessionId]
      })
      expect(resumed.path).toBe(
        join(config, "projects", checkout.replace(/[^A-Za-z0-9]/g, "-"), `${resumed.agentSessionId}.jsonl`)
      )
      const lines = readFileSync(resumed.path, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      expect(
        lines.map(({ cwd, gitBranch, parentUuid, sessionId, uuid }) => [
          uuid,
          parentUuid,
          cwd,
          sessionId,
          gitBranch
        ])
      ).toEqual([
        ["u1", null, checkout, resumed.agentSessionId, "claude/topic"],
        ["a1", "u1", checkout, resumed.agentSessionId, "claude/topic"]
      ])
      expect(statSync(resumed.path).mode & 0o777).toBe(0o600)
      expect(files(config)).toHaveLength(1)
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("brings an existing branch up to date, and leaves commits of one's own alone", () =>
    Effect.gen(function* () {
      const { checkout, config, origin } = yield* repositories
      yield* resuming({ directory: checkout, configDirectory: config })
      writeFileSync(join(origin, "c.txt"), "c")
      git(origin, "add", ".")
      git(origin, "commit", "-q", "-m", "third")
      yield* resuming({ directory: checkout, configDirectory: config })
      expect(readdirSync(checkout)).toContain("c.txt")

      git(origin, "commit", "-q", "--allow-empty", "-m", "fourth")
      git(checkout, "commit", "-q", "--allow-empty", "-m", "mine")
      const mine = git(checkout, "rev-parse", "HEAD")
      const resumed = yield* resuming({ directory: checkout, configDirectory: config })
      expect(Option.map(resumed.checkout, ({ upToDate }) => upToDate)).toEqual(Option.some(false))
      expect(git(checkout, "rev-parse", "HEAD")).toBe(mine)
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("takes the branch that the session began from where nothing was pushed", () =>
    Effect.gen(function* () {
      const { checkout, config, origin } = yield* repositories
      git(origin, "checkout", "-q", "main")
      git(origin, "branch", "-D", "claude/topic")
      const resumed = yield* resuming({ directory: checkout, configDirectory: config })
      expect(Option.map(resumed.checkout, ({ branch }) => branch)).toEqual(Option.some("main"))
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("goes on with what is here where the remote does not answer, and says so", () =>
    Effect.gen(function* () {
      const { checkout, config, origin } = yield* repositories
      git(checkout, "fetch", "-q", "origin")
      rmSync(origin, { recursive: true })
      const warnings: Array<unknown> = []
      const logger = Logger.make(({ annotations, logLevel, message }) => {
        if (logLevel._tag === "Warning")
          warnings.push([message, HashMap.toEntries(annotations).map(([name]) => name)])
      })
      const resumed = yield* Effect.provide(
        resuming({ directory: checkout, configDirectory: config }),
        Logger.replace(Logger.defaultLogger, logger)
      )
      expect(resumed.checkout).toEqual(
        Option.some({ branch: "claude/topic", remote: "origin", fetched: false, upToDate: true })
      )
      expect(git(checkout, "branch", "--show-current")).toBe("claude/topic")
      expect(readdirSync(checkout)).toContain("b.txt")
      expect(warnings).toEqual([
        [
          ["The remote did not answer; going on with what is here"],
          expect.arrayContaining(["module", "detail"])
        ]
      ])
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("has no branch to check out where the remote does not answer and none is here", () =>
    Effect.gen(function* () {
      const { checkout, config, origin } = yield* repositories
      rmSync(origin, { recursive: true })
      git(checkout, "checkout", "-q", "-b", "other")
      git(checkout, "branch", "-q", "-D", "main")
      git(checkout, "update-ref", "-d", "refs/remotes/origin/main")
      const error = yield* Effect.flip(resuming({ directory: checkout, configDirectory: config })).pipe(
        Effect.provide(Logger.remove(Logger.defaultLogger))
      )
      expect(error).toMatchObject({ _tag: "BranchNotFound", branches: ["claude/topic", "main"] })
      expect(git(checkout, "branch", "--show-current")).toBe("other")
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("refuses a checkout of another repository, naming both, and writes nothing", () =>
    Effect.gen(function* () {
      const { checkout, config } = yield* repositories
      git(checkout, "remote", "set-url", "origin", "https://user:hunter2@example.com/other/thing")
      const error = yield* Effect.flip(resuming({ directory: checkout, configDirectory: config }))
      expect(error._tag).toBe("WrongRepository")
      expect(error.message).toContain("https://example.com/owner/name")
      expect(error.message).toContain("https://example.com/other/thing")
      expect(error.message).not.toContain("hunter2")
      expect(readdirSync(join(config, ".."))).not.toContain("config")
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("refuses a directory that is no checkout", () =>
    Effect.gen(function* () {
      const { config, root } = yield* repositories
      const plain = join(root, "plain")
      mkdirSync(plain)
      const error = yield* Effect.flip(resuming({ directory: plain, configDirectory: config }))
      expect(error).toMatchObject({ _tag: "NotACheckout", directory: plain })
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("says what is in the way of the checkout, and changes nothing", () =>
    Effect.gen(function* () {
      const { checkout, config } = yield* repositories
      writeFileSync(join(checkout, "a.txt"), "changed")
      writeFileSync(join(checkout, "untracked.txt"), "mine")
      const error = yield* Effect.flip(resuming({ directory: checkout, configDirectory: config }))
      expect(error).toMatchObject({
        _tag: "TreeNotClean",
        branch: "claude/topic",
        paths: ["a.txt"],
        count: 1
      })
      expect(git(checkout, "branch", "--show-current")).toBe("main")
      expect(readFileSync(join(checkout, "a.txt"), "utf8")).toBe("changed")
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("takes no option, path or expression for a branch", () =>
    Effect.gen(function* () {
      const { checkout, config } = yield* repositories
      const hostile = ["--upload-pack=touch /tmp/x", "-b", "a..b", "HEAD@{1}", "../../x", "a b", "x.lock", ""]
      const said = session()
      const [outcome] = said.session_context.outcomes
      const net = hub({
        ...said,
        session_context: {
          sources: [{ type: "git_repository", url: "https://example.com/owner/name" }],
          outcomes: [{ ...outcome, git_info: { branches: hostile } }]
        }
      })
      const error = yield* Effect.flip(resuming({ directory: checkout, configDirectory: config }, net))
      expect(error._tag).toBe("BranchNotFound")
      expect(git(checkout, "branch", "--show-current")).toBe("main")
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("needs no checkout where the session has no repository", () =>
    Effect.gen(function* () {
      const { config, root } = yield* repositories
      const resumed = yield* resuming(
        { directory: root, configDirectory: config, agentSessionId: "the-id" },
        hub({ id: "session_abc", session_context: { sources: [], outcomes: [] } })
      )
      expect(resumed.checkout).toEqual(Option.none())
      expect(resumed.path.endsWith("/the-id.jsonl")).toBe(true)
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("refuses a session without messages", () =>
    Effect.gen(function* () {
      const { checkout, config } = yield* repositories
      const error = yield* Effect.flip(
        resuming(
          { directory: checkout, configDirectory: config },
          hub(session(), [{ type: "result", uuid: "r" }])
        )
      )
      expect(error._tag).toBe("NothingToResume")
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("says that the transcript cannot be written", () =>
    Effect.gen(function* () {
      const { checkout, root } = yield* repositories
      const blocked = join(root, "blocked")
      writeFileSync(blocked, "a file where a directory should be")
      const error = yield* Effect.flip(resuming({ directory: checkout, configDirectory: blocked }))
      expect(error._tag).toBe("TranscriptNotWritten")
    }).pipe(Effect.provide(NodeContext.layer))
  )
})

describe("the configuration directory", () => {
  const read = (entries: ReadonlyArray<readonly [string, string]>) =>
    Effect.withConfigProvider(Resume.configDirectory, ConfigProvider.fromMap(new Map(entries)))

  it.effect("is CLAUDE_CONFIG_DIR, else .claude at home", () =>
    Effect.gen(function* () {
      expect(
        yield* read([
          ["CLAUDE_CONFIG_DIR", "/c"],
          ["HOME", "/h"]
        ])
      ).toBe("/c")
      expect(yield* read([["HOME", "/h"]])).toBe("/h/.claude")
    })
  )
})
