import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { scrub } from "../src/Scrub.ts"

describe("scrub", () => {
  it("takes the user of web addresses and the password of others, wherever they stand", () => {
    for (const [given, shown] of [
      ["https://user:pw@host/a/b", "https://host/a/b"],
      ["https://ghp_token@host/a", "https://host/a"],
      ["HTTP://u:p@host", "HTTP://host"],
      ["https://u:p@ss@host/a", "https://host/a"],
      ["ssh://git@host/a", "ssh://git@host/a"],
      ["ssh://git:pw@host/a", "ssh://git@host/a"],
      ["postgres://me:pw@db:5432/x?y=z@w", "postgres://me@db:5432/x?y=z@w"],
      ["git@host:a/b.git", "git@host:a/b.git"],
      ["https://host/a@b", "https://host/a@b"],
      ["fatal: unable to access 'https://u:p@host/': no", "fatal: unable to access 'https://host/': no"],
      ['{"url":"https:\\/\\/u:p@host\\/a","b":"c@d"}', '{"url":"https:\\/\\/host\\/a","b":"c@d"}']
    ] as const) {
      expect(scrub(given)).toBe(shown)
    }
  })

  it.prop(
    "no password is left, in any text, and twice is as once",
    [FastCheck.stringMatching(/^[A-Za-z0-9_.~%+-]{8,20}$/), FastCheck.string(), FastCheck.string()],
    ([password, before, after]) => {
      const text = `${before} https://u:${password}@host/x ssh://g:${password}@h ${after}`
      expect(scrub(text).includes(password)).toBe(`${before}${after}`.includes(password))
      expect(scrub(scrub(text))).toBe(scrub(text))
    }
  )
})
