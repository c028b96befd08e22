/** Where people write to the agent: drafts, history, commands, attachments. */
import { CornerDownRight, Paperclip, SendHorizontal, Square } from "lucide-react"
import {
  type ClipboardEvent,
  type DragEvent,
  type KeyboardEvent,
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useState
} from "react"
import * as Attachment from "../Attachment.ts"
import * as Keys from "../Keys.ts"
import * as Mention from "../Mention.ts"
import type { Open } from "../State.ts"
import * as Text from "../Text.ts"
import { Attached } from "./Attached.tsx"
import { useAttachments } from "./attachments.ts"
import { Offers } from "./Offers.tsx"
import { Problem } from "./Page.tsx"
import { useModel, useRead, useStores } from "./use.ts"

const draftKey = (id: string) => `draft:${id}`

export const Composer = ({
  open,
  environmentId,
  busy,
  stopping
}: {
  readonly open: Open
  readonly environmentId: string | null
  readonly busy: boolean
  readonly stopping: boolean
}) => {
  const model = useModel()
  const [store] = useStores()
  const [text, setText] = useState(() => store.get(draftKey(open.id)) ?? "")
  const { add, attached, clear, isReading, problem, remove } = useAttachments(open.id)
  const [over, setOver] = useState(false)
  const [caret, setCaret] = useState(0)
  const [picked, setPicked] = useState(0)
  const [dismissed, setDismissed] = useState(false)
  const [past, setPast] = useState(-1)
  const box = useRef<HTMLTextAreaElement>(null)
  const file = useRef<HTMLInputElement>(null)
  const listId = useId()

  const write = (next: string, at: number = next.length): void => {
    setText(next)
    setCaret(at)
    setDismissed(false)
    setPicked(0)
    if (next === "") store.remove(draftKey(open.id))
    else store.set(draftKey(open.id), next)
  }

  useEffect(() => {
    const element = box.current
    if (element === null || text.length < 0) return
    element.style.height = "auto"
    element.style.height = `${Math.min(240, element.scrollHeight)}px`
  }, [text])

  const { items } = open.view.window.conversation
  /** What was sent before, the latest first; read when it is asked for, for it changes with every event. */
  const history = (): ReadonlyArray<string> =>
    items
      .flatMap((item) =>
        item.kind === "message" && item.role === "user" && item.text !== "" ? [item.text] : []
      )
      .slice(-100)
      .reverse()
  const typing = dismissed ? null : Mention.at(text, caret)
  const kind = typing?.kind
  /** Files of the machine's directory; null until somebody names one. */
  const readFiles = useCallback(async () => {
    const told = environmentId === null ? undefined : await model.hub.files(environmentId)
    return told?.ok ? told.value : null
  }, [environmentId, model])
  const files = useRead(kind === "file" ? readFiles : null)
  const { commands } = open.view.turn
  const names = useMemo(
    () =>
      kind === "command"
        ? (commands ?? [])
        : kind === "file"
          ? // What the agent has named comes first.
            [...new Set([...Mention.files(items), ...(files ?? [])])]
          : [],
    [kind, commands, items, files]
  )
  const offers = typing === null ? [] : Mention.offers(names, typing)
  /** Where the caret belongs once what was chosen stands in the field. */
  const moved = useRef<number | null>(null)
  const choose = (offer: string): void => {
    if (typing === null) return
    const next = Mention.put(text, caret, typing, offer)
    write(next.text, next.caret)
    moved.current = next.caret
    box.current?.focus()
  }
  useLayoutEffect(() => {
    if (moved.current === null || text.length < moved.current) return
    box.current?.setSelectionRange(moved.current, moved.current)
    moved.current = null
  }, [text])
  const send = (steer: boolean): void => {
    const words = text.trim()
    if (words === "" && attached.length === 0) return
    model.send(
      words,
      attached.map(({ block }) => block),
      steer
    )
    write("")
    clear()
    setPast(-1)
  }

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    const key = event.nativeEvent
    const element = event.currentTarget
    if (offers.length > 0) {
      const offer = offers[picked] ?? offers[0]
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault()
        setPicked((picked + (event.key === "ArrowDown" ? 1 : offers.length - 1)) % offers.length)
        return
      }
      if ((Keys.isEnter(key) || (event.key === "Tab" && !Keys.isModified(key))) && offer !== undefined) {
        event.preventDefault()
        choose(offer)
        return
      }
      if (Keys.isEscape(key)) {
        setDismissed(true)
        return
      }
    }
    if (Keys.isEnter(key)) {
      event.preventDefault()
      // Held down it would send what is typed next.
      if (event.repeat) return
      send(event.ctrlKey || event.metaKey ? busy : false)
      return
    }
    const { selectionStart, selectionEnd } = element
    const older =
      event.key === "ArrowUp" &&
      (text === "" || past >= 0) &&
      selectionStart === selectionEnd &&
      !text.slice(0, selectionStart).includes("\n")
    const earlier = older ? history()[past + 1] : undefined
    if (earlier !== undefined) {
      event.preventDefault()
      write(earlier)
      setPast(past + 1)
    } else if (event.key === "ArrowDown" && past >= 0 && !text.slice(selectionEnd).includes("\n")) {
      event.preventDefault()
      write(past === 0 ? "" : (history()[past - 1] ?? ""))
      setPast(past - 1)
    } else if (Keys.isEscape(key) && !event.repeat && busy) model.stop()
  }
  const onDrag = (event: DragEvent): void => {
    if (!event.dataTransfer.types.includes("Files")) return
    event.preventDefault()
    setOver(true)
  }
  const onPaste = (event: ClipboardEvent): void => {
    const given = [...event.clipboardData.files]
    if (given.length === 0) return
    event.preventDefault()
    void add(given)
  }
  const empty = text.trim() === "" && attached.length === 0

  return (
    <form
      className={over ? "composer over" : "composer"}
      onSubmit={(event) => {
        event.preventDefault()
        send(false)
      }}
      onDragOver={onDrag}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(document.elementFromPoint(event.clientX, event.clientY)))
          setOver(false)
      }}
      onDrop={(event) => {
        setOver(false)
        if (event.dataTransfer.files.length === 0) return
        event.preventDefault()
        void add([...event.dataTransfer.files])
      }}
    >
      <Offers
        id={listId}
        kind={kind}
        offers={offers}
        isKnown={names.length > 0}
        picked={picked}
        choose={choose}
      />
      <Attached all={attached} remove={remove} />
      {isReading ? (
        <div className="note" role="status">
          Reading…
        </div>
      ) : null}
      <Problem text={problem} />
      <div className="box">
        <textarea
          ref={box}
          rows={1}
          placeholder={busy ? "Message the agent: it takes it when it can" : "Message the agent"}
          aria-label="Message the agent"
          aria-autocomplete="list"
          aria-describedby={`${listId}-keys`}
          {...(offers.length === 0
            ? {}
            : { "aria-controls": listId, "aria-activedescendant": `${listId}-${picked}` })}
          value={text}
          onChange={(event) => {
            setPast(-1)
            write(event.target.value, event.target.selectionStart)
          }}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <div className="tools">
          <input
            ref={file}
            type="file"
            multiple
            hidden
            aria-label="Files to attach"
            onChange={(event) => {
              void add([...(event.target.files ?? [])])
              event.target.value = ""
            }}
          />
          <button
            type="button"
            className="icon"
            aria-label="Attach files"
            title={`Attach images, PDFs or text, up to ${Text.bytes(Attachment.BYTES_MAX)} together`}
            onClick={() => file.current?.click()}
          >
            <Paperclip size={17} aria-hidden="true" />
          </button>
          <span className="grow hint" id={`${listId}-keys`}>
            {busy
              ? "Enter queues · Ctrl+Enter steers · Esc stops"
              : "Enter sends · / commands · @ files · ↑ history"}
          </span>
          {busy ? (
            <>
              <button type="button" className="danger" disabled={stopping} onClick={() => model.stop()}>
                <Square size={13} aria-hidden="true" />
                {stopping ? "Stopping…" : "Stop"}
              </button>
              <button
                type="button"
                disabled={empty}
                aria-label="Steer"
                title="Interrupt the agent and send this (Ctrl+Enter)"
                onClick={() => send(true)}
              >
                <CornerDownRight size={15} aria-hidden="true" />
                <span className="label">Steer</span>
              </button>
            </>
          ) : null}
          <button
            type="submit"
            className="primary"
            disabled={empty}
            title={busy ? "Taken after what the agent does now" : "Send (Enter)"}
          >
            <SendHorizontal size={15} aria-hidden="true" />
            {busy ? "Queue" : "Send"}
          </button>
        </div>
      </div>
    </form>
  )
}
