import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as GitRemote from "../src/GitRemote.ts"

const word = (characters: string, max: number) =>
  FastCheck.array(FastCheck.constantFrom(...characters), { minLength: 1, maxLength: max }).map((c) =>
    c.join("")
  )

const LETTERS = "abcXYZ019"
const host = FastCheck.array(word(LETTERS, 6), { minLength: 1, maxLength: 3 }).map((labels) =>
  labels.join(".")
)
/** Names that look like parts of a hosting site's page are names all the same. */
const segment = FastCheck.oneof(
  word(`${LETTERS}-_`, 8),
  FastCheck.constantFrom("tree", "blob", "src", "raw", "-", "commits", "a.b", "x.js", "_git")
)
const repository = FastCheck.record({
  host,
  owner: FastCheck.array(segment, { minLength: 1, maxLength: 4 }).map((s) => s.join("/")),
  name: segment
})
const port = FastCheck.integer({ min: 1, max: 65_535 })
const suffix = FastCheck.constantFrom("", ".git")
const user = FastCheck.constantFrom("", "git@", "me:secret@")

describe("every spelling of a remote is read as the same repository", () => {
  it.prop(
    "urls",
    {
      at: repository,
      scheme: FastCheck.constantFrom("https", "http", "ssh", "git"),
      port: FastCheck.option(port),
      suffix,
      user,
      slash: FastCheck.boolean()
    },
    ({ at, port, scheme, slash, suffix, user }) => {
      const text = `${scheme}://${user}${at.host}${port === null ? "" : `:${port}`}/${at.owner}/${at.name}${suffix}${slash ? "/" : ""}`
      const web = scheme.startsWith("http")
      expect(GitRemote.parse(text)).toEqual(
        Option.some({ ...at, host: web && port !== null ? `${at.host}:${port}` : at.host })
      )
    }
  )

  it.prop("scp", { at: repository, suffix }, ({ at, suffix }) => {
    expect(GitRemote.parse(`git@${at.host}:${at.owner}/${at.name}${suffix}`)).toEqual(Option.some(at))
    expect(GitRemote.parse(`  git@${at.host}:/${at.owner}/${at.name}${suffix}\n`)).toEqual(Option.some(at))
  })

  it.prop("owner/name", { owner: word(LETTERS, 8), name: segment, suffix }, ({ name, owner, suffix }) => {
    expect(GitRemote.parse(`${owner}/${name}${suffix}`)).toEqual(
      Option.some({ host: "github.com", owner, name })
    )
  })

  it.prop("and written again as an address reads as itself", { at: repository }, ({ at }) => {
    expect(GitRemote.parse(GitRemote.toUrl(at))).toEqual(Option.some(at))
    expect(GitRemote.repo(at)).toBe(`${at.owner}/${at.name}`)
  })

  it.prop("credentials in a remote go nowhere", { at: repository }, ({ at }) => {
    const read = GitRemote.parse(`https://user:hunter2hunter2@${at.host}/${at.owner}/${at.name}`)
    expect(JSON.stringify(Option.map(read, GitRemote.toUrl))).not.toContain("hunter2hunter2")
  })
})

it.each([
  "",
  "name",
  "/",
  "a/b/c",
  "./a",
  "../a",
  "/srv/git/repo",
  "C:\\code\\repo",
  "file:///srv/git/repo.git",
  "https://github.com",
  "https://github.com/",
  "https://github.com/owner",
  "https://github.com/../../etc",
  "https://github.com/a/..",
  "https://github.com/owner/name?x=1",
  "https://github.com/owner/name#x",
  "https://github.com/ow ner/name",
  "git@github.com",
  "git@github.com:name",
  "ftp://h/o/n",
  "not a remote",
  "https://:443/o/n",
  "owner/.."
])("%j is no remote", (text) => {
  expect(GitRemote.parse(text)).toEqual(Option.none())
})

it("names one repository in different spellings", () => {
  const of = (text: string) => Option.getOrThrow(GitRemote.parse(text))
  expect(GitRemote.same(of("git@GitHub.com:Owner/Name.git"), of("https://github.com/owner/name"))).toBe(true)
  expect(GitRemote.same(of("owner/name"), of("owner/other"))).toBe(false)
  expect(GitRemote.same(of("https://h:8443/o/n"), of("ssh://git@h:22/o/n"))).toBe(true)
})
