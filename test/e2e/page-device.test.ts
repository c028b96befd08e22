/**
 * The page on the devices that people have: it opens where somebody left, goes on where the browser keeps nothing, stays above
 * a phone's keyboard, and is there at once when the device wakes.
 */
import { expect } from "@effect/vitest"
import type { Page } from "playwright-core"
import { describePage, signIn } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"
import * as Wire from "./support/Wire.ts"

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }

const title = (page: Page, name: string) => page.getByRole("heading", { level: 1, name })

describePage("a device", (test) => {
  test("that was never here opens the session of the start, not an empty pane", async ({ page, shot }) => {
    await Person.box(page).waitFor()
    await Person.connected(page)
    await shot("first-open")
    await Person.ask(page, "hello", "echo: hello")
  })

  test("opens where somebody left, at its bare address and after a sign-in", async ({ page, hub }) => {
    const id = await hub.api.session("Left here")
    await hub.api.session("A newer one")
    await Person.visit(page, id)
    await page.goto("about:blank")
    await page.goto(hub.url)
    await title(page, "Left here").waitFor()
    expect(page.url()).toBe(`${hub.url}/#/session/${id}`)
    await page.goto("about:blank")
    await page.goto(`${hub.url}/#token=${hub.token}`)
    await title(page, "Left here").waitFor()
    await Person.go(page, "#/approvals")
    await title(page, "Approvals").waitFor()
    await page.goto("about:blank")
    await page.goto(hub.url)
    await title(page, "Approvals").waitFor()
  })

  test("whose browser keeps nothing opens sessions, sends, and says what is not kept", async ({
    hub,
    another
  }) => {
    const { page, context } = await another()
    await context.addInitScript(() => {
      for (const name of ["localStorage", "sessionStorage"]) {
        Object.defineProperty(globalThis, name, {
          get: () => {
            throw new DOMException("The operation is insecure.", "SecurityError")
          }
        })
      }
    })
    await signIn(page, hub)
    await page.getByText(/^This browser keeps nothing for this page/).waitFor()
    await Person.begin(page, hub.environmentId)
    await Person.ask(page, "hello", "echo: hello")
    await page.getByRole("button", { name: "Pin" }).click()
    await page.getByRole("heading", { name: "Pinned" }).waitFor()
  })

  test("whose storage is full sends and keeps its drafts while it is open", async ({ page, hub }) => {
    await page.evaluate(`(() => {
      for (let size = 1 << 20; size > 0; size >>= 1)
        for (let n = 0; ; n++) {
          try { for (const s of [localStorage, sessionStorage]) s.setItem("fill-" + size + "-" + n, "x".repeat(size)) } catch { break }
          if (n > 20) break
        }
      for (let n = 0; n < 200; n++) for (const s of [localStorage, sessionStorage]) { try { s.setItem("f" + n, "x") } catch {} }
    })()`)
    const id = await Person.begin(page, hub.environmentId)
    await Person.box(page).fill("a draft")
    await page.getByText(/^This browser has no room left for this page/).waitFor()
    await page.getByRole("link", { name: /Approvals/ }).click()
    await page.getByText("Nobody waits for you.").waitFor()
    await Person.go(page, `#/session/${id}`)
    expect(await Person.box(page).inputValue()).toBe("a draft")
    await Person.box(page).press("Enter")
    await Person.said(page, "echo: a draft").waitFor()
  })

  test(
    "with a keyboard on its screen shows what is written above it, in letters of 16 px",
    async ({ page, hub, shot }) => {
      const id = await hub.api.session("On a phone")
      await Person.visit(page, id)
      // As Safari does: the page stays as large as it was, and less of it is seen.
      await page.evaluate(`(() => {
        const seen = window.visualViewport
        for (const [name, value] of [["height", 420], ["offsetTop", 60], ["scale", 1]])
          Object.defineProperty(seen, name, { get: () => value, configurable: true })
        seen.dispatchEvent(new Event("resize"))
      })()`)
      const box = await Person.box(page).boundingBox()
      expect(box).not.toBeNull()
      expect((box?.y ?? 0) + (box?.height ?? 0)).toBeLessThanOrEqual(480)
      expect(box?.y).toBeGreaterThanOrEqual(60)
      await shot("phone-keyboard")
      await page.getByRole("button", { name: "Rename" }).click()
      const sizes = await page.evaluate<ReadonlyArray<number>>(
        `[...document.querySelectorAll("input, textarea, select")].map((field) => parseFloat(getComputedStyle(field).fontSize))`
      )
      expect(sizes.length).toBeGreaterThan(1)
      expect(sizes.filter((size) => size < 16)).toEqual([])
    },
    PHONE
  )

  test("that wakes with dead sockets has what came meanwhile at once", async ({ hub, another }) => {
    const id = await hub.api.session("Asleep")
    const agent = await hub.api.worker(id)
    await agent.says(Lines.says("m1", "before the sleep"))
    const wire = await Wire.make(Number(hub.port))
    try {
      const { page, problems } = await another({ hub: wire.url })
      await signIn(page, { url: wire.url, token: hub.token })
      await Person.visit(page, id)
      await Person.said(page, "before the sleep").waitFor()
      for (const [n, wakes] of ["pageshow", "focus", "online"].entries()) {
        wire.silence()
        await agent.says(Lines.says(`s${n}`, `during sleep ${n}`))
        // Sooner than any of the page's own looks at a quiet connection would find out.
        const socket = page.waitForEvent("websocket", { timeout: 10_000 })
        await page.evaluate(`dispatchEvent(new Event(${JSON.stringify(wakes)}))`)
        await socket
        await Person.said(page, `during sleep ${n}`).waitFor()
      }
      // A dead one cannot be closed: the browser waits for its other end.
      expect(new Set(problems.splice(0))).toEqual(new Set(["more than one socket at a time"]))
    } finally {
      await wire.close()
    }
  })
})
