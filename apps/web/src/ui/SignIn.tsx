/** Getting in: by a token that is typed, by a link that was followed, and while somebody has to approve this device. */
import { useEffect, useState } from "react"
import type { Ticket } from "../Credentials.ts"
import type { SignedOut } from "../Model.ts"
import * as Route from "../Route.ts"
import { ConnectionLine } from "./Connection.tsx"
import { Problem } from "./Page.tsx"
import { useModelState, useTitle } from "./use.ts"

const another =
  "Make a new one with `causeway devices code` where the hub runs, or under Devices on a page that is signed in."

/** Why this page is signed out, and what to do about it. */
export const words = ({ refusal, message }: SignedOut): string => {
  switch (refusal) {
    case "token":
      return "The token is not accepted any more."
    case "code-used":
      return `This link was used already, and it lets in only one device. ${another}`
    case "code-expired":
      return `This link has expired. ${another}`
    case "code-unknown":
      return `The hub does not know the code of this link: it was cut short, or it is another hub's. ${another}`
    case "revoked":
      return "This device was signed out: it was removed from the hub's devices. Sign in again to go on."
    case "kept":
      return `Signed out here, but this device is still on the hub's list (${message}): remove it there under Devices.`
    case "other":
      return `The hub does not let this page in: ${message}`
  }
}

export const SignIn = ({
  why,
  enter,
  resume
}: {
  readonly why: SignedOut | null
  readonly enter: (ticket: Ticket) => void
  /** Goes on as the device that is signed in all the same; null where none is. */
  readonly resume: (() => void) | null
}) => {
  const [typed, setTyped] = useState("")
  useEffect(() => {
    document.title = "Sign in · Causeway"
  }, [])
  return (
    <main className="sign-in">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const ticket = Route.ticketOf(typed)
          if (ticket !== null) enter(ticket)
        }}
      >
        <h1>Causeway</h1>
        <Problem text={why && words(why)} />
        <label htmlFor="token">Access token</label>
        <input
          id="token"
          type="password"
          autoComplete="off"
          required
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        <button type="submit" className="primary">
          Open
        </button>
        {resume === null ? null : (
          <button type="button" onClick={resume}>
            Go on as before
          </button>
        )}
        <p className="note">
          A token, or a whole address that Causeway printed. It is used once: this browser keeps a key of its
          own, which can be revoked under Devices.
        </p>
      </form>
    </main>
  )
}

/** What is shown until the hub has let this device in for the first time. */
export const Entering = ({ cancel }: { readonly cancel: () => void }) => {
  const { connection, connectionAt } = useModelState()
  useTitle("Signing in")
  return (
    <main className="sign-in">
      <div className="box-in">
        <h1>Causeway</h1>
        {connection._tag === "waiting" ? (
          <>
            <h2>This device waits for approval</h2>
            <p>
              Approve it under Devices on a page that is signed in, or where the hub runs with this command:
            </p>
            <pre>
              <code>node apps/bridge devices approve {connection.requestId}</code>
            </pre>
            <p className="note" role="status">
              Keep this page open: it asks again every few seconds, and opens by itself.
            </p>
          </>
        ) : (
          <p>
            Signing in: <ConnectionLine connection={connection} since={connectionAt} />
          </p>
        )}
        <button type="button" onClick={cancel}>
          Cancel
        </button>
      </div>
    </main>
  )
}
