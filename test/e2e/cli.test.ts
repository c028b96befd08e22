/** The program as people type it: one machine, the scripted agent, real processes. */
import { readFileSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"

const machine = Directory.temporary("cli")

const isReady = (line: Program.Line) => line["event"] === "ready"

/** `up` on a state directory of its own, ready. */
const up = (state: string, ...more: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const program = yield* Program.start([
      "up",
      "--agent",
      "scripted",
      "--json",
      "--port",
      "0",
      "--state-dir",
      state,
      "--dir",
      tmpdir(),
      ...more
    ])
    const ready = yield* program.line(isReady)
    return { program, ready, session: String(ready["session_id"]), url: String(ready["url"]) }
  })

const causeway = (state: string, ...args: ReadonlyArray<string>) =>
  Program.run([...args, "--state-dir", state])

const types = (log: ReadonlyArray<Program.Line>) =>
  log.map((line) => String((line["payload"] as Program.Line)["type"])).filter((type) => type !== "system")

describe("the command line", () => {
  it.scopedLive("brings the answer, and the log holds prompt, answer and result once each, in order", () =>
    Effect.gen(function* () {
      const state = yield* machine
      const { program, ready, session } = yield* up(state)
      expect(Object.keys(ready)).toEqual(
        expect.arrayContaining(["url", "gateway_url", "token", "session_id", "environment_id", "pid"])
      )

      const sent = yield* causeway(state, "send", session, "hello", "--wait", "--json")
      expect(sent.code).toBe(0)
      const last = Program.jsonLines(sent).at(-1)
      expect(last).toMatchObject({
        event: "answered",
        text: "echo: hello",
        result: { type: "result", is_error: false }
      })

      const log = Program.jsonLines(yield* causeway(state, "logs", session, "--json"))
      expect(types(log)).toEqual(["user", "assistant", "result"])
      expect(log.map((line) => line["sequence_num"])).toEqual(log.map((_, index) => index + 1))
      expect(log[0]).toMatchObject({ uuid: last?.["uuid"], source: "client" })

      const exported = Program.jsonLines(yield* causeway(state, "sessions", "export", session))
      expect(exported.map((line) => line["type"])).toEqual(["user", "assistant"])

      yield* program.kill("SIGTERM")
      const { code, signal, stdout } = yield* program.ended
      expect({ code, signal }).toEqual({ code: 0, signal: null })
      expect(Program.jsonLines({ stdout })[0]?.["event"]).toBe("ready")
    })
  )

  it.scopedLive(
    "archives at an orderly end; keeps a perpetual session and takes it up under the same id",
    () =>
      Effect.gen(function* () {
        const state = yield* machine
        const stop = (program: Program.Program) => Effect.zipRight(program.kill("SIGTERM"), program.ended)
        const first = yield* up(state)
        yield* stop(first.program)
        const second = yield* up(state, "--perpetual")
        expect(second.session).not.toBe(first.session)
        expect(second.ready["token"]).toBeUndefined()
        const archived = Program.jsonLines(
          yield* causeway(state, "sessions", "show", first.session, "--json")
        )[0]
        expect(archived?.["archived_at"]).toEqual(expect.any(String))
        yield* causeway(state, "send", second.session, "one", "--wait")
        yield* stop(second.program)

        const third = yield* up(state, "--perpetual")
        expect(third.session).toBe(second.session)
        yield* causeway(state, "send", third.session, "two", "--wait")
        const log = Program.jsonLines(yield* causeway(state, "logs", third.session, "--json"))
        expect(types(log)).toEqual(["user", "assistant", "result", "user", "assistant", "result"])
        const kept = Program.jsonLines(yield* causeway(state, "sessions", "show", third.session, "--json"))[0]
        expect(kept?.["archived_at"]).toBeNull()
        yield* stop(third.program)
      })
  )

  it.scopedLive("relays a permission to the terminal and its answer back", () =>
    Effect.gen(function* () {
      const state = yield* machine
      const { session } = yield* up(state)
      const waiting = yield* Program.start([
        "send",
        session,
        "!bash echo done-by-bash",
        "--wait",
        "--json",
        "--state-dir",
        state
      ])
      const asked = yield* waiting.line((line) => line["event"] === "approval_requested")
      expect(asked["tool_name"]).toBe("Bash")
      expect((yield* causeway(state, "approve", session, String(asked["tool_use_id"]))).code).toBe(0)
      const answered = yield* waiting.line((line) => line["event"] === "answered")
      expect(String(answered["text"])).toContain("done-by-bash")

      const refused = yield* Program.start([
        "send",
        session,
        "!bash echo never",
        "--wait",
        "--json",
        "--state-dir",
        state
      ])
      yield* refused.line((line) => line["event"] === "approval_requested")
      expect((yield* causeway(state, "deny", session, "--message", "not today")).code).toBe(0)
      const denied = yield* refused.line((line) => line["event"] === "answered")
      expect(denied["text"]).toBe("denied: not today")
    })
  )

  it.scopedLive("keeps its files from others, and the token out of what it prints", () =>
    Effect.gen(function* () {
      const state = yield* machine
      const { ready, program } = yield* up(join(state, "new"))
      const mode = (name: string) => statSync(join(state, "new", name)).mode & 0o777
      expect(mode(".")).toBe(0o700)
      expect(["token", "hub.json", "hub.db", "journal.db"].map(mode)).toEqual([0o600, 0o600, 0o600, 0o600])
      const token = readFileSync(join(state, "new", "token"), "utf8").trim()
      expect(ready["token"]).toBe(token)
      yield* program.kill("SIGTERM")
      const { stdout, stderr } = yield* program.ended
      expect(stderr).not.toContain(token)
      expect(stdout.split(token)).toHaveLength(2)
    })
  )

  it.scopedLive("says what is wrong and what to do, with an exit code", () =>
    Effect.gen(function* () {
      const state = yield* machine
      const { session, url } = yield* up(state)
      writeFileSync(join(state, "wrong"), "cw_wrong\n")
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, number, RegExp]> = [
        [["send", "session_00000000000000000000000000000000", "x"], 4, /does not exist[\s\S]*sessions list/],
        [["sessions", "show", "../etc"], 2, /not a session id/],
        [["send", session], 2, /TEXT is missing/],
        [
          ["send", session, "x", "--token", "cw_wrong"],
          3,
          /^(?=[\s\S]*ps, the shell's history)[\s\S]*not known here/
        ],
        [["send", session, "x", "--token-file", join(state, "wrong")], 3, /not known here/],
        [["send", session, "x", "--token-file", join(state, "missing")], 2, /holds no token/],
        [["send", session, "x", "--hub", "http://127.0.0.1:9"], 1, /did not answer[\s\S]*is the hub running/],
        [["send", session, "x", "--hub", "ftp://x"], 2, /is not a scheme of a hub/],
        [["approve", session], 4, /is not waiting for an approval/],
        [["nonsense"], 2, /no command "nonsense"/],
        [["up", "--agent", "nobody", "--port", "0"], 2, /no agent called/],
        [["up", "--dir", join(state, "missing"), "--port", "0"], 2, /does not exist/],
        [["up", "--dir", join(state, "token"), "--port", "0"], 2, /not a directory/],
        [["hub", "--port", new URL(url).port], 1, /already running for .*: process \d+/]
      ]
      for (const [args, code, words] of cases) {
        const ended = yield* causeway(state, ...args)
        expect({ args, code: ended.code, said: ended.stdout + ended.stderr }).toEqual({
          args,
          code,
          said: expect.stringMatching(words)
        })
      }
    })
  )

  it.scopedLive(
    "answers nobody with a stand-in where no agent is installed and nobody sits at the terminal",
    () =>
      Effect.gen(function* () {
        const state = yield* machine
        const { url } = yield* up(state)
        const alone = join(state, "alone")
        for (const args of [
          ["up", "--port", "0", "--state-dir", alone],
          ["--port", "0", "--state-dir", alone],
          ["up", "--json", "--port", "0", "--state-dir", alone],
          ["connect", "--hub", url, "--state-dir", state, "--dir", state],
          ["teleport", "latest", "--state-dir", state]
        ]) {
          const ended = yield* Program.run(args, { env: { PATH: "/nowhere" } })
          expect({ args, code: ended.code, said: ended.stdout + ended.stderr }).toEqual({
            args,
            code: 1,
            said: expect.stringMatching(/no agent is installed here: claude is not on the path[\s\S]*--agent/)
          })
        }
        const named = yield* Program.start(
          ["up", "--json", "--port", "0", "--state-dir", alone, "--dir", state],
          { env: { PATH: "/nowhere", CAUSEWAY_AGENT: "scripted" } }
        )
        expect(yield* named.line(isReady)).toMatchObject({ agent: "scripted", stand_in: false })
      })
  )
})
