/** A real browser for tests of the page. */
import { existsSync } from "node:fs"
import * as Effect from "effect/Effect"
import { type Browser, type BrowserContextOptions, chromium } from "playwright-core"

const places = [
  process.env["CAUSEWAY_TEST_CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
]

/** The browser of this machine (`CAUSEWAY_TEST_CHROMIUM` names another one), or undefined. */
export const path = places.find((place) => place !== undefined && existsSync(place))

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

/** A page of its own, and what went wrong in it: errors of its scripts, and what its policy refused. */
export const open = (browser: Browser, options: BrowserContextOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const context = await browser.newContext(options)
      // A bound for a machine under load, not an expectation.
      context.setDefaultTimeout(60_000)
      const page = await context.newPage()
      const problems: Array<string> = []
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
      return { page, problems }
    }),
    ({ page }) => Effect.promise(() => page.context().close())
  )
