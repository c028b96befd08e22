/**
 * Identity of processes. A process id is used again by the system; together with the time at which the process
 * started it names one process for good. Nothing here goes by names.
 */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** The system did not tell: too many open files, no permission. It says nothing about the process. */
export class ProcessUnknown extends Data.TaggedError("ProcessUnknown")<{
  readonly pid: number
  readonly detail: string
}> {
  override get message(): string {
    return `the system does not tell whether process ${this.pid} runs: ${this.detail}`
  }
}

/** Errors of `/proc` that mean that there is no such process. */
const isGone = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ESRCH")

/**
 * When process `pid` started, in the system's own words (clock ticks since boot with the boot's id on Linux, `ps`'s
 * date elsewhere); `undefined` when there is no such process. Whoever takes a process for dead ends what it holds, so
 * what the system does not tell is a failure of its own.
 */
export const startOf = (pid: number): Effect.Effect<string | undefined, ProcessUnknown> =>
  Effect.tryPromise({
    try: () => (process.platform === "linux" ? fromProc(pid) : fromPs(pid)),
    catch: (cause) =>
      new ProcessUnknown({ pid, detail: cause instanceof Error ? cause.message : String(cause) })
  })

const fromProc = async (pid: number): Promise<string | undefined> => {
  const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim()
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch((cause: unknown) => {
    if (isGone(cause)) return undefined
    throw cause
  })
  if (stat === undefined) return undefined
  // Fields are counted after the last ")": the command's name may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  // A zombie has ended; it only waits for its parent to notice.
  return fields[0] === "Z" ? undefined : `${boot} ${fields[19]}`
}

const fromPs = (pid: number): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const env = { LC_ALL: "C", PATH: "/usr/bin:/bin" }
    execFile("ps", ["-o", "lstart=", "-p", String(pid)], { env }, (error, stdout) => {
      // `ps` ends with 1 where there is no such process; anything else is no answer.
      if (error === null) resolve(stdout.trim() === "" ? undefined : stdout.trim())
      else if (error.code === 1) resolve(undefined)
      else reject(error)
    })
  })

/** Sends a signal to a process, or to a process group by a negative id. Answers whether there was one to send to. */
export const signal = (id: number, name: NodeJS.Signals | 0): boolean => {
  try {
    return process.kill(id, name)
  } catch {
    // ESRCH: gone. EPERM: another user's, so not the one that was started here.
    return false
  }
}

const firstChild = (pid: number): number | undefined => {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
    return first === undefined || first === "" ? undefined : Number(first)
  } catch {
    // Ended, or a system that does not tell.
    return undefined
  }
}

/** The first child of a process's first child: what bubblewrap has started, below its own two processes. Linux only. */
export const grandchild = (pid: number): number | undefined => {
  const child = firstChild(pid)
  return child === undefined ? undefined : firstChild(child)
}

/**
 * Processes that carry one of `values` as variable `name` in the environment that they were started with: an agent's
 * descendants, also those that left its process group. Linux only; elsewhere, and where the system does not tell, none
 * are found.
 */
export const withVariable = (
  name: string,
  values: ReadonlySet<string>
): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    if (process.platform !== "linux" || values.size === 0) return []
    const entries = await readdir("/proc").catch((): Array<string> => [])
    const pids = entries.filter((entry) => /^\d+$/.test(entry)).map(Number)
    const found = await Promise.all(
      pids.map(async (pid) => {
        try {
          const environment = (await readFile(`/proc/${pid}/environ`, "latin1")).split("\0")
          const value = environment.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1)
          return value !== undefined && values.has(value) ? [pid] : []
        } catch {
          // Ended meanwhile, another user's, or too many files are open.
          return []
        }
      })
    )
    return found.flat().filter((pid) => pid !== process.pid)
  })
