/** A real browser for tests of the page. */
import { existsSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
  type WebSocket
} from "playwright-core"

const places = [
  process.env["CAUSEWAY_TEST_CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
]

/** The browser of this machine (`CAUSEWAY_TEST_CHROMIUM` names another one), or undefined. */
export const path = places.find((place) => place !== undefined && existsSync(place))

/** Where screenshots go (`CAUSEWAY_TEST_SCREENSHOTS`); none are taken without it. */
const screenshots = process.env["CAUSEWAY_TEST_SCREENSHOTS"]

export const launch = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      ...(path === undefined ? {} : { executablePath: path }),
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync"
      ]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)

/** Files that the hub serves to the page, and what tells whether it answers at all. All else goes through the gateway's socket. */
const isStatic = (path: string): boolean =>
  path === "/" ||
  path === "/health" ||
  /^\/(?:chunks\/)?[\w.-]+\.(?:js|css|svg|png|webmanifest|html)$/.test(path)

/** A browser of its own, as one person has it, and what went wrong in it. */
export interface Profile {
  readonly context: BrowserContext
  /**
   * Errors of scripts, what the page's policy refused, dialogs, and all traffic but static files of the hub and one socket
   * a page to its gateway.
   */
  readonly problems: Array<string>
  /** Addresses of the sockets that were opened, oldest first. */
  readonly sockets: Array<string>
}

const watch = (page: Page, hub: string, { problems, sockets }: Profile): void => {
  page.on("pageerror", (error) => problems.push(String(error)))
  page.on("console", (message) => {
    // The browser reports every failed request; what becomes of those is what the tests look at.
    const failed = /^(Failed to load resource|WebSocket connection to )/.test(message.text())
    if (message.type() === "error" && !failed) problems.push(message.text())
  })
  page.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  let open = new Set<WebSocket>()
  page.on("request", (request) => {
    // The sockets of a document go with it, and nothing tells of that.
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) open = new Set()
  })
  page.on("websocket", (socket) => {
    sockets.push(socket.url())
    if (socket.url() !== `${hub.replace(/^http/, "ws")}/gateway`) problems.push(`socket: ${socket.url()}`)
    open.add(socket)
    if (open.size > 1) problems.push("more than one socket at a time")
    socket.on("close", () => open.delete(socket))
  })
  page.on("popup", (popup) => problems.push(`popup: ${popup.url()}`))
}

/** Opens a browser profile that may talk to the hub at `hub` alone, under its path where it has one. */
export const open = (browser: Browser, hub: string, options: BrowserContextOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(async (): Promise<Profile> => {
      const context = await browser.newContext(options)
      // A bound for a machine under load, not an expectation.
      context.setDefaultTimeout(60_000)
      const profile: Profile = { context, problems: [], sockets: [] }
      const { pathname, port } = new URL(hub)
      const base = pathname.replace(/\/$/, "")
      context.on("page", (page) => watch(page, hub, profile))
      // Those of the service worker, too.
      context.on("request", (request) => {
        const url = new URL(request.url())
        if (url.protocol === "data:" || url.protocol === "blob:") return
        const own = url.hostname === "127.0.0.1" && url.port === port
        if (
          !own ||
          request.method() !== "GET" ||
          !url.pathname.startsWith(base) ||
          !isStatic(url.pathname.slice(base.length))
        )
          profile.problems.push(`request: ${request.method()} ${request.url()}`)
      })
      return profile
    }),
    ({ context }) => Effect.promise(() => context.close())
  )

/** Keeps a picture of the page for people to look at, where somebody asked for them. */
export const shot = async (page: Page, name: string): Promise<void> => {
  if (screenshots === undefined) return
  await mkdir(screenshots, { recursive: true })
  await page.screenshot({ path: join(screenshots, `${name}.png`) })
}
