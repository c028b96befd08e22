// Servers that are measured, each in a process of its own.
import { spawn } from "node:child_process"
import { readFile } from "node:fs/promises"

/** Its first line says where it listens; asked, it tells its processor time. */
export const start = async (args) => {
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
  let text = ""
  let waiting = () => {}
  child.stdout.on("data", (chunk) => {
    text += chunk
    waiting()
  })
  const line = () =>
    new Promise((resolve, reject) => {
      waiting = () => {
        const end = text.indexOf("\n")
        if (end === -1) return
        const first = text.slice(0, end)
        text = text.slice(end + 1)
        resolve(JSON.parse(first))
      }
      child.once("exit", (code) => reject(new Error(`${args[0]} ended with ${code}`)))
      waiting()
    })
  const first = await line()
  /** Microseconds of processor time since it was asked before. */
  const cpu = async () => {
    child.stdin.write("?")
    return (await line()).cpu
  }
  const stop = () =>
    new Promise((resolve) => {
      child.removeAllListeners("exit")
      child.on("exit", resolve)
      child.stdin.end()
    })
  /** Resident memory in bytes; undefined where the system does not tell. */
  const memory = async () => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "")
    const kilobytes = /VmRSS:\s+(\d+) kB/.exec(status)?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  }
  return { ...first, cpu, memory, stop }
}
