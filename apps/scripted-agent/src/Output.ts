/** Lines to the host. */
import { writeSync } from "node:fs"

const pause = new Int32Array(new SharedArrayBuffer(4))

/**
 * Writes a line and returns when the pipe has it, so that nothing said is lost by an end of the process. A slow reader
 * holds the agent up; one that is gone ends it, and the host, if there is one, resumes it.
 */
export const write = (line: string): void => {
  const bytes = Buffer.from(`${line}\n`)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at)
    } catch (cause) {
      if (!(cause instanceof Error && "code" in cause && cause.code === "EAGAIN")) process.exit(1)
      Atomics.wait(pause, 0, 0, 1)
    }
  }
}

/** Says on stderr why the program cannot go on, and ends it. */
export const fail = (message: string): never => {
  process.stderr.write(`scripted-agent: ${message}\n`)
  process.exit(1)
}
