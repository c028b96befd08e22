/** More sessions than the page loads: who waits, what all costs, what is pinned, and what a title or the archive holds. */
import { expect } from "@effect/vitest"
import { describePage, signIn } from "./support/DescribePage.ts"
import type { Hub } from "./support/Fixture.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"
import * as Wire from "./support/Wire.ts"

/** Three old sessions that wait, one old one that cost something, an archived one, and 250 newer ones. */
const crowd = async ({ api, causeway }: Hub): Promise<ReadonlyArray<string>> => {
  const waiting: Array<string> = []
  for (const n of [1, 2, 3]) {
    const id = await api.session(`Old one that waits ${n}`)
    const agent = await api.worker(id)
    await agent.says(
      Lines.init,
      Lines.asks(`old-${n}`, `t-${n}`, { tool_name: "Bash", input: { command: `make old-${n}` } })
    )
    waiting.push(id)
  }
  const dear = await api.worker(await api.session("Dear and old"))
  await dear.says(Lines.init, Lines.result("none", { total_cost_usd: 2.986_281_000_000_000_4 }))
  await causeway("sessions", "archive", await api.session("Long archived"))
  for (let n = 0; n < 250; n += 25)
    await Promise.all(Array.from({ length: 25 }, (_, m) => api.session(`Newer ${n + m}`)))
  return waiting
}

const badge = (page: Parameters<typeof signIn>[0]) => page.getByRole("link", { name: /^Approvals/ })

describePage("with 250 newer sessions", (test) => {
  test("three old ones that wait are counted, shown and answered", async ({ hub, another, page, shot }) => {
    const [first] = await crowd(hub)
    await page.reload()
    await badge(page).getByText("3", { exact: true }).waitFor()
    await badge(page).click()
    for (const n of [1, 2, 3]) await page.getByText(`make old-${n}`).waitFor()
    await shot("many-waiting")
    // One that is answered elsewhere goes, and the number with it.
    await hub.causeway("approve", first ?? "")
    await badge(page).getByText("2", { exact: true }).waitFor()
    const second = page.getByRole("listitem").filter({ hasText: "Old one that waits 2" })
    await second.getByRole("button", { name: "Deny" }).click()
    await badge(page).getByText("1", { exact: true }).waitFor()
    // A page that is opened while others wait, and one whose hub is away: nobody is told that nobody waits.
    const wire = await Wire.make(Number(hub.port))
    try {
      const { page: far } = await another({ hub: wire.url })
      await signIn(far, { url: wire.url, token: hub.token })
      await badge(far).getByText("1", { exact: true }).waitFor()
      wire.cut()
      await badge(far).getByText("–", { exact: true }).waitFor()
      await badge(far).click()
      await far.getByText("Who waits for you is not known while the hub is away.").waitFor()
      await Person.go(far, "#/metrics")
      await far.getByText("Not known while the hub is away.").first().waitFor()
      expect(await far.getByText("$0.00").count()).toBe(0)
      wire.mend()
      await badge(far).getByText("1", { exact: true }).waitFor()
      await far.getByText("$2.99").first().waitFor()
    } finally {
      await wire.close()
    }
  })

  test("all of them are in the totals, found by their titles, pinned and archived", async ({
    page,
    shot
  }) => {
    await Person.go(page, "#/metrics")
    await page.getByText("$2.99").first().waitFor()
    const tile = (name: string) => page.locator("dl.tiles > div").filter({ hasText: name }).locator("dd")
    await tile("Sessions").getByText("255", { exact: true }).waitFor()
    await page.getByRole("main").getByRole("link", { name: "Dear and old" }).first().waitFor()
    await shot("many-figures")
    const search = page.getByRole("searchbox", { name: "Search sessions" })
    await search.fill("dear AND")
    await page
      .getByRole("navigation")
      .getByRole("link", { name: /Dear and old/ })
      .click()
    await page.getByRole("heading", { level: 1, name: "Dear and old" }).waitFor()
    await page.getByRole("button", { name: "Pin" }).click()
    await search.fill("nothing like this")
    await page.getByText("No session is named like this.").waitFor()
    await search.fill("")
    await page.reload()
    await page
      .locator("section")
      .filter({ has: page.getByRole("heading", { name: "Pinned" }) })
      .getByRole("link", { name: /Dear and old/ })
      .waitFor()
    await page.getByRole("button", { name: "Archived sessions" }).click()
    await page.getByRole("link", { name: /Long archived/ }).waitFor()
  })
})
