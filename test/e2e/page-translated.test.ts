/** The page under a browser's translation, which puts elements of its own in the place of every text, again and again. */
import { expect } from "@effect/vitest"
import type { Page } from "playwright-core"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

/** Translates what stands there now and all that comes, as browsers do: `[text]` in two `font` elements. */
const translate = (page: Page): Promise<unknown> =>
  page.evaluate(`(() => {
    const isLeft = (node) => node.parentElement === null || node.parentElement.closest("[translate=no], font, textarea, option, title, script, style") !== null
    const turn = () => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
      const found = []
      while (walker.nextNode()) if (walker.currentNode.data.trim() !== "" && !isLeft(walker.currentNode)) found.push(walker.currentNode)
      for (const node of found) {
        const outer = document.createElement("font")
        const inner = document.createElement("font")
        outer.append(inner)
        inner.textContent = "[" + node.data + "]"
        node.replaceWith(outer)
      }
    }
    turn()
    new MutationObserver(turn).observe(document.body, { childList: true, subtree: true, characterData: true })
  })()`)

describePage("under a translation", (test) => {
  test("labels go on to say what is so, and no part of the page fails", async ({ page, hub, shot }) => {
    const id = await hub.api.session("Translated")
    const agent = await hub.api.worker(id)
    await Person.visit(page, id)
    await translate(page)
    const button = (name: string) => page.getByRole("button", { name, exact: true })
    await button("[Send]").waitFor()
    await agent.says(Lines.init)
    await button("[Queue]").waitFor()
    await button("[Stop]").click()
    await button("[Stopping…]").waitFor()
    await agent.says(
      Lines.uses("t1", "Bash", { command: "make it" }),
      Lines.asks("r1", "t1", {
        tool_name: "Bash",
        input: { command: "make it" },
        permission_suggestions: [{ type: "addRules", rules: [{ toolName: "Bash" }] }]
      })
    )
    await page.getByText("[The agent wants to use Bash]").waitFor()
    // What is run is shown as it is.
    expect(await page.locator(".request pre").textContent()).toBe("make it")
    await page.getByRole("button", { name: /Deny/ }).click()
    await page.getByText("[The agent wants to use Bash]").waitFor({ state: "detached" })
    await agent.says(
      Lines.says("m1", "Some **bold** words and `code`."),
      Lines.result("none", { total_cost_usd: 2 })
    )
    await button("[Send]").waitFor()
    await page.getByText("[$2.00]").waitFor()
    await Person.send(page, "hello")
    await page.getByText("[accepted]").waitFor()
    await agent.delivers(
      (await hub.api.find(id, ({ payload }) => payload["type"] === "user")).uuid,
      "received"
    )
    await page.getByText("[on the host]").waitFor()
    await shot("translated")
    // Every place of the page, there and back, and the list as it changes.
    for (const place of ["#/approvals", "#/metrics", "#/devices", `#/session/${id}`, "#/approvals"])
      await Person.go(page, place)
    await page.getByText("[Nobody waits for you.]").waitFor()
    await agent.says(Lines.asks("r2", "t2", { tool_name: "Bash", input: { command: "again" } }))
    await page.getByText("[The agent wants to use Bash]").waitFor()
    await page
      .getByRole("link", { name: /Approvals/ })
      .getByText("[1]")
      .waitFor()
    await page.getByRole("button", { name: /Deny/ }).click()
    await page.getByText("[Nobody waits for you.]").waitFor()
    const search = page.getByRole("searchbox")
    await search.fill("bold")
    await page.getByRole("link", { name: /bold/ }).waitFor()
    await search.fill("nothing like this")
    await page.getByText("[No session is named like this.]").waitFor()
    await search.fill("")
    await page.getByRole("link", { name: /Translated/ }).click()
    await page.getByRole("button", { name: /^\[(?:Send|Queue)\]$/ }).waitFor()
    expect(await page.getByText(/This could not be shown/).count()).toBe(0)
  })
})
