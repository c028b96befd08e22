/**
 * Ends an agent with its host, also one that is killed.
 *
 * The end of its input is no way to end an agent: a question that waits for a person fails by it and is lost to the
 * conversation, and a turn goes on while the next host takes the same conversation up. So a guard, a shell that does
 * nothing but wait, holds the agent's stdin open beside the host: when the host's end of the guard's own stdin closes,
 * it signals the agent's group, and only then lets go.
 */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process"

const script = 'read _; kill -TERM "-$1"; sleep 1; kill -KILL "-$1"'

/** Sets a guard over `child`. The answer dismisses it; it must be called when the child has ended. */
export const set = (child: ChildProcessWithoutNullStreams): (() => void) => {
  let guard: ChildProcess | undefined
  try {
    guard = spawn("/bin/sh", ["-c", script, "causeway-guard", String(child.pid)], {
      stdio: ["pipe", "ignore", "ignore", child.stdin],
      detached: true,
      env: { PATH: "/usr/bin:/bin" }
    })
  } catch {
    // Without a shell the agent sees the end of its input when its host is gone, and the next start ends what is left.
    return () => undefined
  }
  guard.on("error", () => undefined)
  guard.stdin?.on("error", () => undefined)
  return () => void guard.kill("SIGKILL")
}
