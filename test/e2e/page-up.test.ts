/**
 * The newcomer's way in a real browser: the built program, its scripted agent and the page; then everything is killed
 * and started again under the open page. Needs Chromium, as `page.test.ts` does.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Page } from "playwright-core"
import * as Program from "../support/Program.ts"
import * as Browser from "./support/Browser.ts"

const place = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "causeway-up-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

const text = (value: unknown): string => {
  if (typeof value !== "string") throw new Error(`a string, not ${JSON.stringify(value)}`)
  return value
}

const up = (directory: string, port: string) =>
  Effect.gen(function* () {
    const program = yield* Program.start(
      ["up", "--agent", "scripted", "--json", "--port", port, "--state-dir", join(directory, "state")],
      { cwd: directory }
    )
    const ready = yield* program.line((line) => line["event"] === "ready")
    return { program, ready, url: text(ready["url"]) }
  })

const send = async (page: Page, words: string): Promise<void> => {
  const box = page.getByRole("textbox", { name: "Message the agent" })
  await box.fill(words)
  await box.press("Enter")
}

const said = (page: Page, words: string) => page.getByRole("log").getByText(words, { exact: true })

describe.skipIf(Browser.path === undefined)("up, in a real browser", () => {
  it.scopedLive(
    "a person drives the agent, and goes on after everything was killed",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        const first = yield* up(directory, "0")
        const browser = yield* Browser.launch
        // Tall, so that all of the conversation is in the document.
        const { page, problems } = yield* Browser.open(browser, { viewport: { width: 1280, height: 4000 } })
        yield* Effect.promise(async () => {
          await page.goto(`${first.url}/#token=${text(first.ready["token"])}`)
          await page.getByRole("navigation").locator("a.entry").first().click()
          await send(page, "hello")
          await said(page, "echo: hello").waitFor()
          await page.getByText("answered", { exact: true }).waitFor()

          await send(page, "!write kept.txt by a person's leave")
          await page.getByRole("button", { name: "Allow", exact: true }).click()
          await page
            .getByRole("log")
            .getByText(/^done: /)
            .waitFor()
          expect(await readFile(join(directory, "kept.txt"), "utf8")).toBe("by a person's leave")

          await send(page, "!bash echo no")
          await page.getByLabel("Words for the agent when you deny").fill("not now")
          await page.getByRole("button", { name: "Deny" }).click()
          await said(page, "denied: not now").waitFor()

          await send(page, "!ask Which? | Red | Blue")
          await page.getByRole("radio", { name: "Blue" }).check()
          await page.getByRole("button", { name: "Answer" }).click()
          await said(page, "chosen: Blue").waitFor()

          await send(page, "!slow 500 40")
          await page
            .locator(".live")
            .getByText(/word0 word1/)
            .waitFor()
          await page.getByRole("button", { name: "Stop" }).click()
          await said(page, "Stopped").waitFor()
          expect(await said(page, "Stopped").count()).toBe(1)
        })
        const before = yield* Effect.promise(() => page.locator(".items .text").allTextContents())

        yield* first.program.kill("SIGKILL")
        yield* first.program.ended
        yield* Effect.promise(async () => {
          await page.getByText(/^reconnecting in \d+ s: /).waitFor()
          await send(page, "typed while nothing ran")
        })
        const second = yield* up(directory, new URL(first.url).port)
        expect(second.ready["session_id"]).toBe(first.ready["session_id"])
        yield* Effect.promise(async () => {
          await said(page, "echo: typed while nothing ran").waitFor()
          expect(await page.locator(".items .text").allTextContents()).toEqual([
            ...before,
            "typed while nothing ran",
            "echo: typed while nothing ran"
          ])
        })
        expect(problems).toEqual([])
        yield* second.program.kill("SIGTERM")
        expect((yield* second.program.ended).code).toBe(0)
      }),
    240_000
  )
})
