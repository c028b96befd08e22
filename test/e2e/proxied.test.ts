/** The page and the commands behind a proxy, under a path of its own: what people see who open `https://host/tools/causeway/`. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Program from "../support/Program.ts"
import * as Proxy from "../support/Proxy.ts"
import * as Browser from "./support/Browser.ts"
import * as Person from "./support/Person.ts"

const place = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "causeway-proxied-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
)

const BASE = "/tools/causeway"

/** `up` behind a proxy that serves it under {@link BASE}. */
const serve = (manner: Proxy.Manner) =>
  Effect.gen(function* () {
    const directory = yield* place
    const target = { port: 0 }
    const proxy = yield* Proxy.make(target, { base: BASE, ...manner })
    const url = `${proxy.url}${BASE}`
    const program = yield* Program.start(
      [
        "up",
        "--agent",
        "scripted",
        "--json",
        "--print-code",
        "--port",
        "0",
        "--state-dir",
        directory,
        "--public-url",
        `${url}/`,
        "--allowed-host",
        "backend"
      ],
      { cwd: directory }
    )
    const ready = yield* program.line((line) => line["event"] === "ready")
    target.port = Number(new URL(String(ready["url"])).port)
    return { directory, program, proxy, ready, url }
  })

const manners: ReadonlyArray<readonly [string, Proxy.Manner]> = [
  ["that takes the path off and rewrites Host", { host: "backend:8080" }],
  ["that keeps the path", { keepsBase: true, headers: { "x-forwarded-for": "203.0.113.5" } }]
]

describe.skipIf(Browser.path === undefined)("the page behind a proxy", () => {
  for (const [name, manner] of manners) {
    it.scopedLive(`${name} works whole: a turn, links, and once the hub is gone`, () =>
      Effect.gen(function* () {
        const { program, ready, url } = yield* serve(manner)
        expect(ready["public_url"]).toBe(url)
        const browser = yield* Browser.launch
        const { context, problems, sockets } = yield* Browser.open(browser, url)
        const page = yield* Effect.promise(() => context.newPage())
        yield* Effect.promise(async () => {
          await page.goto(`${url}/#code=${String(ready["code"])}`)
          await page.getByRole("navigation").locator("a.entry").first().click()
          await Person.ask(page, "hello", "echo: hello")
          expect(new Set(sockets)).toEqual(new Set([`${url.replace(/^http/, "ws")}/gateway`]))

          // Installed as an app, it is this hub's and opens it.
          const manifest: string = await page.evaluate(
            "fetch(document.querySelector('link[rel=manifest]').href).then((answer) => answer.text())"
          )
          const { scope, start_url } = JSON.parse(manifest)
          const at = `${url}/manifest.webmanifest`
          expect([new URL(scope, at).href, new URL(start_url, at).href]).toEqual([`${url}/`, `${url}/`])
          expect(await page.evaluate("navigator.serviceWorker.ready.then(({ scope }) => scope)")).toBe(
            `${url}/`
          )
          // Other pages of this origin have their own.
          const names: ReadonlyArray<string> = await page.evaluate("Object.keys(localStorage)")
          expect(names.filter((each) => !each.startsWith(`${BASE}/`))).toEqual([])

          await Person.go(page, "#/devices")
          await page.getByRole("button", { name: "Add a device" }).click()
          const invitation = await page.getByLabel("Address").inputValue()
          expect(invitation).toMatch(/#code=[0-9A-Z-]{34}$/)
          expect(invitation.startsWith(`${url}/#`)).toBe(true)
          await Browser.shot(page, `proxied-${manner.keepsBase === true ? "kept" : "taken"}`)
          await page.getByRole("button", { name: "Close" }).first().click()
        })
        yield* program.kill("SIGKILL")
        yield* program.ended
        yield* Effect.promise(async () => {
          await page.reload()
          await page.getByText("The hub is not reached.").waitFor()
        })
        expect(problems).toEqual([])
      })
    )
  }
})

describe("commands behind a proxy", () => {
  for (const [name, manner] of manners) {
    it.scopedLive(`${name} reach the hub by its public address`, () =>
      Effect.gen(function* () {
        const { directory, ready, url } = yield* serve(manner)
        const env = {
          CAUSEWAY_TOKEN: String(ready["token"]),
          CAUSEWAY_STATE_DIR: join(directory, "elsewhere")
        }
        const bridge = yield* Program.start(
          ["connect", "--hub", url, "--agent", "scripted", "--dir", directory, "--title", "second", "--json"],
          { env }
        )
        const { session_id: session } = yield* bridge.line(({ event }) => event === "ready")
        const sent = yield* Program.run(["send", String(session), "hello", "--wait", "--hub", `${url}/`], {
          env
        })
        expect(sent.stdout).toContain("echo: hello")
        const listed = yield* Program.run(["devices", "list", "--hub", url], { env })
        expect(listed.stderr).not.toContain("did not answer")
      })
    )
  }
})

describe("a bridge behind a proxy that rewrites Host", () => {
  /** A hub that was told nothing, and tells a worker the address that it was asked under, where nothing listens. */
  const misled = Effect.gen(function* () {
    const directory = yield* place
    const state = join(directory, "hub")
    const hub = yield* Program.start(["hub", "--json", "--port", "0", "--state-dir", state])
    const { token, url } = yield* hub.line((line) => line["event"] === "ready")
    const proxy = yield* Proxy.make({ port: Number(new URL(String(url)).port) }, { host: "127.0.0.1:9" })
    const env = { CAUSEWAY_TOKEN: String(token), CAUSEWAY_STATE_DIR: join(directory, "elsewhere") }
    const connect = Program.start(
      ["connect", "--hub", proxy.url, "--agent", "scripted", "--dir", directory, "--json"],
      { env }
    )
    return { connect, env, proxy }
  })

  it.scopedLive("answers what people send: its calls go where it was told that the hub is", () =>
    Effect.gen(function* () {
      const { connect, env, proxy } = yield* misled
      const bridge = yield* connect
      const { session_id: session } = yield* bridge.line(({ event }) => event === "ready")
      const sent = yield* Program.run(["send", String(session), "hello", "--wait", "--hub", proxy.url], {
        env
      })
      expect(sent.stdout).toContain("echo: hello")
      expect(proxy.seen.filter(({ path }) => path.endsWith("/worker/register"))).toHaveLength(1)
    })
  )

  it.scopedLive("is ready when a call for its session has arrived, and says what is in the way before", () =>
    Effect.gen(function* () {
      const { connect, proxy } = yield* misled
      const isRegister = ({ path }: Proxy.Seen) => path.endsWith("/worker/register")
      yield* proxy.rule((seen) => (isRegister(seen) ? Proxy.page(502, "502 Bad Gateway") : Proxy.pass))
      const bridge = yield* connect
      const ready = yield* Effect.fork(bridge.line(({ event }) => event === "ready"))
      yield* Effect.repeat(Effect.sleep("50 millis"), {
        until: () => proxy.seen.filter(isRegister).length > 1
      })
      expect(Option.isNone(yield* Fiber.poll(ready))).toBe(true)
      yield* proxy.rule(() => Proxy.pass)
      yield* Fiber.join(ready)
      const { message } = yield* bridge.line(({ event }) => event === "attach_delayed")
      expect(message).toMatch(/is not attached yet: .*502.*502 Bad Gateway.*; trying again$/)
      yield* bridge.line(({ event }) => event === "session_attached")
    })
  )
})
