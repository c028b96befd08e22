/** Getting in, in a real browser: tokens, one-time links, approval by somebody else, and being shown the door. */
import { expect } from "@effect/vitest"
import type { Page } from "playwright-core"
import { call } from "./support/Call.ts"
import { describePage, signIn } from "./support/DescribePage.ts"
import type { Hub } from "./support/Fixture.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

const BLANK = { blank: true }

const isIn = (page: Page): Promise<void> => page.getByRole("button", { name: "New session" }).waitFor()

/** All that the browser keeps for the page. */
const kept = (page: Page): Promise<string> =>
  page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])")

/** A one-time link, as the command line prints it. */
const link = async (hub: Hub): Promise<{ readonly url: string; readonly code: string }> => {
  const made = (await hub.causeway("devices", "code")).find((line) => line["event"] === "device_code")
  return { url: String(made?.["url"]), code: String(made?.["code"]) }
}

describePage("getting in", (test) => {
  test(
    "by a token uses it once: not kept, not in the address, not in the history",
    async ({ page, hub }) => {
      await signIn(page, hub)
      expect(page.url()).not.toContain(hub.token)
      expect(await kept(page)).not.toContain(hub.token)
      await page.reload()
      await isIn(page)
      await page.goto("about:blank")
      await page.goBack()
      expect(page.url()).not.toContain(hub.token)
      await isIn(page)
    },
    BLANK
  )

  test(
    "by a wrong token is refused with words, and another one may be typed",
    async ({ page, hub, shot }) => {
      await page.goto(`${hub.url}/#token=wrong`)
      await page.getByText("The token is not accepted any more.").waitFor()
      await shot("sign-in")
      await page.getByLabel("Access token").fill("wrong again")
      await page.getByRole("button", { name: "Open" }).click()
      await page.getByText("The token is not accepted any more.").waitFor()
      await page.getByLabel("Access token").fill(hub.token)
      await page.getByRole("button", { name: "Open" }).click()
      await isIn(page)
    },
    BLANK
  )

  test(
    "by a one-time link works once, and says so to the next one",
    async ({ page, hub, another }) => {
      const { url, code } = await link(hub)
      await page.goto(url)
      await isIn(page)
      expect(page.url()).not.toContain(code)
      expect(await kept(page)).not.toContain(code)
      await page.reload()
      await isIn(page)
      // Opened again by who it let in, it changes nothing.
      await page.goto("about:blank")
      await page.goto(url)
      await isIn(page)

      const { page: second } = await another()
      await second.goto(url)
      await second.getByRole("alert").getByText("This link was used already").waitFor()
      await second.getByRole("alert").getByText("causeway devices code").waitFor()
      await second.getByLabel("Access token").fill((await link(hub)).url)
      await second.getByRole("button", { name: "Open" }).click()
      await isIn(second)
    },
    BLANK
  )

  test(
    "by a link that has expired, or that no hub knows, says what to do",
    async ({ page, hub, another }) => {
      const { url } = await link(hub)
      hub.change("UPDATE device_codes SET expires_at = created_at - 1 WHERE device_id IS NULL")
      await page.goto(url)
      await page.getByRole("alert").getByText("This link has expired.").waitFor()
      const { page: other } = await another()
      await other.goto(`${hub.url}/#code=made-up`)
      await other.getByRole("alert").getByText("The hub does not know the code of this link").waitFor()
    },
    BLANK
  )

  test("is given to another device by a page that is signed in, and taken away again", async ({
    page,
    hub,
    another,
    shot
  }) => {
    await page.getByRole("link", { name: "Devices" }).click()
    await page.getByRole("button", { name: "Add a device" }).click()
    await page.getByRole("img", { name: "QR code of this invitation" }).waitFor()
    const address = await page.getByLabel("Address").inputValue()
    expect(address).toMatch(new RegExp(`^${hub.url}/#code=.+`))
    await shot("add-device")
    await page.keyboard.press("Escape")

    const { page: other } = await another({ userAgent: "Mozilla/5.0 (Android 14; Mobile) Firefox/999.0" })
    await other.goto(address)
    await isIn(other)
    const row = page.getByRole("listitem").filter({ hasText: /Firefox on Android/ })
    await row.getByText("connected now").waitFor()
    await shot("devices")
    await row.getByRole("button", { name: /^Revoke/ }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click()
    await other.getByRole("alert").getByText("This device was signed out").waitFor()
    await other.getByLabel("Access token").waitFor()
    await row.waitFor({ state: "detached" })
    await other.reload()
    await other.getByLabel("Access token").waitFor()
    await isIn(page)
  })

  test(
    "with more rights than before waits for somebody to approve, and then opens by itself",
    async ({ page, hub, another, shot }) => {
      const { code } = await call(hub, "device.code.create", { scopes: ["operator.read"], label: "to look" })
      await page.goto(`${hub.url}/#code=${String(code)}`)
      await isIn(page)
      await page.goto("about:blank")
      await page.goto(`${hub.url}/#token=${hub.token}`)
      await page.getByRole("heading", { name: "This device waits for approval" }).waitFor()
      const request = /devices approve (\S+)/.exec((await page.locator("pre").textContent()) ?? "")?.[1] ?? ""
      await shot("waits-for-approval")

      const { page: other } = await another()
      await signIn(other, hub)
      await other.getByRole("link", { name: "Devices" }).click()
      const row = other.getByRole("listitem").filter({ hasText: request })
      await row.getByRole("button", { name: "Approve" }).click()
      await isIn(page)
      await Person.begin(page, hub.environmentId)
      await Person.ask(page, "with all rights", "echo: with all rights")
    },
    BLANK
  )

  test("ends where a person signs out, in every tab, and nothing is left behind", async ({
    page,
    tab,
    hub
  }) => {
    const other = await tab()
    await isIn(other)
    await page.getByRole("button", { name: "Sign out" }).click()
    const sure = page.getByRole("dialog").getByRole("button", { name: /^(Sign out|Revoke)$/ })
    if ((await sure.count()) > 0) await sure.click()
    for (const each of [page, other]) await each.getByLabel("Access token").waitFor()
    await page.reload()
    await page.getByLabel("Access token").waitFor()
    expect(await kept(page)).not.toContain(hub.token)
  })

  test("to a session that was deleted meanwhile says so, whether it is open or linked to", async ({
    page,
    hub,
    another
  }) => {
    const id = await hub.api.session("Soon gone")
    const agent = await hub.api.worker(id)
    await agent.says(Lines.says("m1", "some words"))
    await Person.visit(page, id)
    await Person.said(page, "some words").waitFor()
    await page.getByRole("toolbar", { name: "Session" }).getByRole("button", { name: "Archive" }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Archive" }).click()
    await Person.box(page).waitFor({ state: "detached" })
    // Retention: what is archived goes for good, see the fixture's configuration.
    await call(hub, "sessions.cleanup", { enforce: true })
    const { page: other } = await another()
    await signIn(other, hub)
    await Person.go(other, `#/session/${id}`)
    await other.getByText("This session is not there.", { exact: false }).waitFor()
    await page.reload()
    await page.getByText("This session is not there.", { exact: false }).waitFor()
    await page.getByRole("link", { name: "Back to the sessions" }).click()
    await page.getByText("Choose a session, or begin a new one.").waitFor()
  })
})
