/** What people do with the page, and what they see of it. */
import type { Locator, Page } from "playwright-core"

export const box = (page: Page): Locator => page.getByRole("textbox", { name: "Message the agent" })

export const log = (page: Page): Locator => page.getByRole("log")

/** A text of the conversation, to the letter. */
export const said = (page: Page, text: string): Locator => log(page).getByText(text, { exact: true })

export const connected = (page: Page): Promise<void> => page.getByText("connected", { exact: true }).waitFor()

/** Begins a session of an environment by the page's own dialog; answers its id. */
export const begin = async (
  page: Page,
  environmentId: string,
  fill: (dialog: Locator) => Promise<unknown> = async () => undefined
): Promise<string> => {
  await page.getByRole("button", { name: "New session" }).click()
  const dialog = page.getByRole("dialog", { name: "New session" })
  await dialog.getByLabel("Machine and directory").selectOption(environmentId)
  await fill(dialog)
  await dialog.getByRole("button", { name: "Start session" }).click()
  await page.waitForURL(/#\/session\//)
  const id = /#\/session\/([^/]+)$/.exec(page.url())?.[1]
  if (id === undefined) throw new Error(`not the address of a session: ${page.url()}`)
  await connected(page)
  return id
}

/** Goes to a part of the page by its address. */
export const go = async (page: Page, fragment: string): Promise<void> => {
  await page.goto(`${new URL(".", page.url()).href}${fragment}`)
}

/** Opens a session by its address. */
export const visit = async (page: Page, session: string): Promise<void> => {
  await go(page, `#/session/${session}`)
  await connected(page)
}

export const send = async (page: Page, text: string): Promise<void> => {
  await box(page).fill(text)
  await box(page).press("Enter")
}

/** Sends, and waits for the agent's answer. */
export const ask = async (page: Page, text: string, answer: string): Promise<void> => {
  await send(page, text)
  await said(page, answer).waitFor()
}

/** The texts of the conversation, in order. Only what is in sight is in the document: take a tall window. */
export const texts = (page: Page): Promise<ReadonlyArray<string>> =>
  log(page).locator(".text").allTextContents()
