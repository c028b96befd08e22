import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Contact from "../../src/Push/Contact.ts"

describe("the contact that push services are told", () => {
  it.each([
    ["you@domain.org", "mailto:you@domain.org"],
    ["mailto:You+hub@mail.domain.co.uk", "mailto:You+hub@mail.domain.co.uk"],
    ["https://hub.domain.org/", "https://hub.domain.org"],
    ["  https://domain.org/tools/causeway ", "https://domain.org/tools/causeway"]
  ])("%s is one", (text, contact) => {
    expect(Contact.parse(text)).toEqual(Either.right(contact))
  })

  it.each([
    "",
    "you",
    "you@localhost",
    "you@my-laptop",
    "you@hub.example",
    "you@example.com",
    "a@b@domain.org",
    "mailto:you@192.168.0.1",
    "http://domain.org",
    "https://localhost:4750",
    "https://192.168.0.7",
    "https://[2001:db8::1]/",
    "https://hub.local",
    "https://nas.home.arpa",
    "https://causeway.example",
    "https://user:secret@domain.org"
  ])("%s is none, and the reason does not tell a secret", (text) => {
    const read = Contact.parse(text)
    expect(Either.isLeft(read)).toBe(true)
    expect(JSON.stringify(read)).not.toContain("user:secret@domain")
  })

  it.prop("whatever is taken has a host with a dot, and is taken again", [FastCheck.string()], ([text]) => {
    const read = Contact.parse(text)
    if (Either.isLeft(read)) return
    expect(read.right).toMatch(/^(mailto:|https:\/\/).+\..+/)
    expect(Contact.parse(read.right)).toEqual(read)
  })

  it("is the one that was named, else the public address where that is real", () => {
    expect(Contact.of("you@domain.org", "https://hub.domain.org")).toEqual(
      Option.some("mailto:you@domain.org")
    )
    expect(Contact.of(undefined, "https://hub.domain.org")).toEqual(Option.some("https://hub.domain.org"))
    for (const url of [
      undefined,
      "http://hub.domain.org",
      "https://192.168.1.2",
      "https://causeway.example"
    ]) {
      expect(Contact.of(undefined, url)).toEqual(Option.none())
    }
  })
})
