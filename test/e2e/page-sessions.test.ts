/** Sessions in a real browser: the list, live; search, pins, the archive, machines that are away, and beginning one. */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { expect } from "@effect/vitest"
import * as Api from "./support/Api.ts"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

describePage("sessions", (test) => {
  test("stand under their machine, and say what they do as they do it", async ({ page, hub, shot }) => {
    const { api } = hub
    await page.getByText("/home/ada/engine").first().waitFor()
    await page.getByText(hub.directory).first().waitFor()
    const id = await api.session("Mend the bridge")
    const row = page.getByRole("link", { name: /Mend the bridge/ })
    await row.getByText("waiting for a host").waitFor()
    const agent = await api.worker(id)
    await agent.says(Lines.init)
    await row.getByText("working").waitFor()
    await agent.says(Lines.asks("r1", "t1", { tool_name: "Bash", input: { command: "ls" } }))
    await row.getByText("needs you").waitFor()
    await page
      .getByRole("link", { name: /Approvals/ })
      .getByText("1", { exact: true })
      .waitFor()
    await shot("sessions")
    await agent.says({ type: "control_cancel_request", request_id: "r1" }, Lines.result("none"))
    await row.getByText("ready").waitFor()
  })

  test("begin where a person wants, with the model and the mode they chose", async ({ page, hub, shot }) => {
    const id = await Person.begin(page, hub.environmentId, async (dialog) => {
      await dialog.getByLabel("Title (optional)").fill("A session of my own")
      await dialog.getByLabel("Model (optional)").fill("scripted-9")
      await dialog.getByLabel("Permissions").selectOption("acceptEdits")
      await shot("new-session")
    })
    await page.getByRole("heading", { name: "A session of my own" }).waitFor()
    await Person.ask(page, "hello", "echo: hello")
    await page.getByText("scripted-9", { exact: true }).first().waitFor()
    // The mode is in force: a change of a file is not asked for.
    await Person.send(page, "!write made.txt without asking")
    await Person.log(page)
      .getByText(/^done: wrote /)
      .waitFor()
    const init = await hub.api.find(id, ({ payload }) => payload["subtype"] === "init")
    expect(init.payload).toMatchObject({ model: "scripted-9", permissionMode: "acceptEdits" })
  })

  test("go on in a new one, show what their agent read, and are all stopped at once", async ({
    page,
    hub,
    shot
  }) => {
    await writeFile(join(hub.directory, "read.txt"), "the sea is blue\n")
    await Person.begin(page, hub.environmentId, (dialog) =>
      dialog.getByLabel("Title (optional)").fill("The first of two")
    )
    await Person.ask(page, "the first word", "echo: the first word")
    await Person.send(page, "!read read.txt")
    await Person.log(page)
      .getByText(/^done: /)
      .waitFor()
    await page.getByRole("button", { name: "Files read" }).click()
    const files = page.getByRole("dialog", { name: "Files read" })
    await files.getByText("read.txt").click()
    await files.getByText("the sea is blue").waitFor()
    await shot("files-read")
    await files.getByRole("button", { name: "Close" }).click()

    await page.getByRole("button", { name: "Go on from here" }).click()
    const dialog = page.getByRole("dialog", { name: "Continue in a new session" })
    await dialog.getByLabel("Message").fill("!recall")
    await dialog.getByLabel("Title (optional)").fill("The second of two")
    await shot("continue")
    await dialog.getByRole("button", { name: "Continue" }).click()
    await page.getByRole("heading", { name: "The second of two" }).waitFor()
    await Person.log(page)
      .getByText(/^recalls: the first word/)
      .waitFor()
    const header = page.getByRole("main").locator("header")
    await header.getByText(/^continued from/).waitFor()
    await shot("continued")
    await header.getByRole("link", { name: "The first of two" }).click()
    await header.getByText(/^continued in/).waitFor()

    await Person.send(page, "!hang")
    await page.getByRole("button", { name: "Stop all" }).click()
    const stop = page.getByRole("dialog", { name: "Stop all sessions?" })
    await shot("stop-all")
    await stop.getByRole("button", { name: "Stop all" }).click()
    await stop.waitFor({ state: "detached" })
    await page.getByRole("button", { name: "Stop all" }).waitFor({ state: "detached" })
  })

  test("are renamed, everywhere at once", async ({ page, hub, tab }) => {
    const id = await hub.api.session("Before")
    await Person.visit(page, id)
    const other = await tab()
    await page.getByRole("button", { name: "Rename" }).click()
    await page.getByRole("dialog").getByLabel("Title").fill("After")
    await page.getByRole("button", { name: "Save" }).click()
    for (const each of [page, other]) {
      await each.getByRole("heading", { name: "After" }).waitFor()
      await each.getByRole("link", { name: /After/ }).waitFor()
    }
  })

  test("that are pinned stay on top, and stay pinned over a reload", async ({ page, hub }) => {
    const id = await hub.api.session("Keep this one")
    await Person.visit(page, id)
    await page.getByRole("button", { name: "Pin" }).click()
    const pinned = page.locator("section", { has: page.getByRole("heading", { name: "Pinned" }) })
    await pinned.getByRole("link", { name: /Keep this one/ }).waitFor()
    await page.reload()
    await pinned.getByRole("link", { name: /Keep this one/ }).waitFor()
    await page.getByRole("button", { name: /^(Unpin|Pin)$/ }).click()
    await pinned.waitFor({ state: "detached" })
    await page.getByRole("link", { name: /Keep this one/ }).waitFor()
  })

  test("that are archived leave the list, can be read, and take no more", async ({ page, hub, shot }) => {
    const id = await hub.api.session("Done with this")
    const agent = await hub.api.worker(id)
    await agent.says(Lines.says("m1", "the last words"))
    await Person.visit(page, id)
    await page.getByRole("toolbar", { name: "Session" }).getByRole("button", { name: "Archive" }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Archive" }).click()
    await Person.box(page).waitFor({ state: "detached" })
    await Person.said(page, "the last words").waitFor()
    const row = page.getByRole("link", { name: /Done with this/ })
    await row.waitFor({ state: "detached" })
    await page.getByRole("button", { name: "Archived sessions" }).click()
    await row.getByText("archived").waitFor()
    await shot("archived")
    await row.click()
    await Person.said(page, "the last words").waitFor()
  })

  test("are found by their titles and by words of their transcripts", async ({ page, hub, shot }) => {
    const id = await hub.api.session("Haystack")
    const agent = await hub.api.worker(id)
    await agent.says(Lines.says("m0", "the needle of this log"))
    await agent.says(...Array.from({ length: 400 }, (_, n) => Lines.says(`m${n + 1}`, `straw ${n}`)))
    const search = page.getByRole("searchbox", { name: "Search sessions" })
    await search.fill("haystac")
    await page
      .getByRole("link", { name: /Haystack/ })
      .first()
      .waitFor()
    await search.fill("needle")
    await page.getByRole("link", { name: /needle/ }).click()
    await Person.said(page, "the needle of this log").waitFor()
    await shot("search")
    await search.fill("nowhere to be found")
    await page.getByText("Nothing found.").waitFor()
    await search.fill("")
    await page
      .getByRole("link", { name: /Haystack/ })
      .first()
      .waitFor()
  })

  test("of a machine that is away stand under it, with when it was last seen", async ({
    page,
    hub,
    shot
  }) => {
    const away = await Api.make({ ...hub, directory: "/home/ada/attic" })
    await away.session("Left behind")
    const machine = page.locator("section", { has: page.getByRole("heading", { name: /attic/ }) })
    await machine.getByText("online").waitFor()
    hub.change(
      "UPDATE environments SET last_seen_at = last_seen_at - 7200000 WHERE id = ?",
      away.environmentId
    )
    await machine.getByText(/offline · last seen 2 h ago/).waitFor()
    await machine.getByRole("link", { name: /Left behind/ }).waitFor()
    await page.getByRole("button", { name: "New session" }).click()
    const offline = page.locator("optgroup", { hasText: "attic" })
    expect(await offline.getAttribute("label")).toBe("Offline (it waits until they are back)")
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click()
    await shot("offline-machine")
    await away.poll()
    await machine.getByText("online").waitFor()
  })
})
