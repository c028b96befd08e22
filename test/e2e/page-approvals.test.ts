/** Approvals in a real browser: what will be done, every way to answer, and that the first answer wins where all can see it. */
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { expect } from "@effect/vitest"
import type * as Api from "./support/Api.ts"
import { describePage, signIn } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"
import * as Wire from "./support/Wire.ts"

const answers = (requestId: string) => (event: Api.LogEvent) =>
  event.source === "client" && JSON.stringify(event.payload).includes(`"request_id":"${requestId}"`)

describePage("approvals", (test) => {
  test(
    "are allowed, denied with words, and allowed for good, and the agent does so",
    async ({ page, hub }) => {
      await Person.begin(page, hub.environmentId)
      await Person.send(page, "!write kept.txt by a person's leave")
      const write = page.getByRole("article", { name: "The agent wants to use Write" })
      await write.locator(".diff").getByText("by a person's leave").waitFor()
      await write.getByRole("button", { name: "Allow", exact: true }).click()
      await Person.log(page)
        .getByText(/^done: wrote /)
        .waitFor()
      expect(await readFile(join(hub.directory, "kept.txt"), "utf8")).toBe("by a person's leave")

      await Person.send(page, "!bash echo no")
      await page.getByLabel("Words for the agent when you deny").fill("not now")
      await page.getByRole("button", { name: "Deny" }).click()
      await Person.said(page, "denied: not now").waitFor()

      await Person.send(page, "!bash echo yes")
      await page.getByRole("button", { name: "Always allow" }).click()
      await Person.said(page, "done: yes").waitFor()
      // From now on nobody is asked.
      await Person.ask(page, "!bash echo again", "done: again")

      await Person.send(page, "!ask Which? | Red | Blue")
      await page.getByRole("button", { name: "Answer" }).click()
      await page.getByText("Choose an answer to each question.").waitFor()
      await page.getByRole("radio", { name: "Blue" }).check()
      await page.getByRole("button", { name: "Answer" }).click()
      await Person.said(page, "chosen: Blue").waitFor()
    },
    { viewport: { width: 1280, height: 2000 } }
  )

  test("show what an overwrite destroys, and which file is new", async ({ page, hub, shot }) => {
    await writeFile(join(hub.directory, "old.txt"), "one\ntwo\nthree\n")
    await writeFile(join(hub.directory, "picture.bin"), Buffer.from([1, 0, 2]))
    await Person.begin(page, hub.environmentId)
    const card = page.getByRole("article", { name: "The agent wants to use Write" })
    const deny = async () => {
      await card.getByRole("button", { name: "Deny" }).click()
      await card.waitFor({ state: "detached" })
    }
    await Person.send(page, "!write old.txt changed")
    await card.locator(".remove").getByText("two").waitFor()
    expect(await card.locator(".count").textContent()).toBe("+1 −3")
    await shot("overwrite")
    // As it stood in the file when it was asked, also in the inbox.
    await page.getByRole("link", { name: /Approvals/ }).click()
    const inbox = page.getByRole("listitem").filter({ has: card })
    await inbox.locator(".remove").getByText("three").waitFor()
    expect(await inbox.locator(".count").textContent()).toBe("+1 −3")
    await page.goBack()
    await deny()
    expect(await readFile(join(hub.directory, "old.txt"), "utf8")).toBe("one\ntwo\nthree\n")

    await Person.send(page, "!write new.txt first")
    await card.getByText("a new file").waitFor()
    expect(await card.locator(".count").textContent()).toBe("+1 −0")
    await deny()

    await Person.send(page, "!write picture.bin text")
    await card.getByText("the file holds no text: what is overwritten cannot be shown").waitFor()
    expect(await card.locator(".count").textContent()).toBe("+1 −?")
    await deny()
  })

  test("carry all that was asked back to the agent, however long", async ({ page, hub }) => {
    const id = await hub.api.session("Long request")
    const agent = await hub.api.worker(id)
    const content = "x".repeat(9000)
    await agent.says(
      Lines.asks("long-1", "t1", {
        tool_name: "Write",
        display_name: "Write",
        input: { file_path: "/a", content },
        permission_suggestions: [{ type: "addRules", rules: [{ toolName: "Write" }] }]
      }),
      Lines.asks("long-2", "t2", { tool_name: "Bash", input: { command: "rm -rf build" } })
    )
    await Person.visit(page, id)
    await page.getByText("needs you").first().waitFor()
    const write = page.getByRole("article", { name: "The agent wants to use Write" })
    const bash = page.getByRole("article", { name: "The agent wants to use Bash" })
    await bash.getByRole("textbox").fill("not that folder")
    await write.getByRole("button", { name: "Always allow" }).click()
    await write.waitFor({ state: "detached" })
    // What was typed into the other card is still there.
    await bash.getByRole("button", { name: "Deny" }).click()
    await bash.waitFor({ state: "detached" })
    expect((await hub.api.find(id, answers("long-1"))).payload["response"]).toMatchObject({
      response: {
        behavior: "allow",
        updatedInput: { file_path: "/a", content },
        updatedPermissions: [{ type: "addRules" }]
      }
    })
    expect((await hub.api.find(id, answers("long-2"))).payload["response"]).toMatchObject({
      response: { behavior: "deny", message: "not that folder" }
    })
  })

  test("of every session stand in one place, and are answered there by keyboard", async ({
    page,
    hub,
    shot
  }) => {
    const [one, two] = [await hub.api.session("First asks"), await hub.api.session("Second asks")]
    const content = "y".repeat(9000)
    await (await hub.api.worker(one)).says(
      Lines.asks("in-1", "t1", { tool_name: "Write", input: { file_path: "/a", content } })
    )
    await (await hub.api.worker(two)).says(
      Lines.asks("in-2", "t2", { tool_name: "Bash", input: { command: "make clean" } })
    )
    await page.getByRole("link", { name: /Approvals/ }).click()
    const entry = (title: string) => page.getByRole("listitem").filter({ hasText: title })
    const write = entry("First asks").getByRole("article", { name: "The agent wants to use Write" })
    const bash = entry("Second asks").getByRole("article", { name: "The agent wants to use Bash" })
    await bash.getByText("make clean").waitFor()
    await shot("inbox")
    // What the list had cut is here whole before it can be allowed.
    await write.locator("button:enabled", { hasText: "Allow" }).first().waitFor()
    await write.focus()
    await page.keyboard.press("KeyY")
    await write.waitFor({ state: "detached" })
    await bash.getByRole("textbox").fill("keep it")
    await bash.focus()
    await page.keyboard.press("KeyN")
    await bash.waitFor({ state: "detached" })
    expect((await hub.api.find(one, answers("in-1"))).payload["response"]).toMatchObject({
      response: { behavior: "allow", updatedInput: { file_path: "/a", content } }
    })
    expect((await hub.api.find(two, answers("in-2"))).payload["response"]).toMatchObject({
      response: { behavior: "deny", message: "keep it" }
    })
    await page.getByText("Nobody waits for you.").waitFor()
  })

  test("are settled by the first answer, in every tab and for every person", async ({
    page,
    hub,
    tab,
    another
  }) => {
    const id = await hub.api.session("Race")
    const agent = await hub.api.worker(id)
    await Person.visit(page, id)
    const second = await tab()
    await Person.connected(second)
    const { page: third } = await another()
    await third.goto(`${hub.url}/#token=${hub.token}`)
    await third.getByRole("button", { name: "New session" }).waitFor()
    await third.getByRole("link", { name: /Approvals/ }).click()
    await agent.says(Lines.asks("race-1", "t1", { tool_name: "Bash", input: { command: "ls" } }))
    const card = (of: typeof page) => of.getByRole("article", { name: "The agent wants to use Bash" })
    for (const each of [page, second, third]) await card(each).waitFor()
    // Both at once: one of them is first, and the other one is told, or finds nothing to press any more.
    const press = (button: ReturnType<typeof page.getByRole>) =>
      button.click({ timeout: 5000 }).then(
        () => true,
        () => false
      )
    const pressed = await Promise.all([
      press(page.getByRole("button", { name: "Allow", exact: true })),
      press(second.getByRole("button", { name: "Deny" }))
    ])
    expect(pressed).toContain(true)
    for (const each of [page, second, third]) await card(each).waitFor({ state: "detached" })
    const given: Array<string> = []
    await agent.says(Lines.says("m-end", "the end"))
    await hub.api.find(id, (event) => {
      if (answers("race-1")(event)) given.push(event.uuid)
      return JSON.stringify(event.payload).includes("the end")
    })
    expect(given.length).toBe(1)
  })

  test("that somebody else has answered meanwhile are not answered twice", async ({ hub, another }) => {
    const id = await hub.api.session("Second comes late")
    const agent = await hub.api.worker(id)
    await agent.says(
      Lines.uses("t1", "Bash", { command: "ls" }),
      Lines.asks("late-1", "t1", { tool_name: "Bash", input: { command: "ls" } })
    )
    const wire = await Wire.make(Number(hub.port))
    try {
      const { page } = await another({ hub: wire.url })
      await signIn(page, { url: wire.url, token: hub.token })
      await Person.visit(page, id)
      const deny = page.getByRole("button", { name: "Deny" })
      await deny.waitFor()
      wire.cut()
      await page.getByText(/^reconnecting in \d+ s: /).waitFor()
      await hub.causeway("approve", id)
      await deny.click()
      wire.mend()
      await deny.waitFor({ state: "detached" })
      await Person.log(page)
        .getByText(/^(allowed|running)$/)
        .waitFor()
      const given: Array<unknown> = []
      await agent.says(Lines.says("m-end", "the end"))
      await hub.api.find(id, (event) => {
        if (answers("late-1")(event)) given.push(event.payload["response"])
        return JSON.stringify(event.payload).includes("the end")
      })
      expect(given).toMatchObject([{ response: { behavior: "allow" } }])
    } finally {
      await wire.close()
    }
  })

  test("that the agent withdraws go away", async ({ page, hub }) => {
    const id = await hub.api.session("Withdrawn")
    const agent = await hub.api.worker(id)
    await agent.says(
      Lines.uses("t1", "Bash", { command: "ls" }),
      Lines.asks("gone-1", "t1", { tool_name: "Bash", input: { command: "ls" } })
    )
    await Person.visit(page, id)
    const card = page.getByRole("article", { name: "The agent wants to use Bash" })
    await card.waitFor()
    await agent.says({ type: "control_cancel_request", request_id: "gone-1" })
    await card.waitFor({ state: "detached" })
    await Person.log(page).getByText("question withdrawn").waitFor()
  })
})
