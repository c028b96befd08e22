/**
 * The newcomer's way in a real browser: `up`, the address that it prints, its scripted agent; then everything is killed and
 * started again under the open page.
 */
import { execFileSync } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"
import * as Browser from "./support/Browser.ts"
import * as Person from "./support/Person.ts"

const place = Directory.temporary("up")

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

describe.skipIf(Browser.path === undefined)("up, in a real browser", () => {
  it.scopedLive(
    "a person drives the agent, and goes on after everything was killed",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        execFileSync("git", ["-C", directory, "init", "-q"])
        yield* Effect.promise(() => writeFile(join(directory, "readme.txt"), "read"))
        const first = yield* up(directory, "0")
        const browser = yield* Browser.launch
        // Tall, so that all of the conversation is in the document.
        const { context, problems } = yield* Browser.open(browser, first.url, {
          viewport: { width: 1280, height: 4000 }
        })
        const page = yield* Effect.promise(() => context.newPage())
        yield* Effect.promise(async () => {
          await page.goto(`${first.url}/#token=${text(first.ready["token"])}`)
          await page.getByRole("navigation").locator("a.entry").first().click()
          // Nobody has named a file yet: the machine's are offered.
          await Person.box(page).fill("look at @read")
          await page.getByRole("option", { name: "@readme.txt" }).waitFor()
          await page.keyboard.press("Enter")
          expect(await Person.box(page).inputValue()).toBe("look at @readme.txt ")
          await Person.ask(page, "hello", "echo: hello")
          await page.getByText("answered", { exact: true }).waitFor()
          await Person.send(page, "!slow 500 40")
          await page
            .locator(".live")
            .getByText(/word0 word1/)
            .waitFor()
          await page.getByRole("button", { name: "Stop", exact: true }).click()
          await Person.said(page, "Stopped").waitFor()
          expect(await Person.said(page, "Stopped").count()).toBe(1)
        })
        const before = yield* Effect.promise(() => Person.texts(page))

        yield* first.program.kill("SIGKILL")
        yield* first.program.ended
        yield* Effect.promise(async () => {
          await page.getByText(/^reconnecting in \d+ s: /).waitFor()
          await Person.send(page, "typed while nothing ran")
        })
        const second = yield* up(directory, new URL(first.url).port)
        expect(second.ready["session_id"]).toBe(first.ready["session_id"])
        yield* Effect.promise(async () => {
          await Person.said(page, "echo: typed while nothing ran").waitFor()
          expect(await Person.texts(page)).toEqual([
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
