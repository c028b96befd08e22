/** That everybody can use the page: by keyboard alone, on a phone, in dark and light, and as axe sees it (WCAG 2.2 AA). */
import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { expect } from "@effect/vitest"
import type { Page } from "playwright-core"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

const axe = readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** What axe finds against WCAG 2.2 AA. */
const violations = async (page: Page): Promise<unknown> => {
  // The page's policy lets nothing in; the debugger's door is not the page's.
  await page.evaluate(`${await axe};0`)
  return page.evaluate(
    `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] })
      .then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))`
  )
}

const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true }

/** Presses Tab until the element that has the focus satisfies a CSS selector. */
const tabTo = async (page: Page, selector: string, key = "Tab"): Promise<void> => {
  for (let n = 0; n < 200; n++) {
    await page.keyboard.press(key)
    if (await page.evaluate(`document.activeElement?.matches(${JSON.stringify(selector)}) === true`)) return
  }
  throw new Error(`no way by ${key} to ${selector}`)
}

describePage("access", (test) => {
  for (const colorScheme of ["light", "dark"] as const) {
    test(
      `axe finds nothing, ${colorScheme}`,
      async ({ page, hub, shot, another }) => {
        const clean = async (name: string) => {
          await shot(`${name}-${colorScheme}`)
          expect([name, await violations(page)]).toEqual([name, []])
        }
        const id = await hub.api.session(`Everything, ${colorScheme}`)
        const agent = await hub.api.worker(id)
        await clean("list")
        await Person.visit(page, id)
        await agent.says(
          Lines.init,
          Lines.says(
            "m1",
            '# Title\n\nSome `code`, a [link](https://example.com) and a list:\n\n- one\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```ts\nconst a: string = "x" // note\n```'
          ),
          Lines.uses("t1", "Edit", { file_path: "/a", old_string: "a", new_string: "b" }),
          Lines.gives("t1", "no such file", { is_error: true }),
          Lines.uses("t5", "TodoWrite", {
            todos: [
              { content: "one", activeForm: "one", status: "completed" },
              { content: "two", activeForm: "two", status: "in_progress" },
              { content: "three", activeForm: "three", status: "pending" }
            ]
          }),
          { type: "assistant", message: { id: "m2", content: [{ type: "thinking", thinking: "hm" }] } },
          Lines.says("m3", "full", {
            message: {
              id: "m3",
              role: "assistant",
              content: [{ type: "text", text: "full" }],
              usage: { input_tokens: 190_000, output_tokens: 5 }
            }
          }),
          Lines.asks("r1", "t2", {
            tool_name: "Bash",
            input: { command: "ls" },
            permission_suggestions: [{}]
          }),
          Lines.asks("r2", "t3", {
            tool_name: "AskUserQuestion",
            input: {
              questions: [
                { question: "Which?", options: [{ label: "Red", description: "warm" }, { label: "Blue" }] }
              ]
            }
          })
        )
        await page.getByRole("button", { name: "Answer" }).waitFor()
        await page.locator(".hljs-keyword").first().waitFor()
        await clean("session")
        await Person.send(page, "and a message")
        await page.getByText("accepted", { exact: true }).waitFor()
        await clean("message")
        await page.getByRole("button", { name: "New session" }).click()
        await clean("new-session")
        await page.keyboard.press("Escape")
        await page.getByRole("button", { name: "Model and permissions" }).click()
        await clean("settings")
        await page.keyboard.press("Escape")
        for (const name of ["Allowed without asking", "Go on from here", "Files read", "Stop all"]) {
          await page.getByRole("button", { name }).first().click()
          await page.getByRole("dialog").waitFor()
          await clean(name.toLowerCase().replaceAll(" ", "-"))
          await page.keyboard.press("Escape")
        }
        await Person.go(page, "#/metrics")
        await page.getByRole("heading", { name: "Cost and health" }).waitFor()
        await clean("metrics")
        await Person.go(page, "#/approvals")
        await page.getByRole("heading", { name: "Approvals" }).waitFor()
        await page.getByRole("button", { name: "Answer" }).first().waitFor()
        await clean("approvals")
        await Person.go(page, "#/devices")
        await page.getByRole("heading", { name: "Devices" }).first().waitFor()
        await clean("devices")
        const { page: stranger } = await another({ colorScheme })
        await stranger.goto(hub.url)
        await stranger.getByLabel("Access token").waitFor()
        expect(await violations(stranger)).toEqual([])
      },
      { colorScheme, viewport: { width: 1280, height: 1600 } }
    )
  }

  test("is given by keyboard alone: begin, write, allow, read, go back", async ({ page, hub }) => {
    await tabTo(page, "button.primary")
    await page.keyboard.press("Enter")
    await page.getByRole("dialog", { name: "New session" }).waitFor()
    // The dialog keeps the focus, and Escape gives it back.
    await page.keyboard.press("Escape")
    await page.locator("dialog").waitFor({ state: "detached" })
    await page.keyboard.press("Enter")
    const place = page.getByLabel("Machine and directory")
    await place.focus()
    await place.selectOption(hub.environmentId)
    await page.keyboard.press("Enter")
    if ((await page.getByRole("dialog", { name: "New session" }).count()) > 0) {
      await tabTo(page, "dialog button[type=submit]")
      await page.keyboard.press("Enter")
    }
    await page.waitForURL(/#\/session\//)
    await Person.connected(page)
    await tabTo(page, "textarea")
    await page.keyboard.type("!bash echo by hand")
    await page.keyboard.press("Enter")
    await page.getByRole("button", { name: "Allow", exact: true }).waitFor()
    await tabTo(page, ".card button.primary", "Shift+Tab")
    await page.keyboard.press("Enter")
    await Person.said(page, "done: by hand").waitFor()
    await tabTo(page, "summary", "Shift+Tab")
    await page.keyboard.press("Enter")
    await Person.log(page).locator(".outcome").getByText("by hand").waitFor()
  })

  test(
    "is given on a phone: nothing is wider than the screen, and all can be reached",
    async ({ page, hub, shot }) => {
      const fits = async () => expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360)
      await page.getByText("/home/ada/engine").first().waitFor()
      await fits()
      await shot("phone-list")
      await page.getByRole("button", { name: "New session" }).tap()
      await fits()
      await page.getByLabel("Machine and directory").selectOption(hub.api.environmentId)
      await page.getByRole("button", { name: "Start session" }).tap()
      await page.waitForURL(/#\/session\//)
      const id = /#\/session\/(.+)$/.exec(page.url())?.[1] ?? ""
      await Person.send(page, `${"a long unbroken word ".repeat(3)}${"w".repeat(200)}`)
      await page.getByText("accepted", { exact: true }).waitFor()
      const agent = await hub.api.worker(id)
      await agent.says(
        Lines.says(
          "m1",
          `${"y".repeat(300)}\n\n\`\`\`\n${"c".repeat(300)}\n\`\`\`\n\n| ${"a |".repeat(30)}\n|${"-|".repeat(30)}`
        ),
        Lines.uses("t0", "Edit", {
          file_path: "f".repeat(200),
          old_string: "o".repeat(300),
          new_string: "n"
        }),
        Lines.asks("r1", "t1", { tool_name: "Bash", input: { command: "z".repeat(300) } })
      )
      const allow = page.getByRole("button", { name: "Allow", exact: true })
      await allow.waitFor()
      await fits()
      await shot("phone-session")
      await allow.tap()
      await allow.waitFor({ state: "detached" })
      await page.getByRole("link", { name: /Sessions/ }).tap()
      await page.getByRole("link", { name: /a long unbroken word/ }).waitFor()
      await fits()
      for (const [fragment, heading] of [
        ["#/metrics", "Cost and health"],
        ["#/approvals", "Approvals"]
      ] as const) {
        await Person.go(page, fragment)
        await page.getByRole("heading", { name: heading }).waitFor()
        await fits()
        await shot(`phone-${heading.toLowerCase().replaceAll(" ", "-")}`)
      }
    },
    PHONE
  )
})
