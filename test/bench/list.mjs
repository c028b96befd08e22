// `sessions.list` with 10,000 sessions: a page of 50 over a socket. Server time is what the process spent on a request, one
// request at a time; the machine's own load shows in the difference of median and 95th percentile.
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { WebSocket } from "ws"
import { bundle } from "./bundle.mjs"

const SESSIONS = Number(process.env.BENCH_SESSIONS ?? 10_000)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 200)

const cases = [
  ["first page", { limit: 50 }],
  [
    "first page, titles and last messages",
    { limit: 50, includeDerivedTitles: true, includeLastMessage: true }
  ],
  ["search", { limit: 50, search: "question 77" }],
  ["everything", {}],
  ["one agent, active in the last hour", { limit: 50, agentId: "main", activeMinutes: 60 }]
]

export const run = async () => {
  const directory = await mkdtemp(`${tmpdir()}/causeway-list-`)
  const built = await bundle("test/bench/gateway-server.ts")
  const server = spawn(process.execPath, [built.file, `${directory}/hub.db`, String(SESSIONS)], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  try {
    const ready = await new Promise((resolve, reject) => {
      let text = ""
      server.stdout.on("data", (chunk) => {
        text += chunk
        if (text.includes("\n")) resolve(JSON.parse(text.slice(0, text.indexOf("\n"))))
      })
      server.once("exit", (code) => reject(new Error(`the server ended with ${code}`)))
    })
    const socket = new WebSocket(ready.url)
    const frames = []
    let wake = () => {}
    socket.on("message", (data) => {
      const frame = JSON.parse(data.toString())
      if (frame.type === "res" || frame.event === "connect.challenge") frames.push(frame)
      wake()
    })
    const next = async () => {
      while (frames.length === 0) await new Promise((resolve) => (wake = resolve))
      return frames.shift()
    }
    const call = async (method, params) => {
      socket.send(JSON.stringify({ type: "req", id: "r", method, params }))
      const frame = await next()
      if (!frame.ok) throw new Error(JSON.stringify(frame.error))
      return frame.payload
    }
    await next()
    await call("connect", {
      minProtocol: 3,
      maxProtocol: 3,
      client: { id: "gateway-client", version: "1", platform: "bench", mode: "backend" },
      scopes: ["operator.read"],
      auth: { token: ready.token }
    })
    for (const [name, params] of cases) {
      for (let i = 0; i < 20; i++) await call("sessions.list", params)
      const times = []
      let count = 0
      for (let i = 0; i < ROUNDS; i++) {
        const from = process.hrtime.bigint()
        count = (await call("sessions.list", params)).count
        times.push(Number(process.hrtime.bigint() - from) / 1e6)
      }
      times.sort((a, b) => a - b)
      const at = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))].toFixed(2)
      process.stdout.write(
        `${SESSIONS} sessions, ${name}: ${count} rows, median ${at(0.5)} ms, 95 % ${at(0.95)} ms\n`
      )
    }
    socket.terminate()
  } finally {
    server.kill("SIGTERM")
    await rm(built.directory, { recursive: true, force: true })
    await rm(directory, { recursive: true, force: true })
  }
}
