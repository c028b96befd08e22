/** `audit`: who signed in, was refused, made, changed and ended what; on the hub's own machine, whether it runs or not. */
import * as Visible from "@causeway/protocol/Visible"
import * as Audit from "@causeway/store/Audit"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Flag from "../Cli/Flag.ts"
import { Failure } from "../Failure.ts"
import * as LocalStore from "../LocalStore.ts"
import type { Output } from "../Output.ts"

const show = (line: Audit.Line, output: typeof Output.Service) => {
  const { action, address, at, author, details, hash, no, subject } = line
  const time = new Date(at).toISOString()
  const by = author === undefined ? "" : ` by ${author.name} (${author.role})`
  const from = address === undefined ? "" : ` from ${address}`
  return output.tell(
    {
      no,
      at: time,
      action,
      author: author ?? null,
      address: address ?? null,
      subject: subject ?? null,
      details,
      hash
    },
    `${no}  ${time}  ${Visible.line(`${action} ${subject ?? ""}${by}${from} ${JSON.stringify(details)}`)}`
  )
}

const verified = (verdict: Audit.Verdict, output: typeof Output.Service) => {
  switch (verdict._tag) {
    case "Whole":
      return output.tell(
        { event: "audit_whole", lines: verdict.lines, head: verdict.head ?? null },
        `${verdict.lines} lines, each follows from the one before; keep the hash of the last elsewhere: ${verdict.head ?? "none yet"}`
      )
    case "Broken":
      return Failure.failed(
        `the audit log was changed: line ${verdict.no} does not follow from the one before`
      )
    case "Missing":
      return Failure.failed(
        `no line has the hash ${verdict.hash}: the end of the audit log was cut off, or it was written anew`
      )
  }
}

export const audit = LocalStore.command(
  "audit",
  "Print the audit log, oldest first",
  {
    verify: Flag.toggle("verify", "Check that no line was changed or taken out"),
    head: Flag.text("head", "HASH", "With --verify: a hash that was kept; it has to be there"),
    limit: Flag.withDefault(Flag.integer("limit", "N", [1, 100_000], "The newest lines (default: 100)"), 100)
  },
  ({ head, limit, verify }, organizationId, output) =>
    Effect.gen(function* () {
      const log = yield* Audit.Audit
      if (verify) return yield* verified(yield* log.verify(Option.getOrUndefined(head)), output)
      const lines = yield* log.list({ organizationId, limit })
      yield* Effect.forEach(lines.toReversed(), (line) => show(line, output), { discard: true })
    })
)
