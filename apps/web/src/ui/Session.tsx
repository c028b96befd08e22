/** The session that is open: what it is, what was said, and where to write. */
import { X } from "lucide-react"
import { useEffect, useRef, useState } from "react"
import type { Open } from "../Model.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { Composer } from "./Composer.tsx"
import { ArchiveDialog, RenameDialog, SettingsDialog } from "./SessionDialogs.tsx"
import { SessionHeader } from "./SessionHeader.tsx"
import { Transcript } from "./Transcript.tsx"
import { useModel, useModelState } from "./use.ts"

export const SessionPane = ({ open, seq }: { readonly open: Open; readonly seq: number | null }) => {
  const model = useModel()
  const state = useModelState()
  const [dialog, setDialog] = useState<"settings" | "rename" | "archive" | null>(null)
  const heading = useRef<HTMLHeadingElement>(null)
  const { row } = open.view
  const listed = state.sessions.find((session) => session.id === open.id)
  const archived = row.archivedAt !== null || listed?.archived === true
  // A log whose beginning is not read does not know what was said there.
  // While the hub is away nobody knows whether anything was said.
  const isKnown = listed !== undefined || open.connection._tag === "connected"
  const title =
    (open.start > 0 ? listed?.title : row.title) ??
    row.title ??
    listed?.title ??
    (isKnown ? "New session" : "Session")
  const place = state.environments.find(({ id }) => id === listed?.environmentId)
  const gone = open.connection._tag === "ended" && open.connection.reason === "not-found"
  const busy = row.status === "running" || row.status === "requires_action"
  // A session that nobody has asked for takes the focus from nothing.
  const wanted = state.route._tag === "Session"
  // biome-ignore lint/correctness/useExhaustiveDependencies: the focus moves when another session is opened.
  useEffect(() => {
    if (wanted) heading.current?.focus({ preventScroll: true })
  }, [open.id, wanted])
  useEffect(() => {
    document.title = `${row.status === "requires_action" ? "● " : ""}${Text.line(title, 80)} · Causeway`
  }, [title, row.status])
  const close = () => setDialog(null)
  return (
    <section className="session" aria-label="Session">
      <SessionHeader
        open={open}
        title={title}
        archived={archived}
        gone={gone}
        heading={heading}
        ask={setDialog}
      />
      {gone ? (
        <div className="blank">
          <p>This session is not there. It was deleted, or this link is of another hub.</p>
          <a href={Route.toList}>Back to the sessions</a>
        </div>
      ) : (
        <Transcript open={open} seq={seq} />
      )}
      {place?.offers.standIn === true ? (
        <p className="notice" role="note">
          <span>
            No agent is installed on this machine: a scripted stand-in answers, which understands nothing.
          </span>
        </p>
      ) : null}
      {open.notice === null ? null : (
        <p className="notice" role="status">
          <span>{Text.line(open.notice, 400)}</span>
          <button type="button" className="icon" aria-label="Dismiss" onClick={() => model.dismiss()}>
            <X size={14} aria-hidden="true" />
          </button>
        </p>
      )}
      {gone || archived ? null : (
        <Composer
          key={open.id}
          open={open}
          environmentId={place?.id ?? null}
          busy={busy}
          stopping={busy && open.view.stopping}
        />
      )}
      {dialog === "settings" ? <SettingsDialog open={open} close={close} /> : null}
      {dialog === "rename" ? <RenameDialog id={open.id} title={title} close={close} /> : null}
      {dialog === "archive" ? <ArchiveDialog id={open.id} close={close} /> : null}
    </section>
  )
}
