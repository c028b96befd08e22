/**
 * Keys in a real browser: whoever types, composes with an input method, or writes letters with Option or AltGr answers no
 * request by it, sends no half message and stops no agent.
 */
import { expect } from "@effect/vitest"
import type { CDPSession, Locator, Page } from "playwright-core"
import type * as Api from "./support/Api.ts"
import { describePage } from "./support/DescribePage.ts"
import * as Lines from "./support/Lines.ts"
import * as Person from "./support/Person.ts"

const ALT = 1
const CONTROL = 2

/** Presses a key as the browser's own input does. `keyCode` 229: an input method has taken it. */
const press = async (
  cdp: CDPSession,
  key: string,
  code: string,
  { keyCode, modifiers = 0, text }: { keyCode: number; modifiers?: number; text?: string }
): Promise<void> => {
  const common = { key, code, modifiers, windowsVirtualKeyCode: keyCode }
  await cdp.send("Input.dispatchKeyEvent", {
    type: text === undefined ? "rawKeyDown" : "keyDown",
    ...common,
    ...(text === undefined ? {} : { text, unmodifiedText: text })
  })
  await cdp.send("Input.dispatchKeyEvent", { type: "keyUp", ...common })
}

const enter = (cdp: CDPSession, keyCode = 13) => press(cdp, "Enter", "Enter", { keyCode, text: "\r" })

/** Option and a letter, as a Mac's keyboard has it: the letter is another one, the place is the same. */
const option = async (cdp: CDPSession, letter: string, code: string): Promise<void> => {
  await press(cdp, letter, code, { keyCode: code.charCodeAt(3), modifiers: ALT, text: letter })
}

const asking = async (hub: { readonly api: Api.Api }, title: string, ...requests: ReadonlyArray<string>) => {
  const id = await hub.api.session(title)
  const agent = await hub.api.worker(id)
  for (const request of requests) {
    await agent.says(
      Lines.uses(`t-${request}`, "Bash", { command: `echo ${request}` }),
      Lines.asks(request, `t-${request}`, {
        tool_name: "Bash",
        input: { command: `echo ${request}` },
        permission_suggestions: [{ type: "addRules", rules: [{ toolName: "Bash" }] }]
      })
    )
  }
  return { id, agent }
}

let ends = 0
/** Answers that the log holds up to now, by request. */
const answersIn = async (
  hub: { readonly api: Api.Api },
  { id, agent }: { readonly id: string; readonly agent: Api.Worker }
): Promise<ReadonlyArray<unknown>> => {
  const given: Array<unknown> = []
  const end = `end-${ends++}`
  await agent.says(Lines.says(end, end))
  await hub.api.find(id, ({ payload }) => {
    if (payload["type"] === "control_response") given.push(payload["response"])
    return JSON.stringify(payload).includes(end)
  })
  return given
}

const isFocused = async (of: Locator): Promise<boolean> =>
  (await of.and(of.page().locator(":focus")).count()) === 1

const why = (page: Page) => page.getByRole("textbox", { name: "Words for the agent when you deny" })

describePage("keys", (test) => {
  test("typed as the reason of a refusal answer nothing, whatever they are", async ({ page, hub }) => {
    const session = await asking(hub, "Reason", "req-1")
    await Person.visit(page, session.id)
    const cdp = await page.context().newCDPSession(page)
    await why(page).focus()
    for (const [letter, code] of [
      ["å", "KeyA"],
      ["˜", "KeyN"],
      ["¥", "KeyY"],
      // AltGr is Control and Alt at once.
      ["ä", "KeyA"]
    ] as const)
      await option(cdp, letter, code)
    await press(cdp, "Dead", "KeyN", { keyCode: 78, modifiers: ALT })
    await press(cdp, "n", "KeyN", { keyCode: 78, modifiers: ALT | CONTROL, text: "n" })
    for (const letter of "yany") {
      await press(cdp, letter, `Key${letter.toUpperCase()}`, {
        keyCode: letter.toUpperCase().charCodeAt(0),
        text: letter
      })
    }
    // An input method composes, and its Enter takes what it offers; Safari tells of that one by 229 alone.
    await cdp.send("Input.imeSetComposition", { text: "だめ", selectionStart: 2, selectionEnd: 2 })
    await enter(cdp)
    await enter(cdp, 229)
    await cdp.send("Input.insertText", { text: "だめ" })
    await enter(cdp, 229)
    expect(await why(page).inputValue()).toMatch(/yany.*だめ$/)
    expect(await answersIn(hub, session)).toEqual([])
    // Enter goes to the button, and only there it answers.
    await enter(cdp)
    expect(await isFocused(page.getByRole("button", { name: "Deny" }))).toBe(true)
    await enter(cdp)
    await page.getByRole("article", { name: /wants to use Bash/ }).waitFor({ state: "detached" })
    expect(await answersIn(hub, session)).toMatchObject([{ response: { behavior: "deny" } }])
  })

  test("answer where the card has the focus: by their place, alone, once", async ({ page, hub }) => {
    const session = await asking(hub, "Shortcuts", "one", "two")
    await Person.visit(page, session.id)
    const cdp = await page.context().newCDPSession(page)
    const card = (request: string) => page.getByRole("article").filter({ hasText: `echo ${request}` })
    await card("one").focus()
    for (const modifiers of [ALT, CONTROL, ALT | CONTROL, 4, 8]) {
      await press(cdp, "y", "KeyY", { keyCode: 89, modifiers })
    }
    expect(await answersIn(hub, session)).toEqual([])
    // A German keyboard has Z where others have Y: the place counts.
    await cdp.send("Input.dispatchKeyEvent", {
      type: "keyDown",
      key: "z",
      code: "KeyY",
      windowsVirtualKeyCode: 90,
      text: "z"
    })
    await card("one").waitFor({ state: "detached" })
    // It is still held down, and the other card has the focus now.
    await cdp.send("Input.dispatchKeyEvent", {
      type: "keyDown",
      key: "z",
      code: "KeyY",
      windowsVirtualKeyCode: 90,
      text: "z",
      autoRepeat: true
    })
    expect(await isFocused(card("two"))).toBe(true)
    expect((await answersIn(hub, session)).length).toBe(1)
    await press(cdp, "n", "KeyN", { keyCode: 78, text: "n" })
    await card("two").waitFor({ state: "detached" })
  })

  test("of an input method send no half message, stop no agent and close nothing", async ({ page, hub }) => {
    const { id, agent } = await asking(hub, "Composing")
    await agent.says(Lines.init)
    await Person.visit(page, id)
    await page.getByRole("button", { name: "Stop", exact: true }).waitFor()
    const cdp = await page.context().newCDPSession(page)
    const compose = (text: string) =>
      cdp.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length })
    await Person.box(page).focus()
    await compose("にほ")
    await press(cdp, "Escape", "Escape", { keyCode: 27 })
    await press(cdp, "Escape", "Escape", { keyCode: 229 })
    await enter(cdp)
    await compose("日本")
    await enter(cdp, 229)
    await cdp.send("Input.insertText", { text: "日本" })
    await press(cdp, "Escape", "Escape", { keyCode: 229 })
    await enter(cdp, 229)
    expect(await Person.box(page).inputValue()).toBe("日本")
    // A dialog stays, its form is not submitted.
    await page.getByRole("button", { name: "Rename" }).click()
    const dialog = page.getByRole("dialog", { name: "Rename session" })
    const title = dialog.getByLabel("Title")
    await title.fill("")
    await title.focus()
    await compose("だい")
    await press(cdp, "Escape", "Escape", { keyCode: 27 })
    await enter(cdp)
    await cdp.send("Input.insertText", { text: "題" })
    await enter(cdp, 229)
    await press(cdp, "Escape", "Escape", { keyCode: 229 })
    expect(await dialog.isVisible()).toBe(true)
    await enter(cdp)
    await dialog.waitFor({ state: "detached" })
    await page.getByRole("heading", { name: "題" }).waitFor()
    await Person.box(page).focus()
    await enter(cdp)
    await Person.said(page, "日本").waitFor()
    const asked: Array<unknown> = []
    await agent.says(Lines.says("m-end", "the end"))
    await hub.api.find(id, ({ source, payload }) => {
      if (source === "client" && payload["type"] !== "session_update") asked.push(payload["type"])
      return JSON.stringify(payload).includes("the end")
    })
    expect(asked).toEqual(["user"])
  })
})
