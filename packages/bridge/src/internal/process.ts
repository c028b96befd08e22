/**
 * Tells processes apart over time: a pid is used again, a pid with its start time is not.
 */
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"

export interface ProcessIdentity {
  readonly pid: number
  /** Opaque; empty where the system does not tell. */
  readonly started: string
}

/** Field 22 of /proc/<pid>/stat, counted after the command name, which may hold spaces and brackets. */
const fromProc = (pid: number) =>
  Effect.tryPromise(() => readFile(`/proc/${pid}/stat`, "utf8")).pipe(
    Effect.map((stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ")),
    // A zombie has ended; only its parent does not know yet.
    Effect.filterOrFail((fields) => fields[0] !== "Z" && fields[0] !== "X"),
    Effect.map((fields) => fields[19] ?? "")
  )

const fromPs = (pid: number) =>
  Effect.async<string>((resume) => {
    const child = execFile("ps", ["-o", "lstart=", "-p", String(pid)], { timeout: 2_000 }, (error, stdout) =>
      resume(Effect.succeed(error === null ? stdout.trim() : ""))
    )
    return Effect.sync(() => child.kill())
  })

/** The start time of a process; empty where it is not running or cannot be told. */
const startOf = (pid: number): Effect.Effect<string> =>
  Effect.orElse(fromProc(pid), () => (process.platform === "linux" ? Effect.succeed("") : fromPs(pid)))

export const identify = (pid: number): Effect.Effect<ProcessIdentity> =>
  Effect.map(startOf(pid), (started) => ({ pid, started }))

/** Whether that very process is running still. Where the start time cannot be told, the pid decides. */
export const isAlive = (identity: ProcessIdentity): Effect.Effect<boolean> =>
  Effect.map(startOf(identity.pid), (started) => {
    if (started !== "" && identity.started !== "") return started === identity.started
    if (process.platform === "linux") return started !== ""
    try {
      process.kill(identity.pid, 0)
      return true
    } catch {
      return false
    }
  })
