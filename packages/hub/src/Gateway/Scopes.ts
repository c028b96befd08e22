/** Roles, scopes, and who may call what over the gateway. Source: spec 2 §1 ("Scopes"). */
import { allows, permissionsOfScopes, type Scope, scopeOf } from "@causeway/protocol/Permission"
import type { MethodNeeds } from "@causeway/protocol/Permissions"

/** Whether these scopes hold the wanted one: admin implies all, write implies read. */
export const holds = (scopes: ReadonlyArray<string>, wanted: Scope): boolean =>
  scopes.includes("operator.admin") ||
  scopes.includes(wanted) ||
  (wanted === "operator.read" && scopes.includes("operator.write"))

/**
 * Why a call is refused, in the order that clients see: role, then scope, then existence. `needs` is undefined where there
 * is no such method: such a call needs admin, so that others learn nothing.
 */
export const refusal = (call: {
  readonly method: string
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly needs: MethodNeeds | undefined
}): { readonly kind: "role" | "scope" | "method"; readonly message: string } | undefined => {
  if (call.role !== "operator") return { kind: "role", message: `unauthorized role: ${call.role}` }
  const missing = missingScope(call.scopes, call.needs)
  if (missing !== undefined) return { kind: "scope", message: `missing scope: ${missing}` }
  return call.needs === undefined ? { kind: "method", message: `unknown method: ${call.method}` } : undefined
}

const missingScope = (scopes: ReadonlyArray<string>, needs: MethodNeeds | undefined): Scope | undefined => {
  if (needs === undefined) return scopes.includes("operator.admin") ? undefined : "operator.admin"
  const [first] = needs
  return first === undefined || allows(permissionsOfScopes(scopes), needs) ? undefined : scopeOf(first)
}
