/** The session that is open: what it is, what was said, and where to write. */
import * as SessionView from "@causeway/transcript/View/SessionView"
import { X } from "lucide-react"
import { useEffect, useRef, useState } from "react"
import * as Route from "../Route.ts"
import * as State from "../State.ts"
import * as Text from "../Text.ts"
import { AheadDialog, ContinueDialog } from "./AheadDialogs.tsx"
import { Composer } from "./Composer.tsx"
import { FilesDialog } from "./FilesDialog.tsx"
import { ArchiveDialog, RenameDialog, SettingsDialog } from "./SessionDialogs.tsx"
import { type SessionDialog, SessionHeader } from "./SessionHeader.tsx"
import { Transcript } from "./Transcript.tsx"
import { useModel, useModelState, useTitle } from "./use.ts"

export const SessionPane = ({ open, seq }: { readonly open: State.Open; readonly seq: number | null }) => {
  const model = useModel()
  const state = useModelState()
  const [dialog, setDialog] = useState<SessionDialog | null>(null)
  const heading = useRef<HTMLHeadingElement>(null)
  const { row } = open.view
  const about = State.about(state, open)
  // While the hub is away nobody knows whether anything was said.
  const isKnown = about.session !== undefined || open.connection._tag === "connected"
  const title = about.title ?? (isKnown ? "New session" : "Session")
  const gone = open.connection._tag === "ended" && open.connection.reason === "not-found"
  const busy = SessionView.isRunning(open.view)
  // A session that nobody has asked for takes the focus from nothing.
  const wanted = state.route._tag === "Session"
  // biome-ignore lint/correctness/useExhaustiveDependencies: the focus moves when another session is opened.
  useEffect(() => {
    if (wanted) heading.current?.focus({ preventScroll: true })
  }, [open.id, wanted])
  useTitle(`${row.status === "requires_action" ? "● " : ""}${Text.line(title, 80)}`)
  const close = () => setDialog(null)
  return (
    <section className="session" aria-label="Session">
      <SessionHeader
        open={open}
        title={title}
        archived={about.isArchived}
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
      {about.environment?.offers.standIn === true ? (
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
      {gone || about.isArchived ? null : (
        <Composer
          key={open.id}
          open={open}
          environmentId={about.environment?.id ?? null}
          busy={busy}
          stopping={busy && open.view.turn.isStopping === true}
        />
      )}
      {dialog === "settings" ? <SettingsDialog open={open} close={close} /> : null}
      {dialog === "ahead" ? <AheadDialog open={open} close={close} /> : null}
      {dialog === "continue" ? <ContinueDialog open={open} close={close} /> : null}
      {dialog === "files" ? <FilesDialog id={open.id} close={close} /> : null}
      {dialog === "rename" ? <RenameDialog id={open.id} title={title} close={close} /> : null}
      {dialog === "archive" ? <ArchiveDialog id={open.id} close={close} /> : null}
    </section>
  )
}
