/**
 * The page in a real browser, against a real hub over a real socket. The test plays the worker, so that every state of a
 * turn can be looked at. Needs Chromium (`apt-get install chromium`; `CAUSEWAY_TEST_CHROMIUM` names another one).
 */
import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import * as Hub from "@causeway/hub/Hub"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Page } from "playwright-core"
import * as Browser from "./support/Browser.ts"
import * as Bundle from "./support/Bundle.ts"
import * as Hand from "./support/Hand.ts"
import * as Wire from "./support/Wire.ts"

const HOSTILE = `<img src="x" onerror="alert(1)"><script>alert(2)</script> javascript:alert(3)`

const says = (id: string, text: string) => ({
  type: "assistant",
  message: { id, role: "assistant", model: "scripted", content: [{ type: "text", text }] }
})

const result = (uuid: string) => ({
  type: "result",
  subtype: "success",
  is_error: false,
  result: "ok",
  num_turns: 1,
  total_cost_usd: 0.25,
  user_message_uuid: uuid
})

const asks = (requestId: string, toolUseId: string, request: object) => ({
  type: "control_request",
  request_id: requestId,
  request: { subtype: "can_use_tool", tool_use_id: toolUseId, ...request }
})

/** Everything, and the page open on a new session. */
const world = (options: Parameters<typeof Browser.open>[1] = {}) =>
  Effect.gen(function* () {
    const hand = yield* Hand.make
    const wire = yield* Wire.make(hand.hub.port)
    const browser = yield* Browser.launch
    const { page, problems } = yield* Browser.open(browser, options)
    yield* Effect.promise(() => page.goto(`http://127.0.0.1:${wire.port}/#token=${hand.token}`))
    return { ...hand, wire, browser, page, problems }
  })

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

/** Begins a session by the page's own button; answers its id. */
const begin = async (page: Page): Promise<string> => {
  await page.getByRole("button", { name: "New session" }).click()
  await page.getByRole("button", { name: "Start session" }).click()
  await page.waitForURL(/#\/session\//)
  const id = /#\/session\/(.+)$/.exec(page.url())?.[1]
  assert(id !== undefined)
  await page.getByText("connected", { exact: true }).waitFor()
  return id
}

const send = async (page: Page, text: string): Promise<void> => {
  const box = page.getByRole("textbox", { name: "Message the agent" })
  await box.fill(text)
  await box.press("Enter")
}

const hub = Layer.unwrapScoped(
  Effect.map(Bundle.directory, (page) => Hub.layer({ filename: ":memory:", page }))
)

describe.skipIf(Browser.path === undefined)("the page, in a real browser", { timeout: 120_000 }, () => {
  it.scopedLive("takes the token out of the address, and keeps it over a reload", () =>
    Effect.gen(function* () {
      const { page, problems, token } = yield* world()
      yield* Effect.promise(async () => {
        await page.getByRole("button", { name: "New session" }).waitFor()
        expect(page.url()).not.toContain(token)
        await page.reload()
        await page.getByText("/home/ada/engine").first().waitFor()
        await page.goto("about:blank")
        await page.goBack()
        expect(page.url()).not.toContain(token)
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("refuses a wrong token with words, and lets another one in", () =>
    Effect.gen(function* () {
      const {
        page,
        hub: { url },
        token
      } = yield* world()
      yield* Effect.promise(async () => {
        await page.goto("about:blank")
        await page.goto(`${url}/#token=wrong`)
        await page.getByText("The token is not accepted any more.").waitFor()
        await page.getByLabel("Access token").fill(token)
        await page.getByRole("button", { name: "Open" }).click()
        await page.getByRole("button", { name: "New session" }).waitFor()
      })
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("shows a message on its whole way, and the answer as it is written", () =>
    Effect.gen(function* () {
      const { page, problems, worker, find } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        await send(page, "hello there")
        await page.getByText("accepted", { exact: true }).waitFor()
        const prompt = await find(id, ({ payload }) => payload["type"] === "user")
        const agent = await worker(id)
        await agent.delivers(prompt.uuid, "received")
        await page.getByText("on the host", { exact: true }).waitFor()
        await agent.says({ type: "system", subtype: "init", model: "scripted", session_id: "a" })
        await agent.delivers(prompt.uuid, "processing")
        await page.getByText("taken by the agent", { exact: true }).waitFor()
        await page.getByText("working").first().waitFor()
        await agent.says(
          { type: "stream_event", event: { type: "message_start", message: { id: "m1" } } },
          {
            type: "stream_event",
            event: { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hel" } }
          }
        )
        await page.getByText("Hel", { exact: true }).waitFor()
        await agent.says(says("m1", "Hello back."), result(prompt.uuid))
        await page.getByRole("log").getByText("Hello back.", { exact: true }).waitFor()
        expect(await page.getByText("Hel", { exact: true }).count()).toBe(0)
        await agent.delivers(prompt.uuid, "processed")
        await page.getByText("answered", { exact: true }).waitFor()
        await page.getByText("$0.25", { exact: true }).waitFor()
        expect(await page.getByRole("log").getByText("hello there", { exact: true }).count()).toBe(1)
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("runs nothing of what people and agents write", () =>
    Effect.gen(function* () {
      const { page, problems, worker } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        await send(page, HOSTILE)
        const agent = await worker(id)
        await agent.says(
          says("m1", HOSTILE),
          {
            type: "assistant",
            message: {
              id: "m2",
              content: [{ type: "tool_use", id: "t1", name: HOSTILE, input: { command: HOSTILE } }]
            }
          },
          {
            type: "user",
            message: { content: [{ type: "tool_result", tool_use_id: "t1", content: HOSTILE }] }
          },
          { type: HOSTILE.slice(0, 100), x: HOSTILE },
          asks("r1", "t2", { tool_name: HOSTILE, description: HOSTILE, input: { [HOSTILE]: HOSTILE } })
        )
        await page.getByRole("button", { name: "Allow", exact: true }).waitFor()
        for (const summary of await page.locator("summary").all()) await summary.click()
        expect(await page.locator("img, #app script").count()).toBe(0)
        expect(await page.getByText(HOSTILE, { exact: true }).count()).toBeGreaterThan(4)
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("asks for permission, and carries the answer and its words to the agent", () =>
    Effect.gen(function* () {
      const { page, problems, worker, find } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        const agent = await worker(id)
        const content = "x".repeat(9000)
        await agent.says(
          asks("r1", "t1", {
            tool_name: "Write",
            display_name: "Write",
            input: { file_path: "/a", content },
            permission_suggestions: [{ type: "addRules", rules: [{ toolName: "Write" }] }]
          }),
          asks("r2", "t2", { tool_name: "Bash", input: { command: "rm -rf build" } })
        )
        await page.getByText("needs you").first().waitFor()
        const write = page.getByRole("article", { name: "The agent wants to use Write" })
        const bash = page.getByRole("article", { name: "The agent wants to use Bash" })
        await bash.getByRole("textbox").fill("not that folder")
        await write.getByRole("button", { name: "Always allow" }).click()
        await write.waitFor({ state: "detached" })
        // What was typed into the other card is still there.
        await bash.getByRole("button", { name: "Deny" }).click()
        await bash.waitFor({ state: "detached" })
        const answers = (requestId: string) => (event: Hand.LogEvent) =>
          event.source === "client" && JSON.stringify(event.payload).includes(`"request_id":"${requestId}"`)
        expect((await find(id, answers("r1"))).payload["response"]).toMatchObject({
          response: {
            behavior: "allow",
            updatedInput: { file_path: "/a", content },
            updatedPermissions: [{ type: "addRules" }]
          }
        })
        expect((await find(id, answers("r2"))).payload["response"]).toMatchObject({
          response: { behavior: "deny", message: "not that folder" }
        })
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("puts the agent's questions, and tells which answer was chosen", () =>
    Effect.gen(function* () {
      const { page, worker, find } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        const agent = await worker(id)
        await agent.says(
          asks("r1", "t1", {
            tool_name: "AskUserQuestion",
            requires_user_interaction: true,
            input: {
              questions: [{ question: "Which colour?", options: [{ label: "Red" }, { label: "Blue" }] }]
            }
          })
        )
        await page.getByRole("button", { name: "Answer" }).click()
        await page.getByText("Choose an answer to each question.").waitFor()
        await page.getByRole("radio", { name: "Blue" }).check()
        await page.getByRole("button", { name: "Answer" }).click()
        await page.getByRole("button", { name: "Answer" }).waitFor({ state: "detached" })
        const answer = await find(id, ({ payload }) => payload["type"] === "control_response")
        expect(answer.payload["response"]).toMatchObject({
          response: { behavior: "allow", updatedInput: { answers: { "Which colour?": "Blue" } } }
        })
      })
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("stops the agent", () =>
    Effect.gen(function* () {
      const { page, worker, find } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        const stop = page.getByRole("button", { name: "Stop" })
        const agent = await worker(id)
        await agent.says({ type: "system", subtype: "init" })
        await stop.click()
        await page.getByRole("button", { name: "Stopping…" }).waitFor()
        const request = await find(id, ({ payload }) => payload["type"] === "control_request")
        expect(request.payload["request"]).toEqual({ subtype: "interrupt" })
        await agent.says({
          type: "result",
          subtype: "error_during_execution",
          is_error: true,
          terminal_reason: "aborted_streaming"
        })
        await page.getByRole("log").getByText("Stopped", { exact: true }).waitFor()
        await page.getByRole("button", { name: /Stop/ }).waitFor({ state: "hidden" })
      })
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("over a cut: says so, loses nothing, repeats nothing", () =>
    Effect.gen(function* () {
      const { page, problems, worker, wire, find } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        const agent = await worker(id)
        await agent.says(says("m1", "before the cut"))
        await page.getByRole("log").getByText("before the cut").waitFor()
        wire.cut()
        await page.getByText(/^reconnecting in \d+ s: /).waitFor()
        await agent.says(says("m2", "during the cut"))
        await send(page, "typed during the cut")
        await page.getByText(/^delivery unknown: /).waitFor()
        wire.mend()
        await page.getByRole("log").getByText("during the cut", { exact: true }).waitFor()
        await page.getByText("connected", { exact: true }).waitFor()
        await page.getByText("accepted", { exact: true }).waitFor()
        await find(id, ({ payload }) => payload["type"] === "user")
        const texts = await page.getByRole("log").locator(".text").allTextContents()
        expect(texts).toEqual(["before the cut", "during the cut", "typed during the cut"])
        // A page that is loaded again has nothing that it would send twice.
        await page.reload()
        await page.getByRole("log").getByText("typed during the cut").waitFor()
        expect(await page.getByRole("log").locator(".text").count()).toBe(3)
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("works on a narrow screen and by keyboard alone", () =>
    Effect.gen(function* () {
      const { page, worker, find, problems } = yield* world({ viewport: { width: 360, height: 640 } })
      yield* Effect.promise(async () => {
        await page.getByText("/home/ada/engine").first().waitFor()
        const button = page.getByRole("button", { name: "New session" })
        await button.focus()
        await page.keyboard.press("Enter")
        await page.getByRole("button", { name: "Start session" }).press("Enter")
        await page.waitForURL(/#\/session\//)
        const id = /#\/session\/(.+)$/.exec(page.url())?.[1] ?? ""
        await page.getByRole("textbox", { name: "Message the agent" }).focus()
        await page.keyboard.type(`${"a long unbroken word ".repeat(3)}${"w".repeat(200)}`)
        await page.keyboard.press("Enter")
        await page.getByText("accepted", { exact: true }).waitFor()
        const agent = await worker(id)
        await agent.says(
          says("m1", "y".repeat(300)),
          asks("r1", "t1", { tool_name: "Bash", input: { command: "z".repeat(300) } })
        )
        const allow = page.getByRole("button", { name: "Allow", exact: true })
        await allow.waitFor()
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360)
        await allow.focus()
        await page.keyboard.press("Enter")
        await find(id, ({ payload }) => payload["type"] === "control_response")
        await allow.waitFor({ state: "detached" })
        await page.getByRole("link", { name: /Sessions/ }).press("Enter")
        await page.getByRole("link", { name: /a long unbroken word/ }).waitFor()
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360)
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("draws nothing of hostile markdown, terminal escapes and reading order", () =>
    Effect.gen(function* () {
      const { page, problems, worker } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        const agent = await worker(id)
        await agent.says(
          says(
            "m1",
            "![x](https://example.com/t.png) [run](javascript:alert(4)) <b>bold?</b> [good](https://example.com)"
          ),
          {
            type: "assistant",
            message: {
              id: "m2",
              content: [
                {
                  type: "tool_use",
                  id: "t1",
                  name: "Edit",
                  input: { file_path: "/a\u202etxt.exe", old_string: "a", new_string: "b" }
                }
              ]
            }
          },
          {
            type: "user",
            message: {
              content: [{ type: "tool_result", tool_use_id: "t1", content: "\u001b[31mred\u001b[0m words" }]
            }
          }
        )
        await page.getByText("red words", { exact: true }).waitFor()
        await page.locator(".diff .path").getByText("/a⟦U+202E⟧txt.exe").waitFor()
        await page.getByText("<b>", { exact: false }).first().waitFor()
        expect(await page.locator("img").count()).toBe(0)
        const hrefs = await page
          .getByRole("log")
          .locator("a[target]")
          .evaluateAll((all) => all.map((each) => String(each)))
        expect(hrefs).toEqual(["https://example.com/t.png", "https://example.com/"])
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("in two tabs: both agree, the first answer wins, and a stop outlives a reload", () =>
    Effect.gen(function* () {
      const { page, problems, worker, find } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        const other = await page.context().newPage()
        await other.goto(page.url())
        await other.getByText("connected", { exact: true }).waitFor()
        const agent = await worker(id)
        await agent.says(
          { type: "system", subtype: "init" },
          asks("r1", "t1", { tool_name: "Bash", input: { command: "ls" } })
        )
        await other.getByRole("button", { name: "Allow", exact: true }).waitFor()
        await page.getByRole("button", { name: "Allow", exact: true }).click()
        await other.getByRole("button", { name: "Allow", exact: true }).waitFor({ state: "detached" })
        await page.getByRole("button", { name: "Stop" }).click()
        await other.getByRole("button", { name: "Stopping…" }).waitFor()
        await page.reload()
        await page.getByRole("button", { name: "Stopping…" }).waitFor()
        await find(
          id,
          ({ payload }) => payload["type"] === "control_request" && payload["request_id"] !== "r1"
        )
        await send(other, "from the other tab")
        await page.getByRole("log").getByText("from the other tab", { exact: true }).waitFor()
        expect(await page.getByRole("log").getByText("from the other tab", { exact: true }).count()).toBe(1)
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("answers approvals of every session in one place, by keyboard", () =>
    Effect.gen(function* () {
      const { page, problems, worker, find } = yield* world()
      yield* Effect.promise(async () => {
        const id = await begin(page)
        const agent = await worker(id)
        await agent.says(
          asks("r1", "t1", { tool_name: "Write", input: { file_path: "/a", content: "y".repeat(9000) } })
        )
        await page.getByRole("link", { name: /Approvals/ }).click()
        const card = page.getByRole("article", { name: "The agent wants to use Write" })
        const allow = card.getByRole("button", { name: "Allow", exact: true })
        await card.locator("button:enabled", { hasText: "Allow" }).first().waitFor()
        await allow.focus()
        await page.keyboard.press("Alt+KeyY")
        await page.getByText("Nobody waits for you.").waitFor()
        const answer = await find(id, ({ payload }) => payload["type"] === "control_response")
        expect(answer.payload["response"]).toMatchObject({
          response: { behavior: "allow", updatedInput: { file_path: "/a", content: "y".repeat(9000) } }
        })
      })
      expect(problems).toEqual([])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive.each(["light", "dark"] as const)("axe finds nothing, %s", (colorScheme) =>
    Effect.gen(function* () {
      const { page, worker } = yield* world({ colorScheme })
      yield* Effect.promise(async () => {
        const id = await begin(page)
        const agent = await worker(id)
        await agent.says(
          { type: "system", subtype: "init" },
          says(
            "m1",
            '# Title\n\nSome `code` and a list:\n\n- one\n\n```ts\nconst a: string = "x" // note\n```'
          ),
          {
            type: "assistant",
            message: {
              id: "m2",
              content: [
                {
                  type: "tool_use",
                  id: "t1",
                  name: "Edit",
                  input: { file_path: "/a", old_string: "a", new_string: "b" }
                }
              ]
            }
          },
          asks("r1", "t2", { tool_name: "Bash", input: { command: "ls" }, permission_suggestions: [{}] }),
          asks("r2", "t3", {
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
        expect(await violations(page)).toEqual([])
        await page.getByRole("button", { name: "New session" }).click()
        expect(await violations(page)).toEqual([])
        await page.keyboard.press("Escape")
        await page.goto(`${page.url().replace(/#.*/, "")}#/metrics`)
        await page.getByRole("heading", { name: "Cost and health" }).waitFor()
        expect(await violations(page)).toEqual([])
        await page.goto(`${page.url().replace(/#.*/, "")}#/approvals`)
        await page.getByRole("heading", { name: "Approvals" }).waitFor()
        expect(await violations(page)).toEqual([])
      })
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive(
    "finds words in transcripts, opens the event that holds them, and reads a long log from its end",
    () =>
      Effect.gen(function* () {
        const { page, problems, worker } = yield* world()
        yield* Effect.promise(async () => {
          const id = await begin(page)
          const agent = await worker(id)
          await agent.says(says("m0", "the needle of this log"))
          for (let n = 0; n < 60; n++) {
            await agent.says(
              ...Array.from({ length: 100 }, (_, i) => says(`m-${n}-${i}`, `line ${n * 100 + i}`))
            )
          }
          await page.reload()
          await page.getByRole("log").getByText("line 5999", { exact: true }).waitFor()
          expect(await page.getByRole("log").locator(".item").count()).toBeLessThan(80)
          await page.getByRole("button", { name: /^Show earlier/ }).waitFor({ state: "attached" })
          await page.getByRole("searchbox", { name: "Search sessions" }).fill("needle")
          await page.getByRole("link", { name: /needle/ }).click()
          await page.getByRole("log").getByText("the needle of this log", { exact: true }).waitFor()
        })
        expect(problems).toEqual([])
      }).pipe(Effect.provide(hub))
  )

  it.scopedLive("says so of a session that is not there", () =>
    Effect.gen(function* () {
      const { page } = yield* world()
      yield* Effect.promise(async () => {
        await page.getByText("/home/ada/engine").first().waitFor()
        await page.goto(`${page.url().replace(/#.*/, "")}#/session/session_${"0".repeat(32)}`)
        await page.getByText("This session is not there.", { exact: false }).waitFor()
        await page.getByRole("link", { name: "Back to the sessions" }).click()
        await page.getByText("Choose a session, or begin a new one.").waitFor()
      })
    }).pipe(Effect.provide(hub))
  )
})

it.skipIf(Browser.path !== undefined)(
  "the page was NOT tried in a browser: no Chromium here (apt-get install chromium, or set CAUSEWAY_TEST_CHROMIUM)",
  () => undefined
)
