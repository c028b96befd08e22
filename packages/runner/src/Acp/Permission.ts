/**
 * Permission options of ACP and the answers that people give to `can_use_tool`. Source: spec 4 §1 (Permissions) and §2.
 *
 * A person allows or denies; an option is one of four kinds and an agent may offer several of a kind. A plain answer
 * picks the narrowest option of its side; every other option is reachable by its id, which the request's
 * `permission_suggestions` carry.
 */
import type { PermissionOption, RequestPermissionOutcome } from "@agentclientprotocol/sdk"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Read from "@causeway/transcript/Read"

export type Option = Pick<PermissionOption, "optionId" | "name" | "kind">

const kinds: ReadonlySet<string> = new Set(["allow_once", "allow_always", "reject_once", "reject_always"])
const isKind = (kind: unknown): kind is Option["kind"] => typeof kind === "string" && kinds.has(kind)

/** The options of a request. One of an unknown kind is left out: nobody could say what choosing it means. */
export const options = (value: unknown): ReadonlyArray<Option> =>
  Read.array(value).flatMap((each) => {
    const { optionId, name, kind } = Read.object(each)
    return typeof optionId === "string" && isKind(kind)
      ? [{ optionId, name: typeof name === "string" ? name : optionId, kind }]
      : []
  })

const allows = (option: Option): boolean => option.kind.startsWith("allow")

/** The option that a plain allow or deny picks: once before always. */
const plain = (offered: ReadonlyArray<Option>, allow: boolean): Option | undefined => {
  const side = offered.filter((option) => allows(option) === allow)
  return side.find((option) => option.kind.endsWith("_once")) ?? side[0]
}

/** Rules that "always allow" would add, as `can_use_tool` suggests them; `option_id` names the option meant. */
export const suggestions = (offered: ReadonlyArray<Option>, toolName: string): ReadonlyArray<JsonObject> => {
  const usual = plain(offered, true)
  return offered
    .filter((option) => allows(option) && option !== usual)
    .map((option) => ({
      type: "addRules",
      behavior: "allow",
      destination: "session",
      rules: [{ toolName }],
      option_id: option.optionId,
      option_name: option.name,
      option_kind: option.kind
    }))
}

/** Denials that say no more than the chosen option does. */
const silent: ReadonlySet<string> = new Set(["", Approvals.DENIED])

/** A person's answer in the agent's words. */
export interface Answer {
  readonly outcome: RequestPermissionOutcome
  readonly allowed: boolean
  /** The person's words on denying; ACP's outcome has no room for them. */
  readonly comment: string | undefined
  /** The turn is to end too. */
  readonly interrupt: boolean
}

/** The agent gets no decision: the turn was cancelled, or nobody can answer. */
export const cancelled: Answer = {
  outcome: { outcome: "cancelled" },
  allowed: false,
  comment: undefined,
  interrupt: false
}

const chosen = (offered: ReadonlyArray<Option>, allow: boolean, body: JsonObject): Option | undefined => {
  const named = (id: unknown): Option | undefined =>
    offered.find((option) => option.optionId === id && allows(option) === allow)
  const direct = named(body["option_id"])
  if (direct !== undefined) return direct
  const rules = Read.array(body["updatedPermissions"]).map(Read.object)
  for (const rule of rules) {
    const option = named(rule["option_id"])
    if (option !== undefined) return option
  }
  // Rules of another origin: the person wants not to be asked again.
  const always = rules.some((rule) => rule["behavior"] === (allow ? "allow" : "deny"))
    ? offered.find((option) => option.kind === (allow ? "allow_always" : "reject_always"))
    : undefined
  return always ?? plain(offered, allow)
}

/**
 * Reads the `response` of a `control_response`. An allow never picks an option that rejects nor a deny one that
 * allows; where the agent offers no option of that side, it is told `cancelled`.
 */
export const answer = (offered: ReadonlyArray<Option>, response: JsonObject): Answer => {
  const body = Read.object(response["response"])
  const isError = response["subtype"] === "error"
  const allow = !isError && body["behavior"] === "allow"
  const message = isError ? response["error"] : body["message"]
  const interrupt = !allow && body["interrupt"] === true
  const option = interrupt ? undefined : chosen(offered, allow, body)
  return {
    outcome: option === undefined ? cancelled.outcome : { outcome: "selected", optionId: option.optionId },
    allowed: allow && option !== undefined,
    comment: !allow && typeof message === "string" && !silent.has(message.trim()) ? message : undefined,
    interrupt
  }
}
