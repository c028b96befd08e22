// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text never move.
/** Passages of transcripts that a search has found. */
import type { ReactNode } from "react"
import * as Route from "../Route.ts"
import * as State from "../State.ts"
import * as Text from "../Text.ts"
import { useModelState } from "./use.ts"

/** The words that were found, between two marks of the private area. */
const Excerpt = ({ text }: { readonly text: string }): ReactNode => (
  <>
    {text
      .split(/(\ue000[^\ue001]*\ue001)/u)
      .map((part, n) =>
        part.startsWith("\ue000") ? (
          <mark key={n}>{Text.line(part.slice(1, -1), 200)}</mark>
        ) : (
          Text.clean(part)
        )
      )}
  </>
)

export const Hits = () => {
  const state = useModelState()
  const { connection, hits, searchProblem, searching } = state
  return (
    <section aria-live="polite">
      <h2>In transcripts</h2>
      {connection._tag !== "connected" ? (
        <p className="note">Transcripts can be searched once the hub is reached.</p>
      ) : searchProblem !== null ? (
        <p className="note bad">{searchProblem}</p>
      ) : hits.length === 0 ? (
        <p className="note">{searching ? "Searching…" : "Nothing found."}</p>
      ) : (
        <ul>
          {hits.map((hit) => (
            <li key={`${hit.sessionId}/${hit.seq}`}>
              <a className="entry hit" href={Route.toEvent(hit.sessionId, hit.seq)}>
                <span className="title">
                  <bdi>{Text.line(State.listed(state, hit.sessionId)?.title ?? "Session", 80)}</bdi>
                </span>
                <span className="last">
                  <bdi>
                    <Excerpt text={hit.excerpt} />
                  </bdi>
                </span>
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
