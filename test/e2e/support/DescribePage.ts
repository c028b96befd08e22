/** Tests of the page: each is a person with a browser of their own, signed in to the fixture of its file. */
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { BrowserContextOptions, Page } from "playwright-core"
import * as Browser from "./Browser.ts"
import { Fixture, layer as fixture, type Hub } from "./Fixture.ts"

export interface World {
  /** Where this person looks: signed in, the list shown. */
  readonly page: Page
  readonly hub: Hub
  /** A further tab of the same browser, at the same address. */
  readonly tab: () => Promise<Page>
  /** A browser of another person (or of another device), nothing open in it. */
  readonly another: (
    options?: BrowserContextOptions & { readonly hub?: string }
  ) => Promise<Browser.Profile & { readonly page: Page }>
  /** Sockets that this person's browser opened, oldest first. */
  readonly sockets: ReadonlyArray<string>
  /** Keeps a picture where pictures are asked for. */
  readonly shot: (name: string) => Promise<void>
}

export interface Options extends BrowserContextOptions {
  /** Leave the page blank: the test is about signing in. */
  readonly blank?: boolean
}

/** Adds a test to its file. Fails, too, at any problem that a browser of the test told of, see `Browser.Profile`. */
export type PageTest = (name: string, play: (world: World) => Promise<void>, options?: Options) => void

export const signIn = async (page: Page, hub: Pick<Hub, "url" | "token">): Promise<void> => {
  await page.goto(`${hub.url}/#token=${hub.token}`)
  await page.getByRole("button", { name: "New session" }).waitFor()
}

const play = (name: string, act: (world: World) => Promise<void>, { blank = false, ...options }: Options) =>
  Effect.gen(function* () {
    const hub = yield* Fixture
    const runtime = yield* Effect.runtime<Scope.Scope>()
    const problems: Array<ReadonlyArray<string>> = []
    const open = (options: BrowserContextOptions, url: string) =>
      Effect.tap(Browser.open(hub.browser, url, options), (profile) =>
        Effect.sync(() => problems.push(profile.problems))
      )
    const { context, sockets } = yield* open(options, hub.url)
    yield* Effect.promise(async () => {
      const page = await context.newPage()
      if (!blank) await signIn(page, hub)
      await act({
        page,
        hub,
        sockets,
        tab: async () => {
          const other = await context.newPage()
          await other.goto(page.url())
          return other
        },
        another: async ({ hub: url = hub.url, ...more } = {}) => {
          const profile = await Runtime.runPromise(runtime)(open(more, url))
          return { ...profile, page: await profile.context.newPage() }
        },
        shot: (name) => Browser.shot(page, name)
      }).catch(async (failure: unknown) => {
        // What each tab showed when the test failed; one that is gone shows nothing.
        const tabs = context
          .pages()
          .map((tab, n) => Browser.shot(tab, `failed-${name.replaceAll(/\W+/g, "-")}-${n}`))
        await Promise.allSettled(tabs)
        throw failure
      })
    })
    expect(problems.flat()).toEqual([])
  })

/** A file of tests of the page, on one fixture. Skipped, and said so, where there is no Chromium. */
export const describePage = (name: string, add: (test: PageTest) => void): void => {
  describe.skipIf(Browser.path === undefined)(
    `${name}${Browser.path === undefined ? " (NOT tried: no Chromium here; apt-get install chromium, or set CAUSEWAY_TEST_CHROMIUM)" : ""}`,
    () => {
      layer(fixture, { excludeTestServices: true, timeout: "120 seconds" })((it) => {
        add((name, act, options = {}) => it.scoped(name, () => play(name, act, options), 180_000))
      })
    }
  )
}
