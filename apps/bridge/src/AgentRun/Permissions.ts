/**
 * Answers to what a run's agent asks: a person's, typed in the terminal. Where nobody can be asked, each request is denied
 * and the agent is told why.
 */

import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Visible from "@causeway/protocol/Visible"
import * as Ceiling from "@causeway/runner/Ceiling"
import * as Policy from "@causeway/runner/Policy"
import type { RunnerEvent } from "@causeway/runner/Runner/Event"
import type { Decision } from "@causeway/runner/Runner/Request"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Read from "@causeway/transcript/Read"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as StandardInput from "../StandardInput.ts"
import type { Transcript } from "./Transcript.ts"

/** A request of the agent that waits. */
interface Request {
  readonly approval: Approvals.Approval
  /** The whole input: that of the approval may be shortened. */
  readonly input: unknown
  /** Rules that the agent suggests to remember. */
  readonly rules: ReadonlyArray<unknown>
  /** Done when it waits no longer, whoever answered. */
  readonly settled: Deferred.Deferred<void>
}

/** What the agent is told where nobody can be asked. */
const NOBODY = "Denied: this command runs where nobody can be asked for permission."

/** What the person is told, once. */
const WHY_NOBODY =
  ", as nobody can be asked on standard input (it is no terminal, or holds the prompt); allow edits with --allow-edits, everything with --dangerously-skip-permissions"

const NO_FORMS = "Denied: this command shows no forms."

/** Lines of an input that are shown at most. */
const LINES_MAX = 100

/** The input as a person has to see it before deciding: every member whole, within a bound that says so. */
const shown = (input: unknown): string => {
  const lines = Object.entries(Read.object(input)).flatMap(([name, value]) =>
    `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`.split("\n")
  )
  const more = lines.length - LINES_MAX
  return [...lines.slice(0, LINES_MAX), ...(more > 0 ? [`(${more} more lines are not shown)`] : [])]
    .map((line) => `  ${line}`)
    .join("\n")
}

/** Whether a person can be asked here. */
export const canAsk = (json: boolean): boolean => !json && process.stdin.isTTY === true

/** Asks one request after another and answers each. `settings`: what the run answers by itself. */
export const make = (options: {
  readonly transcript: Transcript
  readonly settings: AgentSettings
  readonly canAsk: boolean
}) =>
  Effect.gen(function* () {
    const { transcript } = options
    const typed = options.canAsk ? yield* StandardInput.lines : undefined
    let explained = false
    const waiting = yield* Queue.unbounded<Request>()
    const open = new Map<string, Request>()
    let approvals = Approvals.empty

    const opened = (json: JsonObject, createdAt: number) =>
      Effect.gen(function* () {
        const approval = approvals.pending.find(({ requestId }) => requestId === json["request_id"])
        if (approval === undefined) return
        // Whoever types here is the machine's own person: nothing is kept from them.
        if (Policy.decide(approval, options.settings, Ceiling.unbounded, createdAt) !== "ask") return
        const request = Read.object(json["request"])
        const asked: Request = {
          approval,
          input: approval.kind === "tool" ? request["input"] : request,
          rules: Read.array(request["permission_suggestions"]),
          settled: yield* Deferred.make<void>()
        }
        open.set(approval.toolUseId, asked)
        yield* Queue.offer(waiting, asked)
      })

    // --- A person's answer ---

    /** The next line that is typed; none where standard input has ended. What was typed before the question is no answer. */
    const line = (from: Mailbox.Mailbox<string>, question: string) =>
      Effect.gen(function* () {
        yield* from.clear
        yield* transcript.ask(question)
        return Option.map(yield* Effect.option(from.take), (text) => text.trim())
      })

    const denied = (message: string): Decision => ({ behavior: "deny", message })

    const permission = (from: Mailbox.Mailbox<string>, { approval, input, rules }: Request) =>
      Effect.gen(function* () {
        yield* transcript.note(`${Visible.line(approval.toolName)} asks for permission:\n${shown(input)}`)
        const always = rules.length > 0
        const answer = Effect.gen(function* () {
          const given = yield* line(from, `Allow it? y: yes, ${always ? "a: always, " : ""}n: no > `)
          switch (Option.getOrNull(given)?.toLowerCase()) {
            case undefined:
              return denied(NOBODY)
            case "y":
            case "yes":
              return { behavior: "allow" } satisfies Decision
            case "a":
            case "always":
              return always
                ? ({ behavior: "allow", updatedPermissions: rules } satisfies Decision)
                : undefined
            case "n":
            case "no": {
              const comment = yield* line(from, "What should the agent know? (Enter: nothing) > ")
              return denied(Option.getOrElse(comment, () => "") || Approvals.DENIED)
            }
            default:
              return undefined
          }
        })
        return yield* Effect.repeat(answer, { until: (given): given is Decision => given !== undefined })
      })

    /** An option by its number, several by numbers with commas, or the person's own words. */
    const chosen = (text: string, { options }: Approvals.Question): string =>
      text
        .split(",")
        .map((part) => options[Number(part.trim()) - 1]?.label ?? part.trim())
        .join(", ")

    const questions = (
      from: Mailbox.Mailbox<string>,
      input: unknown,
      asked: ReadonlyArray<Approvals.Question>
    ) =>
      Effect.gen(function* () {
        const answers: { [question: string]: string } = {}
        for (const each of asked) {
          yield* transcript.note(
            [each.question, ...each.options.map(({ label }, at) => `  ${at + 1} ${label}`)].join("\n")
          )
          const answer = yield* line(from, "A number, or your own words > ")
          if (Option.isNone(answer)) return denied(NOBODY)
          answers[each.question] = chosen(answer.value, each)
        }
        return { behavior: "allow", updatedInput: Approvals.withAnswers(input, answers) } satisfies Decision
      })

    const decide = (request: Request): Effect.Effect<Decision> => {
      const { approval, input } = request
      const name = Visible.line(approval.toolName)
      if (approval.kind === "dialog") {
        return Effect.as(
          transcript.note(`${name}: declined, as \`run\` shows no forms; use the page or \`attach\``),
          denied(NO_FORMS)
        )
      }
      if (typed === undefined) {
        const why = explained ? "" : WHY_NOBODY
        explained = true
        return Effect.as(transcript.note(`${name}: denied${why}`), denied(NOBODY))
      }
      const asked = Approvals.questionsOf(input)
      return asked.length > 0 ? questions(typed, input, asked) : permission(typed, request)
    }

    return {
      /** Takes what the run tells. */
      event: (event: RunnerEvent) => {
        if (event.type === "entry" && event.source === "worker") {
          const { at, entry, payload: json } = event
          const type = String(json["type"])
          if (type === "control_request" || type === "session_update") {
            const payload = { type, json }
            approvals = Approvals.step(approvals, {
              seq: entry,
              uuid: "",
              source: "worker",
              createdAt: at,
              payload
            })
          }
          return type === "control_request" ? opened(json, at) : Effect.void
        }
        if (event.type !== "approval_settled") return Effect.void
        const request = open.get(event.toolUseId)
        open.delete(event.toolUseId)
        return request === undefined ? Effect.void : Deferred.succeed(request.settled, undefined)
      },
      /** Answers requests without end; `answer` gives one to the run. */
      answering: <E>(answer: (toolUseId: string, decision: Decision) => Effect.Effect<void, E>) =>
        Queue.take(waiting).pipe(
          Effect.flatMap((request) =>
            Effect.raceFirst(
              Effect.flatMap(decide(request), (decision) => answer(request.approval.toolUseId, decision)),
              Deferred.await(request.settled)
            )
          ),
          Effect.forever
        )
    }
  })
