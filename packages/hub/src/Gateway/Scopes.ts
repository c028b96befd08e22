/** Roles, scopes, and who may call what. Checked here and nowhere else. Source: spec 2 §1 ("Scopes"). */

const scopes = [
  "operator.read",
  "operator.write",
  "operator.admin",
  "operator.pairing",
  "operator.approvals"
] as const
export type Scope = (typeof scopes)[number]

/** Whether this text names a scope. */
export const isScope = (text: string): text is Scope => scopes.some((scope) => scope === text)

/** Whether these scopes hold the wanted one: admin implies all, write implies read. */
export const holds = (scopes: ReadonlyArray<string>, wanted: Scope): boolean =>
  scopes.includes("operator.admin") ||
  scopes.includes(wanted) ||
  (wanted === "operator.read" && scopes.includes("operator.write"))

/**
 * Why a call is refused, in the order that clients see: role, then scope, then existence. `required` is the method's
 * scope, undefined where there is no such method: such a call needs admin, so that others learn nothing.
 */
export const refusal = (call: {
  readonly method: string
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly required: Scope | "any" | undefined
}): { readonly kind: "role" | "scope" | "method"; readonly message: string } | undefined => {
  if (call.role !== "operator") return { kind: "role", message: `unauthorized role: ${call.role}` }
  const required = call.required ?? "operator.admin"
  if (required !== "any" && !holds(call.scopes, required)) {
    return { kind: "scope", message: `missing scope: ${required}` }
  }
  return call.required === undefined
    ? { kind: "method", message: `unknown method: ${call.method}` }
    : undefined
}
