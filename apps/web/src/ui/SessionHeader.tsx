/** What a session is, how it is connected, what it costs, and what can be done with the whole of it. */
import {
  Archive,
  Download,
  FileText,
  FolderGit2,
  GitFork,
  Pencil,
  Pin,
  PinOff,
  Settings2,
  ShieldCheck
} from "lucide-react"
import { type ReactNode, type RefObject, useMemo } from "react"
import * as Place from "../Place.ts"
import * as State from "../State.ts"
import * as Text from "../Text.ts"
import { Ahead } from "./AheadDialogs.tsx"
import { ConnectionLine } from "./Connection.tsx"
import { Context } from "./Context.tsx"
import { modes } from "./fields.tsx"
import { Lineage } from "./Lineage.tsx"
import { Back } from "./Page.tsx"
import { statusText } from "./status.ts"
import { useModel, useModelState } from "./use.ts"

const download = (name: string, text: string): void => {
  const url = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }))
  const link = document.createElement("a")
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

const Action = ({
  name,
  title = name,
  pressed,
  act,
  children
}: {
  readonly name: string
  readonly title?: string
  readonly pressed?: boolean
  readonly act: () => void
  readonly children: ReactNode
}) => (
  <button type="button" className="icon" title={title} aria-label={name} aria-pressed={pressed} onClick={act}>
    {children}
  </button>
)

/** Where the agent works. */
const Where = ({ open }: { readonly open: State.Open }) => {
  const { environment, session } = State.about(useModelState(), open)
  const place = Place.of(open.id, open.view.row.workingDirectory, session, environment)
  if (place === null) return null
  const directory = place.directory === null ? "a worktree that is made when it begins" : place.directory
  const where = `${place.machine === null ? "" : `${place.machine}:`}${directory}`
  return (
    <span className="where" title={Text.line(where, 400)}>
      <FolderGit2 size={13} aria-hidden="true" />
      {place.isWorktree ? <span>worktree</span> : null}
      <span className="path" translate="no">
        <bdi dir="ltr">{Text.line(directory, 200)}</bdi>
      </span>
      {place.branch === null ? null : (
        <bdi className="branch" translate="no" title="Branch">
          {Text.line(place.branch, 120)}
        </bdi>
      )}
    </span>
  )
}

/** What the agent is set to, and how full and how dear its session is. */
const Facts = ({
  open,
  ask
}: {
  readonly open: State.Open
  readonly ask: (dialog: SessionDialog) => void
}) => {
  const change = () => ask("settings")
  const { costUsd, contextTokens, mode, model } = State.about(useModelState(), open)
  const { row, window } = open.view
  const { items } = window.conversation
  const worked = useMemo(
    () => items.reduce((sum, item) => sum + (item.kind === "turn" ? (item.durationMs ?? 0) : 0), 0),
    [items]
  )
  return (
    <div className="line facts">
      <ConnectionLine connection={open.connection} since={open.connectionAt} />
      {model === null ? null : (
        <button type="button" className="fact" translate="no" title="Model: change it" onClick={change}>
          <bdi>{Text.line(model, 60)}</bdi>
        </button>
      )}
      {mode === null ? null : (
        <button type="button" className="fact" title="Permissions: change them" onClick={change}>
          {modes.find(([value]) => value === mode)?.[1] ?? Text.line(mode, 60)}
        </button>
      )}
      <Ahead open={open} change={() => ask("ahead")} />
      {contextTokens === null ? null : <Context used={contextTokens} model={model} />}
      {row.usage === null ? null : (
        <span className="usage" title="Tokens of the last message: read and written">
          {Text.tokens(row.usage.inputTokens + row.usage.cacheReadTokens + row.usage.cacheCreationTokens)} in
          · {Text.tokens(row.usage.outputTokens)} out
        </span>
      )}
      {costUsd === null ? null : <span>{Text.dollars(costUsd)}</span>}
      {worked === 0 || window.after > 0 ? null : (
        <span title="Time that the agent has worked">{Text.seconds(worked)}</span>
      )}
      <Where open={open} />
    </div>
  )
}

/** Dialogs about the session. */
export type SessionDialog = "settings" | "ahead" | "continue" | "files" | "rename" | "archive"

export const SessionHeader = ({
  open,
  title,
  archived,
  gone,
  heading,
  ask
}: {
  readonly open: State.Open
  readonly title: string
  readonly archived: boolean
  /** There is no such session: nothing can be done with it. */
  readonly gone: boolean
  readonly heading: RefObject<HTMLHeadingElement | null>
  readonly ask: (dialog: SessionDialog) => void
}) => {
  const model = useModel()
  const state = useModelState()
  const pinned = state.pinned.has(open.id)
  const { agent, row } = open.view
  // A page that was opened without the hub knows nothing of the session, not even that it waits.
  const known = row.lastSeq > 0 || State.listed(state, open.id) !== undefined
  return (
    <header>
      <div className="line">
        <Back />
        <h1 className="title" ref={heading} tabIndex={-1}>
          <bdi>{Text.line(title, 160)}</bdi>
        </h1>
        {known ? (
          <span className={`status pill ${archived ? "archived" : row.status}`}>
            {statusText(row.status, archived, agent.isConnected === true)}
          </span>
        ) : null}
        <span className="grow" />
        <div className="row" role="toolbar" aria-label="Session" hidden={gone}>
          <Action name="Rename" act={() => ask("rename")}>
            <Pencil size={16} aria-hidden="true" />
          </Action>
          <Action name="Pin" title={pinned ? "Unpin" : "Pin"} pressed={pinned} act={() => model.pin(open.id)}>
            {pinned ? <PinOff size={16} aria-hidden="true" /> : <Pin size={16} aria-hidden="true" />}
          </Action>
          <Action name="Model and permissions" act={() => ask("settings")}>
            <Settings2 size={16} aria-hidden="true" />
          </Action>
          <Action name="Allowed without asking" act={() => ask("ahead")}>
            <ShieldCheck size={16} aria-hidden="true" />
          </Action>
          <Action name="Go on from here" title="Continue in a new session" act={() => ask("continue")}>
            <GitFork size={16} aria-hidden="true" />
          </Action>
          <Action name="Files read" act={() => ask("files")}>
            <FileText size={16} aria-hidden="true" />
          </Action>
          <Action
            name="Export the transcript"
            act={() =>
              void model.hub.exportLog(open.id).then((text) => {
                if (text !== null) download(`${open.id}.jsonl`, text)
              })
            }
          >
            <Download size={16} aria-hidden="true" />
          </Action>
          {archived ? null : (
            <Action name="Archive" act={() => ask("archive")}>
              <Archive size={16} aria-hidden="true" />
            </Action>
          )}
        </div>
      </div>
      <Facts open={open} ask={ask} />
      <Lineage open={open} />
    </header>
  )
}
