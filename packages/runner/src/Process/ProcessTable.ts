/**
 * Which process is which. A process id is used again by the system; together with the time at which the process
 * started it names one process for good. Nothing here goes by names.
 */
import { execFile } from "node:child_process"
import { readdir, readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"

/**
 * When process `pid` started, in the system's own words (clock ticks since boot with the boot's id on Linux, `ps`'s
 * date elsewhere); `undefined` when there is no such process.
 */
export const startOf = (pid: number): Effect.Effect<string | undefined> =>
  Effect.promise(async () => {
    try {
      const [stat, boot] = await Promise.all([
        readFile(`/proc/${pid}/stat`, "utf8"),
        readFile("/proc/sys/kernel/random/boot_id", "utf8")
      ])
      // Fields are counted after the last ")": the command's name may hold spaces and parentheses.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      // A zombie has ended; it only waits for its parent to notice.
      return fields[0] === "Z" ? undefined : `${boot.trim()} ${fields[19]}`
    } catch {
      return process.platform === "linux" ? undefined : fromPs(pid)
    }
  })

const fromPs = (pid: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    execFile("ps", ["-o", "lstart=", "-p", String(pid)], { env: { LC_ALL: "C" } }, (error, stdout) =>
      resolve(error === null && stdout.trim() !== "" ? stdout.trim() : undefined)
    )
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

/**
 * Processes that carry one of `values` as variable `name` in the environment that they were started with: an agent's
 * descendants, also those that left its process group. Linux only; elsewhere none are found.
 */
export const withVariable = (
  name: string,
  values: ReadonlySet<string>
): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    if (process.platform !== "linux" || values.size === 0) return []
    const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number)
    const found = await Promise.all(
      pids.map(async (pid) => {
        try {
          const environment = (await readFile(`/proc/${pid}/environ`, "latin1")).split("\0")
          const value = environment.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1)
          return value !== undefined && values.has(value) ? [pid] : []
        } catch {
          // Ended meanwhile, or another user's.
          return []
        }
      })
    )
    return found.flat().filter((pid) => pid !== process.pid)
  })
