/** The transcript in a real browser: every kind of thing that an agent shows, long logs, jumps, links and the export. */
import { readFile } from "node:fs/promises"
import { expect } from "@effect/vitest"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

const lines = (count: number) =>
  Array.from({ length: count }, (_, index) => Lines.says(`m-${index}`, `line ${index}`))

const TALL = { viewport: { width: 1280, height: 3000 } }

describePage("the transcript", (test) => {
  test("shows text as it is written, and once when it is whole", async ({ page, hub }) => {
    const id = await hub.api.session("Streams")
    const agent = await hub.api.worker(id)
    await Person.visit(page, id)
    await agent.says(Lines.init, Lines.begins("m1"), Lines.piece("Hel"))
    await page.getByText("Hel", { exact: true }).waitFor()
    await agent.says(Lines.piece("lo **you"))
    await page.getByText("Hello **you", { exact: true }).waitFor()
    await agent.says(Lines.says("m1", "Hello **you**."), Lines.result("none"))
    await Person.log(page).locator("strong", { hasText: "you" }).waitFor()
    expect(await page.getByText("Hello **you", { exact: true }).count()).toBe(0)
    expect(await page.getByText("Hello you.").count()).toBe(1)
  })

  test(
    "shows thinking folded, plans, images, subagents and tools of the real agent",
    async ({ page, hub, shot }) => {
      await Person.begin(page, hub.environmentId)

      await Person.ask(page, "!think deep in here", "thought")
      const thoughts = Person.log(page).getByText("deep in here", { exact: true })
      expect(await thoughts.count()).toBe(0)
      await Person.log(page).locator("summary", { hasText: "Thinking" }).click()
      await thoughts.waitFor()

      await Person.ask(page, "!todo dig | pour | wait", "planned: 3")
      const plan = Person.log(page).locator(".plan")
      await plan.getByText("1 of 3").waitFor()
      expect(await plan.getByRole("listitem").allTextContents()).toEqual(["dig", "pour", "wait"])
      await plan.getByLabel("in progress").waitFor()

      await Person.ask(page, "!image", "done: an image")
      await Person.log(page).locator("summary", { hasText: "pixel.png" }).click()
      const image = Person.log(page).locator("img")
      await image.waitFor()
      const decoded = `document.querySelector("[role=log] img").decode().then(() => true)`
      expect(await page.evaluate(decoded)).toBe(true)

      await Person.ask(page, "!subagent count the nails", "done: subagent")
      // What a subagent says is inside the call that started it, and not beside it.
      expect(await Person.said(page, "inside: count the nails").count()).toBe(0)
      await Person.log(page).locator("summary", { hasText: "count the nails" }).click()
      await Person.log(page).locator("summary", { hasText: "Sub-agent" }).click()
      await Person.log(page).locator(".children").getByText("inside: count the nails").waitFor()

      await Person.send(page, "!bash printf 'out\\nput'")
      await page.getByRole("button", { name: "Allow", exact: true }).click()
      await Person.log(page)
        .getByText(/^done: out/)
        .waitFor()
      const tool = Person.log(page).locator("summary", { hasText: "printf" })
      await tool.getByText(/^done in /).waitFor()
      await tool.click()
      await Person.log(page).locator(".outcome pre").getByText("out\nput").waitFor()

      await Person.send(page, "!bash echo broken; exit 3")
      await page.getByRole("button", { name: "Allow", exact: true }).click()
      await Person.log(page)
        .locator("summary", { hasText: "exit 3" })
        .getByText("failed", { exact: true })
        .waitFor()
      await shot("transcript")
    },
    TALL
  )

  test(
    "shows changes of files as differences",
    async ({ page, hub }) => {
      await Person.begin(page, hub.environmentId)
      await Person.ask(
        page,
        `!tool Edit ${JSON.stringify({ file_path: "src/span.ts", old_string: "a\nb\nc", new_string: "a\nB\nc\nd" })}`,
        "done: ok"
      )
      const diff = Person.log(page).locator(".diff")
      await diff.getByText("src/span.ts").waitFor()
      expect(await diff.locator(".count").textContent()).toBe("+2 −1")
      expect(await diff.locator(".remove .what").allTextContents()).toEqual(["b"])
      expect(await diff.locator(".add .what").allTextContents()).toEqual(["B", "d"])
    },
    TALL
  )

  test(
    "copies code to the clipboard",
    async ({ page, hub }) => {
      const id = await hub.api.session("Code")
      const agent = await hub.api.worker(id)
      await agent.says(Lines.says("m1", "```ts\nconst a: string = `<b>`\n```"))
      await Person.visit(page, id)
      await page.locator(".hljs-keyword").first().waitFor()
      await Person.log(page).getByRole("button", { name: "Copy" }).first().click()
      await Person.log(page).getByRole("status").getByText("Copied").waitFor({ state: "attached" })
      expect(await page.evaluate("navigator.clipboard.readText()")).toBe("const a: string = `<b>`")
    },
    { permissions: ["clipboard-read", "clipboard-write"] }
  )

  test("of a long session is read from its end, and leads to what matters in it", async ({ page, hub }) => {
    const id = await hub.api.session("Long")
    const agent = await hub.api.worker(id)
    await agent.says(Lines.says("m0", "the very beginning"))
    await agent.says(
      Lines.uses("t-edit", "Edit", { file_path: "/early.ts", old_string: "a", new_string: "b" }),
      Lines.gives("t-edit", "ok"),
      Lines.uses("t-bad", "Bash", { command: "make span" }),
      Lines.gives("t-bad", "no rule to make span", { is_error: true })
    )
    await agent.says(...lines(6000))
    await Person.visit(page, id)
    await Person.said(page, "line 5999").waitFor()
    // Windowed: what is out of sight is not in the document.
    expect(await Person.log(page).locator(".item").count()).toBeLessThan(80)
    const region = page.getByRole("region", { name: "Transcript" })
    // What came before is read when somebody goes there.
    const beginning = Person.said(page, "the very beginning")
    const earlier = page.getByRole("button", { name: /^Show earlier/ })
    while (!(await beginning.isVisible())) {
      await earlier.or(beginning).first().waitFor()
      await region.press("Home")
    }
    await page.getByRole("button", { name: "Latest" }).click()
    await Person.said(page, "line 5999").waitFor()
    await page.getByRole("button", { name: "Next error" }).click()
    await Person.log(page).locator("summary", { hasText: "make span" }).waitFor()
    await page.getByRole("button", { name: "Latest" }).click()
    await Person.said(page, "line 5999").waitFor()
    await page.getByRole("button", { name: "Next edit" }).click()
    await Person.log(page).locator(".diff", { hasText: "/early.ts" }).waitFor()
    await agent.says(Lines.asks("r1", "t9", { tool_name: "Bash", input: { command: "paint it" } }))
    await page.getByRole("button", { name: "Next approval" }).click()
    await page.getByRole("article", { name: "The agent wants to use Bash" }).getByText("paint it").waitFor()
  })

  test("has an address for each of its messages", async ({ page, hub, another }) => {
    const id = await hub.api.session("Linked")
    const agent = await hub.api.worker(id)
    await agent.says(...lines(1000))
    await Person.visit(page, id)
    await Person.said(page, "line 999").waitFor()
    const message = Person.log(page).locator(".item", { has: page.getByText("line 998", { exact: true }) })
    await message.hover()
    await message.getByRole("link", { name: "Link to this message" }).click()
    const seq = Number(new RegExp(`#/session/${id}/(\\d+)$`).exec(page.url())?.[1])

    const { page: other } = await another()
    await other.goto(`${hub.url}/#token=${hub.token}`)
    await other.getByRole("button", { name: "New session" }).waitFor()
    await Person.go(other, `#/session/${id}/${seq - 987}`)
    await Person.said(other, "line 11").waitFor()
    expect(await Person.said(other, "line 999").count()).toBe(0)
  })

  test("can be taken along as a file", async ({ page, hub }) => {
    const id = await Person.begin(page, hub.environmentId)
    await Person.ask(page, "keep this", "echo: keep this")
    await page.getByText("answered", { exact: true }).waitFor()
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Export the transcript" }).click()
    ])
    expect(download.suggestedFilename()).toBe(`${id}.jsonl`)
    const text = await readFile(await download.path(), "utf8")
    const kept = text
      .trim()
      .split("\n")
      .map((line) => JSON.stringify(JSON.parse(line)))
    expect(kept.filter((line) => line.includes("keep this")).length).toBe(2)
  })

  test("of a session that is not there says so, and leads back", async ({ page }) => {
    await Person.go(page, `#/session/session_${"0".repeat(32)}`)
    await page.getByText("This session is not there.", { exact: false }).waitFor()
    await page.getByRole("link", { name: "Back to the sessions" }).click()
    await page.getByText("Choose a session, or begin a new one.").waitFor()
  })
})
