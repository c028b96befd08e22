// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keyboard, too.
// biome-ignore-all lint/a11y/useSemanticElements: the element that the rule names says something else.
/** The conversation: only what can be seen is in the document, and what was at the end stays at the end. */
import { useVirtualizer } from "@tanstack/react-virtual"
import { ArrowDown, CircleAlert, FileDiff, ShieldQuestion } from "lucide-react"
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react"
import * as Keys from "../Keys.ts"
import * as State from "../State.ts"
import * as Visible from "../Visible.ts"
import { ApprovalCard } from "./Approval.tsx"
import { useFocusAmong } from "./focus.ts"
import { ItemView } from "./Item.tsx"
import { Markdown } from "./Markdown.tsx"
import { Unsent } from "./Unsent.tsx"
import { useModel, useModelState } from "./use.ts"

/** Nearer to the end than this, in pixels, counts as being at it. */
const NEAR = 60

const marks: ReadonlyArray<readonly [Visible.Mark, string, typeof CircleAlert]> = [
  ["approval", "Next approval", ShieldQuestion],
  ["error", "Next error", CircleAlert],
  ["edit", "Next edit", FileDiff]
]

export const Transcript = ({ open, seq }: { readonly open: State.Open; readonly seq: number | null }) => {
  const model = useModel()
  const state = useModelState()
  const { view } = open
  const { items } = view.window.conversation
  const start = view.window.after
  const shown = useMemo(
    () => Visible.of(items, view.deliveries, start === 0),
    [items, view.deliveries, start]
  )
  const scroller = useRef<HTMLDivElement>(null)
  const stick = useRef(true)
  const [atEnd, setAtEnd] = useState(true)
  const [flash, setFlash] = useState<string | null>(null)
  const virtualizer = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 90,
    overscan: 6,
    getItemKey: useCallback((index: number) => shown[index]?.item.id ?? index, [shown]),
    useFlushSync: false
  })
  const size = virtualizer.getTotalSize()
  const unsent = State.unsent(state)
  const live = view.live.blocks.filter((block) => block.kind === "text" && block.text !== "")
  const thinks = view.live.blocks.some((block) => block.kind === "thinking") && live.length === 0

  const toEnd = useCallback(() => {
    const element = scroller.current
    if (element !== null) element.scrollTop = element.scrollHeight
  }, [])
  const byHand = useRef(false)
  /** Goes to the end and stays there. */
  const follow = (): void => {
    byHand.current = false
    stick.current = true
    setAtEnd(true)
    toEnd()
  }
  useLayoutEffect(() => {
    if (stick.current) toEnd()
  })

  // Every session begins at its end, unless its address names an event.
  const jumped = useRef<string | null>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: a session begins when its id changes.
  useLayoutEffect(() => {
    stick.current = seq === null
    jumped.current = null
  }, [open.id, seq])

  const jump = useCallback(
    (index: number) => {
      const entry = shown[index]
      if (entry === undefined) return
      stick.current = false
      setFlash(entry.item.id)
      virtualizer.scrollToIndex(index, { align: "start" })
    },
    [shown, virtualizer]
  )
  useEffect(() => {
    if (flash === null) return
    const timer = setTimeout(() => setFlash(null), 2500)
    return () => clearTimeout(timer)
  }, [flash])

  const target = seq === null ? null : `${open.id}/${seq}`
  const lastSeq = view.row.lastSeq
  useEffect(() => {
    if (seq === null || target === null || jumped.current === target) return
    if (start >= seq) {
      if (!open.loadingEarlier) void model.earlier()
      return
    }
    if (lastSeq < seq) return
    jumped.current = target
    jump(Visible.indexOf(shown, seq))
  }, [seq, target, lastSeq, start, open.loadingEarlier, shown, jump, model])

  // What is read above does not move what is looked at.
  const anchor = useRef<{ readonly start: number; readonly id: string | undefined }>({
    start: start,
    id: undefined
  })
  useLayoutEffect(() => {
    const before = anchor.current
    if (before.start !== start && before.id !== undefined) {
      const index = shown.findIndex((entry) => entry.item.id === before.id)
      if (index >= 0) virtualizer.scrollToIndex(index, { align: "start" })
    }
    const first = virtualizer.getVirtualItems().find((row) => row.end > (virtualizer.scrollOffset ?? 0))
    anchor.current = { start: start, id: first === undefined ? undefined : shown[first.index]?.item.id }
  })

  // Only people leave the end: while much comes in, the end itself has moved on before its scrolling is told of.
  const onHand = () => {
    byHand.current = true
  }
  const onScroll = () => {
    const element = scroller.current
    if (element === null) return
    const near = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR
    if (near) {
      stick.current = true
      byHand.current = false
    } else if (byHand.current) stick.current = false
    setAtEnd(stick.current)
    if (element.scrollTop < 400 && start > 0 && !open.loadingEarlier && !near) void model.earlier()
  }

  const lastAt = useRef(-1)
  const toMark = (mark: Visible.Mark): void => {
    if (mark === "approval" && view.row.approvals.pending.length > 0) {
      const card = scroller.current?.querySelector<HTMLElement>(".cards .card")
      card?.scrollIntoView({ block: "center" })
      card?.querySelector<HTMLElement>("button")?.focus()
      return
    }
    const first = virtualizer.getVirtualItems().find((row) => row.end > (virtualizer.scrollOffset ?? 0))
    const from = flash !== null && lastAt.current >= 0 ? lastAt.current : (first?.index ?? 0) - 1
    const at = Visible.next(shown, from, mark)
    if (at >= 0) {
      lastAt.current = at
      jump(at)
    }
  }
  const pending = view.row.approvals.pending
  const cards = useRef<HTMLElement>(null)
  useFocusAmong(
    cards,
    pending.map(({ requestId }) => requestId),
    () => document.querySelector<HTMLElement>(".composer textarea")
  )
  const has = useMemo(
    () =>
      new Set(
        marks.map(([mark]) => mark).filter((mark) => shown.some((entry) => Visible.isMarked(entry, mark)))
      ),
    [shown]
  )

  return (
    <div className="reading">
      <div className="jumps" role="toolbar" aria-label="Jump to">
        {marks.map(([mark, label, Icon]) =>
          has.has(mark) || (mark === "approval" && pending.length > 0) ? (
            <button
              key={mark}
              type="button"
              className="icon"
              aria-label={label}
              title={label}
              onClick={() => toMark(mark)}
            >
              <Icon size={16} aria-hidden="true" />
            </button>
          ) : null
        )}
      </div>
      <div
        className="transcript"
        ref={scroller}
        onScroll={onScroll}
        onWheel={onHand}
        onTouchMove={onHand}
        onPointerDown={onHand}
        onKeyDown={(event) => {
          if (/^(?:PageUp|Home|ArrowUp)$/.test(event.key)) onHand()
          // Far enough to leave the end, whatever is drawn before the scrolling is told of; where all is in sight, nothing is left.
          if (/^(?:PageUp|Home)$/.test(event.key) && !Keys.isTextField(event.target)) {
            const element = scroller.current
            stick.current = element === null || element.scrollHeight <= element.clientHeight
          }
          // The browser's own end is where the document ended before what is there was drawn.
          if (Keys.isEnd(event.nativeEvent)) {
            event.preventDefault()
            follow()
          }
        }}
        tabIndex={0}
        role="region"
        aria-label="Transcript"
      >
        <h2 className="hidden">Conversation</h2>
        {view.isTruncated ? <p className="note center">Older events are not shown here.</p> : null}
        {start > 0 ? (
          <div className="center">
            <button
              type="button"
              className="quiet"
              disabled={open.loadingEarlier}
              onClick={() => void model.earlier()}
            >
              {open.loadingEarlier ? "Loading…" : `Show earlier (${start.toLocaleString()} events)`}
            </button>
          </div>
        ) : null}
        {shown.length === 0 && unsent.length === 0 && open.connection._tag === "connected" ? (
          <p className="note center">Nothing has been said yet. Write the first message below.</p>
        ) : null}
        <div className="items" role="log" aria-label="Conversation" aria-live="off" style={{ height: size }}>
          {virtualizer.getVirtualItems().map((row) => {
            const entry = shown[row.index]
            return entry === undefined ? null : (
              <div
                key={row.key}
                data-index={row.index}
                ref={virtualizer.measureElement}
                className={entry.item.id === flash ? "row flash" : "row"}
                style={{ transform: `translateY(${row.start}px)` }}
              >
                <ItemView shown={entry} session={open.id} />
              </div>
            )
          })}
        </div>
        {live.length === 0 && !thinks ? null : (
          <div className="live" aria-hidden="true">
            {thinks ? <p className="note pulse">thinking…</p> : null}
            {live.map((block) => (
              <Markdown key={block.index} text={block.text} />
            ))}
          </div>
        )}
        {unsent.length === 0 ? null : (
          <div className="unsent">
            {unsent.map((entry) => (
              <Unsent key={entry.uuid} entry={entry} />
            ))}
          </div>
        )}
        {pending.length === 0 ? null : (
          <section className="cards" ref={cards} aria-label="Waiting for your answer">
            {pending.map((approval) => (
              <ApprovalCard
                key={approval.requestId}
                approval={approval}
                request={
                  view.requests.open.get(approval.requestId) ?? {
                    input: approval.input,
                    suggestions: [],
                    before: null
                  }
                }
                alwaysAsk={State.alwaysAsk(state, State.listed(state, open.id))}
                answering={state.answering.get(approval.requestId)}
                answer={(payload) => model.answer(open.id, approval.requestId, payload)}
              />
            ))}
          </section>
        )}
      </div>
      {atEnd ? null : (
        <button type="button" className="toend" onClick={follow}>
          <ArrowDown size={15} aria-hidden="true" /> Latest
        </button>
      )}
    </div>
  )
}
