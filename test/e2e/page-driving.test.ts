/** Driving an agent from a real browser: the composer, what is sent with words, steering, stopping, and what became of it. */
import { expect } from "@effect/vitest"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"
import * as Wire from "./support/Wire.ts"

const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

describePage("driving", (test) => {
  test("shows a message on its whole way", async ({ page, hub }) => {
    const id = await hub.api.session("Delivered")
    await Person.visit(page, id)
    await Person.send(page, "hello there")
    await page.getByText("accepted", { exact: true }).waitFor()
    const prompt = await hub.api.find(id, ({ payload }) => payload["type"] === "user")
    const agent = await hub.api.worker(id)
    await agent.delivers(prompt.uuid, "received")
    await page.getByText("on the host", { exact: true }).waitFor()
    await agent.says(Lines.init)
    await agent.delivers(prompt.uuid, "processing")
    await page.getByText("taken by the agent", { exact: true }).waitFor()
    await page.getByText("working").first().waitFor()
    await agent.says(Lines.says("m1", "Hello back."), Lines.result(prompt.uuid))
    await Person.said(page, "Hello back.").waitFor()
    await agent.delivers(prompt.uuid, "processed")
    await page.getByText("answered", { exact: true }).waitFor()
    expect(await Person.said(page, "hello there").count()).toBe(1)
  })

  test("says so when it does not know, and sends again without saying it twice", async ({
    page,
    hub,
    another
  }) => {
    const id = await hub.api.session("Unknown")
    const wire = await Wire.make(Number(hub.port))
    try {
      const { page: far } = await another({ hub: wire.url })
      await far.goto(`${wire.url}/#token=${hub.token}`)
      await far.getByRole("button", { name: "New session" }).waitFor()
      await Person.visit(far, id)
      wire.cut()
      await far.getByText(/^reconnecting in \d+ s: /).waitFor()
      await Person.send(far, "did it arrive?")
      await far.getByText(/^delivery unknown: /).waitFor()
      const again = far.getByRole("button", { name: "Send again" })
      await again.click()
      wire.mend()
      await far.getByText("accepted", { exact: true }).waitFor()
      await Person.visit(page, id)
      await Person.said(page, "did it arrive?").waitFor()
      expect(await Person.said(page, "did it arrive?").count()).toBe(1)
      expect(await Person.said(far, "did it arrive?").count()).toBe(1)
    } finally {
      await wire.close()
    }
  })

  test("keeps what was typed and not sent, over a reload, session by session", async ({ page, hub }) => {
    const one = await hub.api.session("One")
    const two = await hub.api.session("Two")
    await Person.visit(page, one)
    await Person.box(page).fill("not sent yet")
    await Person.visit(page, two)
    await page.getByRole("heading", { name: "Two" }).waitFor()
    expect(await Person.box(page).inputValue()).toBe("")
    await Person.visit(page, one)
    await page.getByRole("heading", { name: "One" }).waitFor()
    expect(await Person.box(page).inputValue()).toBe("not sent yet")
    await page.reload()
    await Person.connected(page)
    expect(await Person.box(page).inputValue()).toBe("not sent yet")
    await Person.box(page).press("Enter")
    await page.getByText("accepted", { exact: true }).waitFor()
    await page.reload()
    await Person.connected(page)
    expect(await Person.box(page).inputValue()).toBe("")
  })

  test("offers what was said before, the agent's commands and the files it touched", async ({
    page,
    hub
  }) => {
    await Person.begin(page, hub.environmentId)
    await Person.ask(page, "!say first", "first")
    await Person.ask(
      page,
      '!tool Edit {"file_path":"src/deck.ts","old_string":"a","new_string":"b"}',
      "done: ok"
    )
    const box = Person.box(page)

    await box.press("ArrowUp")
    expect(await box.inputValue()).toContain("!tool Edit")
    await box.press("ArrowUp")
    expect(await box.inputValue()).toBe("!say first")
    await box.press("ArrowDown")
    await box.press("ArrowDown")
    expect(await box.inputValue()).toBe("")

    await box.pressSequentially("/th")
    await page.getByRole("listbox", { name: "Commands" }).getByRole("option", { name: "/think" }).waitFor()
    await box.press("Enter")
    expect(await box.inputValue()).toBe("/think ")
    await box.pressSequentially("as a command")
    await box.press("Enter")
    await Person.said(page, "thought").waitFor()

    await box.pressSequentially("look at @deck")
    await page.getByRole("listbox", { name: "Files" }).getByRole("option", { name: "@src/deck.ts" }).click()
    expect(await box.inputValue()).toBe("look at @src/deck.ts ")
    await box.press("Enter")
    await Person.said(page, "echo: look at @src/deck.ts").waitFor()

    // A line more, not a message.
    await box.pressSequentially("two")
    await box.press("Shift+Enter")
    await box.pressSequentially("lines")
    await box.press("Enter")
    await Person.log(page).getByText("echo: two lines").waitFor()
  })

  test("sends images and files along", async ({ page, hub, shot }) => {
    const id = await Person.begin(page, hub.environmentId)
    const files = page.getByLabel("Files to attach")
    await files.setInputFiles([
      { name: "pixel.png", mimeType: "image/png", buffer: Buffer.from(PIXEL, "base64") },
      { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("bolts: 12") },
      { name: "extra.txt", mimeType: "text/plain", buffer: Buffer.from("not wanted") }
    ])
    const attached = page.getByRole("list", { name: "Attachments" })
    await attached.getByRole("button", { name: "Remove extra.txt" }).click()
    await attached.getByText("extra.txt").waitFor({ state: "detached" })
    expect((await attached.getByRole("listitem").allTextContents()).map((each) => each.trim())).toEqual([
      expect.stringMatching(/^pixel\.png/),
      expect.stringMatching(/^notes\.txt/)
    ])
    await shot("attachments")
    await Person.send(page, "what are these?")
    await Person.log(page)
      .getByText(/^echo: /)
      .waitFor()
    await Person.log(page).locator("img").waitFor()
    const prompt = await hub.api.find(id, ({ payload }) => payload["type"] === "user")
    expect(prompt.payload["message"]).toMatchObject({
      content: [
        { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } },
        { type: "document", title: "notes.txt", source: { type: "text", data: "bolts: 12" } },
        { type: "text", text: "what are these?" }
      ]
    })
    expect(JSON.stringify(prompt.payload)).not.toContain("not wanted")
    await files.setInputFiles({
      name: "a.bin",
      mimeType: "application/x-bin",
      buffer: Buffer.from([1, 0, 2])
    })
    await page.getByText("a.bin is neither text, PDF nor an image").waitFor()
    await files.setInputFiles({
      name: "big.txt",
      mimeType: "text/plain",
      buffer: Buffer.alloc(3_100_000, "x")
    })
    await page.getByText(/big.txt has .*; a message takes at most /).waitFor()
  })

  test(
    "queues while the agent works, steers it and stops it",
    async ({ page, hub }) => {
      await Person.begin(page, hub.environmentId)
      const live = page.locator(".live")
      const stop = page.getByRole("button", { name: "Stop", exact: true })

      await Person.send(page, "!slow 400 20")
      await live.getByText(/word0 word1/).waitFor()
      await Person.box(page).fill("after that")
      await page.getByRole("button", { name: "Queue" }).click()
      await Person.said(page, "after that").waitFor()
      expect(await Person.said(page, "echo: after that").count()).toBe(0)
      await stop.click()
      await Person.said(page, "Stopped").waitFor()
      await Person.said(page, "echo: after that").waitFor()

      await Person.send(page, "!hang")
      await stop.waitFor()
      await Person.box(page).fill("this instead")
      await page.getByRole("button", { name: "Steer" }).click()
      await Person.said(page, "echo: this instead").waitFor()
      await stop.waitFor({ state: "detached" })
      expect(await Person.said(page, "Stopped").count()).toBe(2)

      await Person.send(page, "!hang")
      await stop.waitFor()
      await Person.box(page).press("Escape")
      await stop.waitFor({ state: "detached" })
      await Person.said(page, "Stopped").nth(2).waitFor()
    },
    { viewport: { width: 1280, height: 2000 } }
  )

  test("changes model and mode, and shows them once the agent has confirmed", async ({ page, hub }) => {
    const id = await Person.begin(page, hub.environmentId)
    await Person.ask(page, "hello", "echo: hello")
    const settings = page.getByRole("button", { name: "Model and permissions" })
    await settings.click()
    const mode = page.getByRole("dialog").getByLabel("Permissions", { exact: true })
    await mode.selectOption("acceptEdits")
    await page.getByLabel("Model", { exact: true }).fill("scripted-7")
    await page.getByRole("button", { name: "Done" }).click()
    await Person.send(page, "!write made.txt with leave given before")
    await Person.log(page)
      .getByText(/^done: wrote /)
      .waitFor()
    await page.getByText("scripted-7", { exact: true }).first().waitFor()
    await hub.api.find(
      id,
      ({ payload }) => payload["subtype"] === "init" && payload["model"] === "scripted-7"
    )
    await settings.click()
    expect(await mode.inputValue()).toBe("acceptEdits")
  })

  test(
    "takes a queued message back, which then never runs",
    async ({ page, hub }) => {
      await Person.begin(page, hub.environmentId)
      await Person.ask(page, "hello", "echo: hello")
      // A turn that ends when it is allowed to: until then the next ones wait.
      await Person.send(page, "!bash echo allowed")
      const bash = page.getByRole("article", { name: "The agent wants to use Bash" })
      await bash.waitFor()
      await Person.send(page, "not this one")
      await Person.send(page, "but this one")
      const queued = page.getByRole("log").locator(".message").filter({ hasText: "not this one" })
      await queued.getByRole("button", { name: "Withdraw" }).click()
      await queued.getByText("withdrawn", { exact: true }).waitFor()
      await bash.getByRole("button", { name: "Allow", exact: true }).click()
      await Person.said(page, "done: allowed").waitFor()
      await Person.said(page, "echo: but this one").waitFor()
      expect(await Person.said(page, "echo: not this one").count()).toBe(0)
    },
    { viewport: { width: 1280, height: 2000 } }
  )
})
