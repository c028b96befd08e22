/** `docs/permissions.md`, made from the table. */
import * as Permission from "@causeway/protocol/Permission"
import * as Permissions from "@causeway/protocol/Permissions"

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n")
}

const names = Object.keys(Permission.permissions) as ReadonlyArray<Permission.Permission>
const code = (text: string) => `\`${text}\``
const oneOf = (needs: ReadonlyArray<string>) => needs.map(code).join(" or ")
const mark = (given: ReadonlyArray<string>, permission: string) => (given.includes(permission) ? "yes" : "")

const bearers = ({ also, needs, open }: Permissions.Line): string =>
  open
    ? "nothing"
    : [oneOf(needs), ...also.map((grant) => `the ${grant}`)].filter((each) => each !== "").join("; ")

export const document = (): string => `# Who may do what

Made from the permission table (\`packages/protocol/src/Permission.ts\` and \`Permissions.ts\`), which every door of the hub asks. A test keeps this
page equal to it: \`npx vitest run -u packages/hub/test/Access/Document.test.ts\` writes it anew.

## Roles of access tokens

${table(
  ["permission", ...Permission.Role.literals, "lets"],
  names.map((name) => [
    code(name),
    ...Permission.Role.literals.map((role) => mark(Permission.permissionsOf(role), name)),
    Permission.permissions[name]
  ])
)}

## Scopes of devices

${table(
  ["permission", ...Permission.allScopes.map(code)],
  names.map((name) => [
    code(name),
    ...Permission.allScopes.map((scope) => mark(Permission.permissionsOfScopes([scope]), name))
  ])
)}

A device that signs in with an access token gets, of the scopes it asks for, those that the token's role has permissions for.

## HTTP

One permission of those that are named is enough. An environment's secret and a session's ingress token open what belongs to that
environment or session, and nothing else.

${table(
  ["endpoint", "needs"],
  Permissions.linesOf().lines.map(({ line, method, path }) => [code(`${method} ${path}`), bearers(line)])
)}

Events that are sent need \`approvals.decide\` where they answer what an agent asks (\`control_response\`), else \`sessions.write\`.

## Gateway

${table(
  ["method", "needs"],
  Object.entries<Permissions.MethodNeeds>(Permissions.methods).map(([name, needs]) => [
    code(name),
    needs.length === 0 ? "nothing" : oneOf(needs)
  ])
)}
`
