/** The session that is open: what it is, how it is connected, what was said, and where to write. */
import * as Usage from "@causeway/transcript/Usage"
import { Archive, ChevronLeft, Download, Pencil, Pin, PinOff, Settings2, X } from "lucide-react"
import { useEffect, useRef, useState } from "react"
import type { Open } from "../Model.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { Composer } from "./Composer.tsx"
import { ConnectionLine } from "./Connection.tsx"
import { Dialog } from "./Dialog.tsx"
import { modes } from "./NewSession.tsx"
import { statusText } from "./Sidebar.tsx"
import { Transcript } from "./Transcript.tsx"
import { useModel, useModelState } from "./use.ts"

/** Shares of the context from which a person is warned. */
export const WARN = 0.6
export const ALARM = 0.9

/** How full the context is. */
export const Context = ({ used, model }: { readonly used: number; readonly model: string | null }) => {
  const share = used / Usage.contextLimit(model)
  const percent = Math.round(share * 100)
  const kind = share >= ALARM ? "bad" : share >= WARN ? "warn" : ""
  return (
    <span className={`context ${kind}`} title={`${Text.tokens(used)} tokens`}>
      <meter
        min={0}
        max={100}
        low={60}
        high={90}
        optimum={0}
        value={Math.min(100, percent)}
        aria-label="Context used"
      />
      {percent} % of context
      {share >= ALARM ? " · nearly full" : share >= WARN ? " · filling" : ""}
    </span>
  )
}

const SettingsDialog = ({ open, close }: { readonly open: Open; readonly close: () => void }) => {
  const model = useModel()
  const state = useModelState()
  const { row } = open.view
  const listed = state.sessions.find((session) => session.id === open.id)
  const [name, setName] = useState(row.model ?? listed?.model ?? "")
  const mode = row.permissionMode ?? listed?.permissionMode ?? ""
  return (
    <Dialog title="Model and permissions" close={close}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          if (name.trim() !== "") model.setModel(name.trim())
          close()
        }}
      >
        <label htmlFor="set-model">Model</label>
        <input
          id="set-model"
          list="set-models"
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <datalist id="set-models">
          {state.models.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
        <label htmlFor="set-mode">Permissions</label>
        <select id="set-mode" value={mode} onChange={(event) => model.setMode(event.target.value)}>
          {modes.some(([value]) => value === mode) ? null : (
            <option value={mode}>{mode === "" ? "not told" : mode}</option>
          )}
          {modes.map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        </select>
        <p className="note">A change holds once the agent has confirmed it.</p>
        <div className="actions">
          <span className="grow" />
          <button type="submit" className="primary">
            Done
          </button>
        </div>
      </form>
    </Dialog>
  )
}

const RenameDialog = ({
  id,
  title,
  close
}: {
  readonly id: string
  readonly title: string
  readonly close: () => void
}) => {
  const model = useModel()
  const [text, setText] = useState(title)
  const [problem, setProblem] = useState<string | null>(null)
  return (
    <Dialog title="Rename session" close={close}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          void model.rename(id, text.trim()).then((refused) => {
            setProblem(refused)
            if (refused === null) close()
          })
        }}
      >
        <label htmlFor="rename">Title</label>
        <input id="rename" value={text} maxLength={200} onChange={(event) => setText(event.target.value)} />
        {problem === null ? null : (
          <p className="note bad" role="alert">
            {problem}
          </p>
        )}
        <div className="actions">
          <span className="grow" />
          <button type="submit" className="primary">
            Save
          </button>
        </div>
      </form>
    </Dialog>
  )
}

const download = (name: string, text: string): void => {
  const url = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }))
  const link = document.createElement("a")
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

export const SessionPane = ({ open, seq }: { readonly open: Open; readonly seq: number | null }) => {
  const model = useModel()
  const state = useModelState()
  const [dialog, setDialog] = useState<"settings" | "rename" | "archive" | null>(null)
  const heading = useRef<HTMLHeadingElement>(null)
  const { row } = open.view
  const listed = state.sessions.find((session) => session.id === open.id)
  const archived = row.archivedAt !== null || listed?.archived === true
  // A log whose beginning is not read does not know what was said there.
  const part = open.start > 0
  const title = (part ? listed?.title : row.title) ?? row.title ?? listed?.title ?? "New session"
  const cost = row.totalCostUsd ?? listed?.costUsd ?? null
  const used = row.contextTokens ?? listed?.contextTokens ?? null
  const name = row.model ?? listed?.model ?? null
  const gone = open.connection._tag === "ended" && open.connection.reason === "not-found"
  const busy = row.status === "running" || row.status === "requires_action"
  // biome-ignore lint/correctness/useExhaustiveDependencies: the focus moves when another session is opened.
  useEffect(() => heading.current?.focus({ preventScroll: true }), [open.id])
  useEffect(() => {
    document.title = `${row.status === "requires_action" ? "● " : ""}${Text.line(title, 80)} · Causeway`
  }, [title, row.status])
  const status = archived ? "archived" : row.status
  return (
    <section className="session" aria-label="Session">
      <header>
        <div className="line">
          <a className="icon back" href={Route.toList} aria-label="Sessions">
            <ChevronLeft size={20} aria-hidden="true" />
          </a>
          <h2 ref={heading} tabIndex={-1}>
            <bdi>{Text.line(title, 160)}</bdi>
          </h2>
          <span className={`status pill ${status}`}>{statusText(row.status, archived)}</span>
          <span className="grow" />
          <div className="row" role="toolbar" aria-label="Session">
            <button
              type="button"
              className="icon"
              title="Rename"
              aria-label="Rename"
              onClick={() => setDialog("rename")}
            >
              <Pencil size={16} aria-hidden="true" />
            </button>
            <button
              type="button"
              className="icon"
              aria-pressed={state.pinned.has(open.id)}
              aria-label="Pin"
              title={state.pinned.has(open.id) ? "Unpin" : "Pin"}
              onClick={() => model.pin(open.id)}
            >
              {state.pinned.has(open.id) ? (
                <PinOff size={16} aria-hidden="true" />
              ) : (
                <Pin size={16} aria-hidden="true" />
              )}
            </button>
            <button
              type="button"
              className="icon"
              title="Model and permissions"
              aria-label="Model and permissions"
              onClick={() => setDialog("settings")}
            >
              <Settings2 size={16} aria-hidden="true" />
            </button>
            <button
              type="button"
              className="icon"
              title="Export the transcript"
              aria-label="Export the transcript"
              onClick={() =>
                void model.exportLog(open.id).then((text) => {
                  if (text !== null) download(`${open.id}.jsonl`, text)
                })
              }
            >
              <Download size={16} aria-hidden="true" />
            </button>
            {archived ? null : (
              <button
                type="button"
                className="icon"
                title="Archive"
                aria-label="Archive"
                onClick={() => setDialog("archive")}
              >
                <Archive size={16} aria-hidden="true" />
              </button>
            )}
          </div>
        </div>
        <div className="line facts">
          <ConnectionLine connection={open.connection} since={open.connectionAt} />
          {name === null ? null : <bdi>{Text.line(name, 60)}</bdi>}
          {used === null ? null : <Context used={used} model={name} />}
          {row.usage === null ? null : (
            <span title="Tokens of the last message: read and written">
              {Text.tokens(row.usage.inputTokens + row.usage.cacheReadTokens + row.usage.cacheCreationTokens)}{" "}
              in · {Text.tokens(row.usage.outputTokens)} out
            </span>
          )}
          {cost === null ? null : <span>${cost.toFixed(2)}</span>}
        </div>
      </header>
      {gone ? (
        <div className="blank">
          <p>This session is not there. It was deleted, or this link is of another hub.</p>
          <a href={Route.toList}>Back to the sessions</a>
        </div>
      ) : (
        <Transcript open={open} seq={seq} />
      )}
      {open.notice === null ? null : (
        <p className="notice" role="status">
          <span>{Text.line(open.notice, 400)}</span>
          <button type="button" className="icon" aria-label="Dismiss" onClick={() => model.dismiss()}>
            <X size={14} aria-hidden="true" />
          </button>
        </p>
      )}
      {gone || archived ? null : (
        <Composer key={open.id} open={open} busy={busy} stopping={busy && open.view.stopping} />
      )}
      {dialog === "settings" ? <SettingsDialog open={open} close={() => setDialog(null)} /> : null}
      {dialog === "rename" ? <RenameDialog id={open.id} title={title} close={() => setDialog(null)} /> : null}
      {dialog === "archive" ? (
        <Dialog title="Archive this session?" close={() => setDialog(null)}>
          <p>Its transcript stays and can be read; nothing more can be sent.</p>
          <div className="actions">
            <span className="grow" />
            <button type="button" onClick={() => setDialog(null)}>
              Cancel
            </button>
            <button
              type="button"
              className="danger"
              onClick={() => {
                setDialog(null)
                void model.archive(open.id)
              }}
            >
              Archive
            </button>
          </div>
        </Dialog>
      ) : null}
    </section>
  )
}
