/**
 * Roles, what each may do, and the gateway's scopes, which stand for the same permissions. Which call needs which of them is
 * told by `Permissions`.
 */
import * as Schema from "effect/Schema"

/** What there is to allow, in words for people. */
export const permissions = {
  "sessions.read": "list, read and watch sessions, environments and the hub's figures",
  "sessions.write": "begin sessions, send to them, stop, rename, set and archive them",
  "sessions.manage": "change, compact, reset and delete sessions as their administrator",
  "approvals.decide": "answer what agents ask",
  "environments.serve": "register environments, take their work, and write as the agent of a session",
  "environments.manage": "make, archive and remove environments",
  "devices.manage": "list, approve, reject, remove and rename devices, and make one-time codes",
  "tokens.manage": "make, list and revoke access tokens",
  "members.manage": "invite and remove members, and change their roles",
  "audit.read": "read the audit log"
} as const
export type Permission = keyof typeof permissions

const all = Object.keys(permissions) as ReadonlyArray<Permission>

/** A role and what it may. Nobody gives away a role that may more than they do. */
export const roles = {
  owner: all,
  operator: ["sessions.read", "sessions.write", "approvals.decide"],
  approver: ["sessions.read", "approvals.decide"],
  viewer: ["sessions.read"],
  bridge: ["environments.serve"]
} as const satisfies { readonly [role: string]: ReadonlyArray<Permission> }

export const Role = Schema.Literal("owner", "operator", "approver", "viewer", "bridge")
export type Role = typeof Role.Type

export const permissionsOf = (role: Role): ReadonlyArray<Permission> => roles[role]

/** Whether a call is let through: one of what it needs is enough. */
export const allows = (given: ReadonlyArray<Permission>, needed: ReadonlyArray<Permission>): boolean =>
  needed.some((each) => given.includes(each))

/** Whether the first may nothing that the second may not. */
export const isWithin = (inner: ReadonlyArray<Permission>, outer: ReadonlyArray<Permission>): boolean =>
  inner.every((each) => outer.includes(each))

// --- The gateway's scopes ---

/** Scopes that the gateway's protocol knows, and what a device may that holds one. Source: spec 2 §1 ("Scopes"). */
export const scopes = {
  "operator.admin": all,
  "operator.read": ["sessions.read"],
  "operator.write": ["sessions.read", "sessions.write"],
  "operator.approvals": ["approvals.decide"],
  "operator.pairing": ["devices.manage"]
} as const satisfies { readonly [scope: string]: ReadonlyArray<Permission> }
export type Scope = keyof typeof scopes

export const allScopes = Object.keys(scopes) as ReadonlyArray<Scope>

/** Whether this text names a scope. */
export const isScope = (text: string): text is Scope => Object.hasOwn(scopes, text)

/** What these scopes allow together; texts that name none allow nothing. */
export const permissionsOfScopes = (given: ReadonlyArray<string>): ReadonlyArray<Permission> => [
  ...new Set(given.filter(isScope).flatMap((scope): ReadonlyArray<Permission> => scopes[scope]))
]

/** The scope that a refusal names: the least that gives this permission. */
export const scopeOf = (permission: Permission): Scope =>
  allScopes.find(
    (scope) => scope !== "operator.admin" && scopes[scope].some((each) => each === permission)
  ) ?? "operator.admin"

/** The least role that may what these scopes allow; undefined where they allow nothing. */
export const roleOfScopes = (given: ReadonlyArray<string>): Role | undefined => {
  const wanted = permissionsOfScopes(given)
  if (wanted.length === 0) return undefined
  return (
    (["viewer", "approver", "operator"] as const).find((role) => isWithin(wanted, roles[role])) ?? "owner"
  )
}
