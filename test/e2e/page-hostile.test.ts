/** What people, agents and machines may write, in a real browser: nothing of it runs, loads, leads astray or breaks the page. */
import { expect } from "@effect/vitest"
import type { Page } from "playwright-core"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

const HOSTILE = `<img src="x" onerror="window.ran=1;alert(1)"><script>window.ran=2</script> javascript:window.ran=3`
const TALL = { viewport: { width: 1280, height: 6000 } }

/** Unfolds all that is folded, so that all is drawn. */
const unfold = async (page: Page): Promise<void> => {
  const folded = page.locator("details:not([open]) > summary")
  while ((await folded.count()) > 0) await folded.first().click()
}

/** Has the page write down what its policy refuses. */
const watch = (page: Page): Promise<unknown> =>
  page.evaluate(
    `window.refused = []; document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.blockedURI)); 0`
  )

const nothingRan = async (page: Page): Promise<void> => {
  expect(await page.evaluate("window.ran")).toBe(undefined)
  expect(await page.evaluate("window.refused")).toEqual([])
  expect(
    await page.locator("#app script, #app iframe, #app object, #app embed, #app style, #app link").count()
  ).toBe(0)
}

describePage("hostile input", (test) => {
  test(
    "of people and agents is shown as the text it is",
    async ({ page, hub, shot }) => {
      const id = await hub.api.session(HOSTILE.slice(0, 150))
      const agent = await hub.api.worker(id)
      await watch(page)
      await Person.visit(page, id)
      await Person.send(page, HOSTILE)
      await agent.says(
        Lines.says("m1", HOSTILE),
        Lines.uses("t1", HOSTILE, { command: HOSTILE }),
        Lines.gives("t1", HOSTILE),
        Lines.uses("t3", "TodoWrite", {
          todos: [{ content: HOSTILE, activeForm: HOSTILE, status: "pending" }]
        }),
        Lines.uses("t4", "Edit", { file_path: HOSTILE, old_string: HOSTILE, new_string: `${HOSTILE}!` }),
        { type: HOSTILE.slice(0, 100), x: HOSTILE },
        {
          type: "assistant",
          message: { id: "m5", content: [{ type: "thinking", thinking: HOSTILE, signature: HOSTILE }] }
        },
        { ...Lines.init, model: HOSTILE.slice(0, 100), slash_commands: [HOSTILE.slice(0, 100)] },
        Lines.asks("h1", "t2", { tool_name: HOSTILE, description: HOSTILE, input: { [HOSTILE]: HOSTILE } }),
        Lines.asks("h2", "t6", {
          tool_name: "AskUserQuestion",
          input: { questions: [{ question: HOSTILE, options: [{ label: HOSTILE, description: HOSTILE }] }] }
        })
      )
      await page.getByRole("button", { name: "Allow", exact: true }).waitFor()
      await page.getByRole("button", { name: "Answer" }).waitFor()
      await unfold(page)
      expect(await page.getByText(HOSTILE, { exact: true }).count()).toBeGreaterThan(6)
      await Person.box(page).fill("/")
      await shot("hostile")
      expect(await page.locator("img").count()).toBe(0)
      await nothingRan(page)
      await Person.go(page, "#/approvals")
      await page.getByRole("button", { name: "Answer" }).waitFor()
      await Person.go(page, "#/metrics")
      await page.getByRole("heading", { name: "Cost and health" }).waitFor()
      await nothingRan(page)
    },
    TALL
  )

  test(
    "in markdown, terminal escapes, pictures and reading order leads nowhere",
    async ({ page, hub }) => {
      const id = await hub.api.session("Bidi \u202etxt.exe\u202c \u001b[31mred")
      const agent = await hub.api.worker(id)
      await watch(page)
      await Person.visit(page, id)
      const svg = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" onload="window.ran=4"/>`).toString(
        "base64"
      )
      const image = (media_type: string, data: string) => ({
        type: "image",
        source: { type: "base64", media_type, data }
      })
      await agent.says(
        Lines.says(
          "m1",
          [
            "![x](https://example.com/t.png) [run](javascript:window.ran=5) [data](data:text/html,<script>1</script>)",
            "<b>bold?</b> [good](https://example.com) <https://example.com/auto> [split](java\nscript:window.ran=6)",
            "```html\n<script>window.ran=7</script>\n```",
            `${"> ".repeat(500)}deep`,
            `${"[".repeat(2000)}x${"]".repeat(2000)}`,
            `| a | b |\n|---|---|\n| <img src=x onerror=window.ran=8> | ${"`".repeat(99)} |`
          ].join("\n\n")
        ),
        Lines.uses("t1", "Edit", { file_path: "/a\u202etxt.exe", old_string: "a", new_string: "b" }),
        Lines.gives("t1", [
          {
            type: "text",
            text: "\u001b[31mred\u001b[0m words \u001b]8;;https://example.com\u0007link\u001b]8;;\u0007"
          },
          image("image/svg+xml", svg),
          image('image/png" onerror="window.ran=9', "AAAA"),
          image("image/png", `AAAA" onerror="window.ran=10`)
        ])
      )
      // Colours are shown as colours, all else of a terminal is written out.
      const output = page.locator(".result", { hasText: "words" })
      await output.locator(".ansi.fg1").getByText("red", { exact: true }).waitFor()
      expect(await output.textContent()).toBe(
        "red words \\u001b]8;;https://example.com\\u0007link\\u001b]8;;\\u0007\n[image]\n[image]\n[image]"
      )
      await unfold(page)
      await page.locator(".diff .path").getByText("/a\\u202etxt.exe").waitFor()
      const title = await page
        .getByRole("heading", { name: /^Bidi .*txt\.exe.*red$/ })
        .first()
        .textContent()
      for (const mark of ["\u202e", "\u001b"]) expect(title).not.toContain(mark)
      await page.getByText("<b>", { exact: false }).first().waitFor()
      expect(await page.locator("img").count()).toBe(0)
      const hrefs = await Person.log(page)
        .locator("a[target]")
        .evaluateAll((all) => all.map((each) => String(each)))
      expect(hrefs).toEqual(["https://example.com/t.png", "https://example.com/", "https://example.com/auto"])
      const rel = await Person.log(page).locator("a[target]").first().getAttribute("rel")
      expect(rel).toContain("noopener")
      await nothingRan(page)
    },
    TALL
  )

  test("that is malformed or endless breaks nothing", async ({ page, hub }) => {
    const id = await hub.api.session("Malformed")
    const agent = await hub.api.worker(id)
    await Person.visit(page, id)
    let deep: unknown = "x"
    for (let n = 0; n < 60; n++) deep = [deep]
    await agent.says(
      { type: "assistant", message: null },
      { type: "assistant", message: { content: [null, 7, { type: "tool_use" }, { type: "text", text: 5 }] } },
      { type: "user", message: { content: [{ type: "tool_result", tool_use_id: 9, content: { a: deep } }] } },
      { type: "result", total_cost_usd: "many", usage: [], duration_ms: -1 },
      { type: "system", subtype: "init", slash_commands: { a: 1 }, model: 5 },
      { type: "control_request", request_id: "bad-1", request: { subtype: "can_use_tool" } },
      { type: "stream_event", event: { type: "content_block_delta", index: -5, delta: null } },
      Lines.uses("t-self", "Task", { prompt: "me" }, { parent_tool_use_id: "t-self" }),
      Lines.says("m-wide", "w".repeat(100_000)),
      Lines.says("m-end", "and it goes on")
    )
    await Person.said(page, "and it goes on").waitFor()
    expect(await page.getByText("This could not be shown.").count()).toBe(0)
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true)
  })
})
