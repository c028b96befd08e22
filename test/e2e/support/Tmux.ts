/**
 * A terminal for tests: a program in a real tmux, typed into and looked at through tmux's control mode. tmux tells of
 * every output of the program, so a test waits for what the screen shows without asking again and again.
 */
import { spawn, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

/** Whether tmux is installed here. */
export const isInstalled = spawnSync("tmux", ["-V"]).status === 0

/** The screen did not come to show what was waited for. */
export class NotShown extends Data.TaggedError("NotShown")<{
  readonly wanted: string
  readonly screen: string
}> {
  override get message(): string {
    return `the screen never showed ${this.wanted}; it shows:\n${this.screen}`
  }
}

/** tmux refused a command, or has gone. */
export class TmuxFailed extends Data.TaggedError("TmuxFailed")<{ readonly output: string }> {
  override get message(): string {
    return `tmux: ${this.output}`
  }
}

export interface Terminal {
  /** Presses keys by tmux's names: `Enter`, `M-Enter`, `C-d`, `PageUp`. */
  readonly press: (...keys: ReadonlyArray<string>) => Effect.Effect<void, TmuxFailed>
  /** Types text as it is. */
  readonly type: (text: string) => Effect.Effect<void, TmuxFailed>
  /** Pastes text of several lines as a terminal does, in brackets. */
  readonly paste: (text: string) => Effect.Effect<void, TmuxFailed>
  readonly resize: (columns: number, rows: number) => Effect.Effect<void, TmuxFailed>
  /** What the screen shows now. `styled`: with its escape sequences. */
  readonly screen: (options?: { readonly styled?: boolean }) => Effect.Effect<string, TmuxFailed>
  /** Waits until the screen shows `wanted` (and none of `without`), and answers it. */
  readonly shows: (
    wanted: string | RegExp,
    without?: string | RegExp
  ) => Effect.Effect<string, TmuxFailed | NotShown>
}

/** A bound for a machine under load, not an expectation. */
const PATIENCE = "60 seconds"

/** An argument of tmux's command language. */
const quote = (text: string): string =>
  `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("$", "\\$").replaceAll("~", "\\~").replaceAll("\n", "\\n")}"`

const found = (screen: string, wanted: string | RegExp): boolean =>
  typeof wanted === "string" ? screen.includes(wanted) : wanted.test(screen)

/** Starts `command` (a line for `sh`) in a terminal of its own. Closing the scope ends both. */
export const start = (options: {
  readonly command: string
  readonly columns: number
  readonly rows: number
  readonly cwd: string
  readonly env?: { readonly [name: string]: string }
}): Effect.Effect<Terminal, never, Scope.Scope> =>
  Effect.gen(function* () {
    const socket = `causeway-${randomUUID().slice(0, 8)}`
    const changed = yield* Queue.sliding<void>(1)
    const waiting: Array<Deferred.Deferred<string, TmuxFailed>> = []
    /** tmux has made the session: commands that come earlier have no target. */
    const ready = yield* Deferred.make<void, TmuxFailed>()
    const gone = new TmuxFailed({ output: "it has ended" })
    let ended = false

    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(
          "tmux",
          [
            ...["-u", "-L", socket, "-f", "/dev/null", "-C"],
            ...["new-session", "-x", String(options.columns), "-y", String(options.rows), options.command],
            ...[";", "set-option", "-g", "window-size", "manual"]
          ],
          {
            cwd: options.cwd,
            // CI is what Ink looks for: a terminal is one there, too.
            env: {
              PATH: process.env["PATH"],
              HOME: process.env["HOME"],
              TMPDIR: process.env["TMPDIR"],
              LANG: "C.UTF-8",
              TERM: "xterm-256color",
              CI: "true",
              ...options.env
            },
            stdio: ["pipe", "pipe", "ignore"]
          }
        )
      ),
      (child) =>
        Effect.sync(() => {
          spawnSync("tmux", ["-L", socket, "kill-server"])
          child.kill("SIGKILL")
        })
    )

    let rest = ""
    let answer: { readonly own: boolean; readonly lines: Array<string> } | null = null
    const settle = (line: string): void => {
      if (answer?.own === true) {
        const output = answer.lines.join("\n")
        const next = waiting.shift()
        if (next !== undefined) {
          Deferred.unsafeDone(
            next,
            line.startsWith("%end") ? Effect.succeed(output) : Effect.fail(new TmuxFailed({ output }))
          )
        }
      }
      answer = null
    }
    const read = (line: string): void => {
      if (answer !== null) {
        if (/^%(?:end|error) \d+ \d+ \d+$/.test(line)) settle(line)
        else answer.lines.push(line)
        return
      }
      const begin = /^%begin \d+ \d+ (\d+)$/.exec(line)
      // The flag tells answers to this client's commands from those to the commands that started it.
      if (begin !== null) answer = { own: begin[1] === "1", lines: [] }
      else if (line.startsWith("%session-changed")) Deferred.unsafeDone(ready, Effect.void)
      else if (line.startsWith("%output") || line.startsWith("%layout-change"))
        Queue.unsafeOffer(changed, undefined)
    }
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n")
      rest = parts.pop() ?? ""
      for (const part of parts) read(part.replace(/\r$/, ""))
    })
    child.on("close", () => {
      ended = true
      Deferred.unsafeDone(ready, Effect.fail(gone))
      for (const each of waiting.splice(0)) Deferred.unsafeDone(each, Effect.fail(gone))
      Queue.unsafeOffer(changed, undefined)
    })
    child.stdin.on("error", () => undefined)

    const run = (command: string): Effect.Effect<string, TmuxFailed> =>
      Effect.gen(function* () {
        yield* Deferred.await(ready)
        if (ended) return yield* gone
        const done = yield* Deferred.make<string, TmuxFailed>()
        waiting.push(done)
        child.stdin.write(`${command}\n`)
        return yield* Deferred.await(done)
      })

    const screen: Terminal["screen"] = ({ styled = false } = {}) =>
      run(`capture-pane -p${styled ? " -e" : ""}`)

    const shows: Terminal["shows"] = (wanted, without) =>
      Effect.gen(function* () {
        let last = ""
        const look: Effect.Effect<string, TmuxFailed> = Effect.flatMap(screen(), (now) => {
          last = now
          return found(now, wanted) && (without === undefined || !found(now, without))
            ? Effect.succeed(now)
            : Effect.zipRight(Queue.take(changed), look)
        })
        return yield* Effect.timeoutFail(look, {
          duration: PATIENCE,
          onTimeout: () =>
            new NotShown({
              wanted: `${String(wanted)}${without === undefined ? "" : ` without ${String(without)}`}`,
              screen: last
            })
        })
      })

    return {
      press: (...keys) => Effect.asVoid(run(`send-keys ${keys.map(quote).join(" ")}`)),
      type: (text) => Effect.asVoid(run(`send-keys -l ${quote(text)}`)),
      paste: (text) =>
        Effect.asVoid(Effect.zipRight(run(`set-buffer ${quote(text)}`), run("paste-buffer -p"))),
      resize: (columns, rows) => Effect.asVoid(run(`resize-window -x ${columns} -y ${rows}`)),
      screen,
      shows
    }
  })
