/** That the page never lies about its connection: cuts, a killed hub, a reload, two tabs, and no network at all. */
import { expect } from "@effect/vitest"
import { describePage, signIn } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"
import * as Wire from "./support/Wire.ts"

// Tall, so that all of the conversation is in the document.
const TALL = { viewport: { width: 1280, height: 4000 } }

describePage("the connection", (test) => {
  test("is one socket, over which everything goes", async ({ page, hub, sockets }) => {
    const id = await Person.begin(page, hub.environmentId)
    await Person.ask(page, "hello", "echo: hello")
    await page.getByRole("searchbox", { name: "Search sessions" }).fill("hello")
    await page.getByRole("link", { name: /hello/ }).first().waitFor()
    await Person.go(page, "#/approvals")
    await Person.go(page, "#/metrics")
    await Person.visit(page, id)
    expect(sockets).toEqual([`${hub.url.replace(/^http/, "ws")}/gateway`])
  })

  test("says when it is cut, counts down, and then neither lost nor repeats anything", async ({
    hub,
    another
  }) => {
    const id = await hub.api.session("Cut")
    const agent = await hub.api.worker(id)
    await agent.says(Lines.says("m1", "before the cut"))
    const wire = await Wire.make(Number(hub.port))
    try {
      const { page } = await another({ ...TALL, hub: wire.url })
      await signIn(page, { url: wire.url, token: hub.token })
      await Person.visit(page, id)
      await Person.said(page, "before the cut").waitFor()
      wire.cut()
      await page.getByText(/^reconnecting in \d+ s: /).waitFor()
      await agent.says(Lines.says("m2", "during the cut"))
      await Person.send(page, "typed during the cut")
      await page.getByText(/^delivery unknown: /).waitFor()
      wire.mend()
      await Person.said(page, "during the cut").waitFor()
      await Person.connected(page)
      await page.getByText("accepted", { exact: true }).waitFor()
      const all = ["before the cut", "during the cut", "typed during the cut"]
      expect(await Person.texts(page)).toEqual(all)
      // A page that is loaded again has nothing that it would send twice.
      await page.reload()
      await Person.said(page, "typed during the cut").waitFor()
      expect(await Person.texts(page)).toEqual(all)
    } finally {
      await wire.close()
    }
  })

  test(
    "outlives a hub that is killed in the middle of a turn",
    async ({ page, hub, tab }) => {
      await Person.begin(page, hub.environmentId)
      const other = await tab()
      await Person.ask(page, "hello", "echo: hello")
      await Person.send(page, "!slow 60 50")
      await page
        .locator(".live")
        .getByText(/word0 word1/)
        .waitFor()
      await hub.kill()
      for (const each of [page, other]) await each.getByText(/^reconnecting in \d+ s: /).waitFor()
      await Person.send(page, "typed while there was no hub")
      await page.getByText(/^delivery unknown: /).waitFor()
      await hub.restart()
      await Person.said(page, "echo: typed while there was no hub").waitFor()
      await Person.said(other, "echo: typed while there was no hub").waitFor()
      const words = `${Array.from({ length: 60 }, (_, n) => `word${n}`).join(" ")}`
      const all = [
        "hello",
        "echo: hello",
        "!slow 60 50",
        words,
        "typed while there was no hub",
        "echo: typed while there was no hub"
      ]
      for (const each of [page, other]) {
        await Person.connected(each)
        // Which of the last ones is first was decided by who came back first; both tabs know how.
        const texts = (await Person.texts(each)).map((text) => text.trim())
        expect(texts.toSorted()).toEqual(all.toSorted())
        expect(texts).toEqual((await Person.texts(page)).map((text) => text.trim()))
      }
    },
    TALL
  )

  test("changes nothing of a stop: it is still there after a reload, and in the other tab", async ({
    page,
    hub,
    tab
  }) => {
    const id = await hub.api.session("Stopped")
    const agent = await hub.api.worker(id)
    await agent.says(Lines.init)
    await Person.visit(page, id)
    const other = await tab()
    await page.getByRole("button", { name: "Stop", exact: true }).click()
    for (const each of [page, other]) await each.getByRole("button", { name: "Stopping…" }).waitFor()
    await page.reload()
    await page.getByRole("button", { name: "Stopping…" }).waitFor()
    const request = await hub.api.find(id, ({ payload }) => payload["type"] === "control_request")
    expect(request.payload["request"]).toEqual({ subtype: "interrupt" })
    await agent.says({
      type: "result",
      subtype: "error_during_execution",
      is_error: true,
      terminal_reason: "aborted_streaming"
    })
    for (const each of [page, other]) {
      await Person.said(each, "Stopped").waitFor()
      await each.getByRole("button", { name: /^Stop(ping…)?$/ }).waitFor({ state: "detached" })
    }
  })

  test("of two tabs shows the same in both", async ({ page, hub, tab }) => {
    const id = await hub.api.session("Two tabs")
    const agent = await hub.api.worker(id)
    await Person.visit(page, id)
    const other = await tab()
    await Person.connected(other)
    await Person.send(page, "from one tab")
    await Person.said(other, "from one tab").waitFor()
    await Person.send(other, "from the other")
    await agent.says(Lines.says("m1", "to both"))
    for (const each of [page, other]) {
      await Person.said(each, "to both").waitFor()
      expect(await Person.texts(each)).toEqual(["from one tab", "from the other", "to both"])
    }
  })

  test("opens its page without a hub, and says so until there is one", async ({ hub, another }) => {
    const id = await hub.api.session("Away")
    const wire = await Wire.make(Number(hub.port))
    try {
      const { page } = await another({ hub: wire.url })
      await signIn(page, { url: wire.url, token: hub.token })
      await Person.visit(page, id)
      // The shell is kept by the service worker, which a first visit installs.
      await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
      await page.reload()
      await Person.connected(page)
      wire.cut()
      await page.reload()
      await page.getByText(/^reconnecting in \d+ s: /).waitFor()
      await page.context().setOffline(true)
      await page.getByText("offline: this device has no network").waitFor()
      wire.mend()
      await page.context().setOffline(false)
      await Person.connected(page)
    } finally {
      await wire.close()
    }
  })
})
