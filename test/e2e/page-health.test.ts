/** Cost and health in a real browser: what a turn took, how full the context is, and the figures of all sessions. */
import { expect } from "@effect/vitest"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

const usage = (id: string, input: number) =>
  Lines.says(id, `read ${input}`, {
    message: {
      id,
      role: "assistant",
      model: "scripted-1",
      content: [{ type: "text", text: `read ${input}` }],
      usage: { input_tokens: input, output_tokens: 1500 }
    }
  })

describePage("cost and health", (test) => {
  test("tells what a turn took and what the session has cost", async ({ page, hub }) => {
    const id = await hub.api.session("Costs")
    const agent = await hub.api.worker(id)
    await Person.visit(page, id)
    await agent.says(
      Lines.init,
      usage("m1", 20_000),
      Lines.result("p1", { duration_ms: 2500, total_cost_usd: 0.25 })
    )
    await page.getByText("$0.25", { exact: true }).waitFor()
    await Person.log(page).getByText("2.5 s · $0.25 · $0.25 so far").waitFor()
    await page.getByText("20.0k in · 1.5k out").waitFor()
    await page.getByText("13 % of context", { exact: true }).waitFor()
  })

  test("warns as the context fills: at 60 % and at 90 %", async ({ page, hub, shot }) => {
    await Person.begin(page, hub.environmentId)
    await Person.ask(page, "!usage 84000", "used: 84000")
    await page.getByText("50 % of context", { exact: true }).waitFor()
    await Person.ask(page, "!usage 101000", "used: 101000")
    await page.getByText("60 % of context · filling").waitFor()
    await Person.ask(page, "!usage 152000", "used: 152000")
    await page.getByText("90 % of context · nearly full").waitFor()
    expect(await page.getByRole("meter", { name: "Context used" }).first().getAttribute("value")).toBe("90")
    await shot("context-full")
  })

  test("draws the figures of all sessions, and leads to them", async ({ page, hub, shot }) => {
    const id = await hub.api.session("Dear one")
    const agent = await hub.api.worker(id)
    await agent.says(Lines.init, usage("m1", 125_000), Lines.result("p1", { total_cost_usd: 7.5 }))
    await page.getByRole("link", { name: "Cost and health" }).click()
    await page.getByRole("heading", { name: "Cost and health" }).waitFor()
    const cost = page.locator("section.chart", { hasText: "Cost by session" })
    await cost.getByRole("listitem").filter({ hasText: "Dear one" }).getByText("$7.50").waitFor()
    const context = page.locator("section.chart", { hasText: "Context by session" })
    await context.getByRole("listitem").filter({ hasText: "Dear one" }).getByText(/^75 %/).waitFor()
    await shot("metrics")
    await cost.getByRole("link", { name: "Dear one" }).click()
    await page.getByRole("heading", { name: "Dear one" }).waitFor()
  })
})
