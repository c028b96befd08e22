/** The program in networks as companies have them: proxies, certificates of their own, and what is said where no way leads. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, request } from "node:http"
import { createServer as createTlsServer } from "node:https"
import { type AddressInfo, connect, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Program from "../support/Program.ts"

const fixture = (name: string): string =>
  readFileSync(new URL(`../../packages/hub/test/Push/fixtures/push-service.${name}`, import.meta.url), "utf8")

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-network-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
)

const listening = <S extends Server & { closeAllConnections?: () => void }>(server: S) =>
  Effect.acquireRelease(
    Effect.async<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as AddressInfo).port)))
    }),
    () =>
      Effect.async<void>((resume) => {
        server.closeAllConnections?.()
        server.close(() => resume(Effect.void))
      })
  )

/** A proxy that alone knows where names lead: whatever is asked for is at this port of this machine. */
const proxy = (port: number) =>
  Effect.gen(function* () {
    const asked: Array<string> = []
    const server = createServer((incoming, outgoing) => {
      const url = new URL(incoming.url ?? "")
      asked.push(`${incoming.method} ${url.host}`)
      const onward = request(
        {
          port,
          host: "127.0.0.1",
          method: incoming.method,
          path: url.pathname + url.search,
          headers: incoming.headers
        },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(outgoing)
        }
      )
      onward.on("error", () => outgoing.destroy())
      outgoing.on("close", () => onward.destroy())
      incoming.pipe(onward)
    })
    server.on("connect", (incoming, socket) => {
      asked.push(`CONNECT ${incoming.url}`)
      const onward = connect(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n")
        socket.pipe(onward)
        onward.pipe(socket)
      })
      onward.on("error", () => socket.destroy())
      socket.on("error", () => onward.destroy())
      socket.on("close", () => onward.destroy())
    })
    return { url: `http://127.0.0.1:${yield* listening(server)}`, asked }
  })

const hub = Effect.gen(function* () {
  const root = yield* temporary
  const state = join(root, "hub")
  const named = ["--allowed-host", "hub.corp.test"]
  const running = yield* Program.start(["hub", "--json", "--port", "0", "--state-dir", state, ...named])
  const { token, url } = yield* running.line(({ event }) => event === "ready")
  return { root, token: String(token), port: Number(new URL(String(url)).port) }
})

describe("behind a proxy", () => {
  it.scopedLive("sessions, polls, streams and sockets go through it, and answers come back", () =>
    Effect.gen(function* () {
      const { port, root, token } = yield* hub
      const way = yield* proxy(port)
      const env = { HTTP_PROXY: way.url, CAUSEWAY_TOKEN: token, CAUSEWAY_STATE_DIR: join(root, "elsewhere") }
      const to = ["--hub", "http://hub.corp.test"]
      const bridge = yield* Program.start(
        ["connect", ...to, "--agent", "scripted", "--dir", root, "--json"],
        { env }
      )
      const { session_id: session } = yield* bridge.line(({ event }) => event === "ready")
      const sent = yield* Program.run(["send", String(session), "hello", "--wait", ...to], { env })
      expect(sent.stdout).toContain("echo: hello")
      const devices = yield* Program.run(["devices", "list", ...to], { env })
      expect(devices.stderr).not.toContain("did not answer")
      expect(way.asked).toContain("POST hub.corp.test")
      expect(way.asked.some((line) => line.startsWith("CONNECT hub.corp.test"))).toBe(true)
      // Without the proxy the name leads nowhere.
      const lost = yield* Program.run(["sessions", "list", ...to], {
        env: { ...env, NO_PROXY: ".corp.test" }
      })
      expect(lost.code).toBe(1)
      expect(lost.stderr).toMatch(/the name hub\.corp\.test (is not known|could not be looked up)/)
    })
  )

  it.scopedLive("this machine's own hub is reached directly", () =>
    Effect.gen(function* () {
      const root = yield* temporary
      const env = { HTTP_PROXY: "http://127.0.0.1:9", HTTPS_PROXY: "http://127.0.0.1:9" }
      const up = yield* Program.start(
        ["up", "--agent", "scripted", "--json", "--port", "0", "--state-dir", root, "--dir", root],
        { env }
      )
      const { session_id: session } = yield* up.line(({ event }) => event === "ready")
      const sent = yield* Program.run(["send", String(session), "hello", "--wait", "--state-dir", root], {
        env
      })
      expect(sent.stdout).toContain("echo: hello")
    })
  )

  it.scopedLive("one that cannot be used is told by its variable", () =>
    Effect.gen(function* () {
      const root = yield* temporary
      const env = { HTTPS_PROXY: "socks5://me:hunter2@proxy:1080", CAUSEWAY_TOKEN: "cw_x" }
      const refused = yield* Program.run(
        ["sessions", "list", "--hub", "https://hub.corp.test", "--state-dir", root],
        { env }
      )
      expect(refused.code).toBe(2)
      expect(refused.stderr).toContain("HTTPS_PROXY")
      expect(refused.stderr).not.toContain("hunter2")
    })
  )
})

describe("a hub behind a certificate of one's own", () => {
  it.scopedLive("is refused by name, and reached where the certificate is trusted", () =>
    Effect.gen(function* () {
      const { port, root, token } = yield* hub
      const secure = createTlsServer(
        { key: fixture("key.pem"), cert: fixture("cert.pem") },
        (incoming, outgoing) => {
          const onward = request(
            {
              port,
              host: "127.0.0.1",
              method: incoming.method,
              path: incoming.url,
              headers: incoming.headers
            },
            (answer) => {
              outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
              answer.pipe(outgoing)
            }
          )
          outgoing.on("close", () => onward.destroy())
          incoming.pipe(onward)
        }
      )
      const address = `https://127.0.0.1:${yield* listening(secure)}`
      const env = { CAUSEWAY_TOKEN: token, CAUSEWAY_STATE_DIR: join(root, "elsewhere") }
      const refused = yield* Program.run(["sessions", "list", "--hub", address], { env })
      expect(refused.code).toBe(1)
      expect(refused.stderr).toContain("is signed by itself (issued to a push service of the tests")
      expect(refused.stderr).toContain("NODE_EXTRA_CA_CERTS")
      expect(refused.stderr).not.toMatch(/is the hub running|\n\s+at /)
      writeFileSync(join(root, "ca.pem"), fixture("cert.pem"))
      const trusting = { ...env, NODE_EXTRA_CA_CERTS: join(root, "ca.pem") }
      const listed = yield* Program.run(["sessions", "list", "--hub", address], { env: trusting })
      expect(listed.stderr).toBe("no sessions\n")
      expect(listed.code).toBe(0)
    })
  )
})

describe("where no way leads", () => {
  const asking = (address: string) =>
    Effect.gen(function* () {
      const root = yield* temporary
      const env = { CAUSEWAY_TOKEN: "cw_x", CAUSEWAY_STATE_DIR: root }
      return yield* Program.run(["sessions", "list", "--hub", address], { env })
    })

  it.scopedLive("the error names the cause and the next step, in one sentence", () =>
    Effect.gen(function* () {
      const closed = yield* Effect.scoped(listening(createServer()))
      const plain = yield* listening(createServer((_, outgoing) => outgoing.end()))
      for (const [address, words] of [
        [`http://127.0.0.1:${closed}`, `nothing listens at 127.0.0.1:${closed}`],
        [`https://127.0.0.1:${plain}`, `http://127.0.0.1:${plain}`],
        ["http://no-such-name.invalid", "no-such-name.invalid"]
      ] as const) {
        const ended = yield* asking(address)
        expect(ended.code).toBe(1)
        expect(ended.stderr).toContain(words)
        expect(ended.stderr).not.toMatch(/\n\s+at |Error:/)
      }
    })
  )

  it.scopedLive("an address that is none is refused before anything is called", () =>
    Effect.gen(function* () {
      for (const address of [
        "http://hub:99999",
        "ftp://hub",
        "http://[fe80::1%25eth0]:4750",
        "http://me:hunter2@hub"
      ]) {
        const ended = yield* asking(address)
        expect(ended.code).toBe(2)
        expect(ended.stderr).not.toContain("hunter2")
        expect(ended.stderr).toContain("give one like")
      }
    })
  )
})
