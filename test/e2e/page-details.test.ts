/** Small things that people meet all the time: that they do what they say. */
import { expect } from "@effect/vitest"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }

describePage("details", (test) => {
  test("End goes to the end of a long transcript, however much of it was never drawn", async ({
    page,
    hub
  }) => {
    const id = await hub.api.session("Long")
    const agent = await hub.api.worker(id)
    await agent.says(
      ...Array.from({ length: 600 }, (_, n) =>
        Lines.says(`m${n}`, n === 599 ? "the very end" : `Line ${n}\n\n${"word ".repeat((n % 7) * 60)}`)
      )
    )
    await Person.visit(page, id)
    await Person.said(page, "the very end").waitFor()
    const transcript = page.getByRole("region", { name: "Transcript" })
    await transcript.focus()
    await page.keyboard.press("Home")
    await Person.log(page).getByText("Line 0", { exact: true }).waitFor()
    await page.keyboard.press("End")
    await Person.said(page, "the very end").waitFor()
    // It stays there while the rest is measured.
    await agent.says(Lines.says("m-more", "said after it"))
    await Person.said(page, "said after it").waitFor()
  })

  test(
    "on a phone a title has the width of the screen",
    async ({ page, hub, shot }) => {
      const name = "A rather long title of a session that waits for somebody"
      const id = await hub.api.session(name)
      const agent = await hub.api.worker(id)
      await agent.says(
        { ...Lines.init, cwd: `/home/ada/engine/.worktrees/${id.replace(/^session_/, "")}` },
        Lines.asks("r1", "t1", { tool_name: "Bash", input: { command: "ls" } })
      )
      await Person.visit(page, id)
      await page.getByRole("main").getByText("needs you").first().waitFor()
      const title = await page.getByRole("heading", { level: 1 }).boundingBox()
      expect(title?.width).toBeGreaterThan(240)
      await shot("phone-title")
    },
    PHONE
  )

  test("a session says where it works: directory, worktree and branch", async ({ page, hub, shot }) => {
    const id = await hub.api.session("Apart")
    const body = id.replace(/^session_/, "")
    await Person.visit(page, id)
    const where = page.getByRole("main").locator(".where")
    await where.getByText("/home/ada/engine", { exact: true }).waitFor()
    const agent = await hub.api.worker(id)
    await agent.says({ ...Lines.init, cwd: `/home/ada/.causeway/worktrees/${body}` })
    await where.getByText(`/home/ada/.causeway/worktrees/${body}`, { exact: true }).waitFor()
    await where.getByText(`causeway/${body}`, { exact: true }).waitFor()
    await shot("where")
  })

  test("model and permissions are both changed by Done, and all leave is asked twice", async ({
    page,
    hub,
    shot
  }) => {
    const id = await hub.api.session("Settings")
    const agent = await hub.api.worker(id)
    await agent.says({ ...Lines.init, permissionMode: "default" })
    await Person.visit(page, id)
    await page.getByRole("button", { name: "Model and permissions" }).click()
    const dialog = page.getByRole("dialog")
    const mode = dialog.getByLabel("Permissions", { exact: true })
    await mode.selectOption("bypassPermissions")
    const done = dialog.getByRole("button", { name: "Done" })
    expect(await done.isDisabled()).toBe(true)
    await dialog.getByRole("button", { name: "Cancel" }).click()
    await page.getByRole("button", { name: "Model and permissions" }).click()
    await mode.selectOption("bypassPermissions")
    await dialog.getByText(/without asking/).waitFor()
    await shot("all-leave")
    await dialog.getByRole("checkbox").check()
    await done.click()
    const requests: Array<unknown> = []
    await hub.api.find(id, ({ payload }) => {
      if (payload["type"] === "control_request") requests.push(payload["request"])
      return requests.length > 0
    })
    expect(requests).toEqual([{ subtype: "set_permission_mode", mode: "bypassPermissions" }])
  })

  test("what is allowed ahead is shown with its end, and everything is asked twice", async ({
    page,
    hub,
    shot
  }) => {
    const id = await hub.api.session("Ahead")
    await Person.visit(page, id)
    const open = () => page.getByRole("button", { name: "Allowed without asking" }).first().click()
    await open()
    const dialog = page.getByRole("dialog", { name: "Allowed without asking" })
    await dialog.getByLabel("Edits of files").check()
    await dialog.getByLabel("Everything", { exact: true }).selectOption("60")
    const done = dialog.getByRole("button", { name: "Done" })
    expect(await done.isDisabled()).toBe(true)
    await dialog.getByLabel(/I want that/).check()
    await shot("ahead")
    await done.click()
    await page.getByRole("button", { name: /^Everything allowed until / }).waitFor()
    await shot("ahead-header")
    const [row] = await hub.causeway("sessions", "show", id)
    expect(row?.["agent_settings"]).toMatchObject({
      auto_accept_edits: true,
      skip_permissions: true,
      skip_permissions_until: expect.any(Number)
    })
    await page.getByRole("button", { name: /^Everything allowed until / }).click()
    await dialog.getByLabel("Everything", { exact: true }).selectOption("off")
    await done.click()
    await page.getByRole("button", { name: "Edits allowed" }).waitFor()
  })

  test("an at sign in a fresh session says what can be named", async ({ page, hub }) => {
    await Person.visit(page, await hub.api.session("Fresh"))
    await Person.box(page).fill("look at @")
    await page.getByText(/^No files are known here yet/).waitFor()
  })
})
