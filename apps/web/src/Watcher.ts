/**
 * Keeps one session's event stream open: resumes after the last event, waits longer after each failure, and never says
 * "connected" of a connection that has gone silent.
 */
import type { Frame } from "./Frame.ts"
import * as FrameReader from "./Frame.ts"
import * as Sse from "./Sse.ts"

/** What the connection is at this moment. */
export type Connection =
  | { readonly _tag: "connecting" }
  | { readonly _tag: "connected" }
  | { readonly _tag: "reconnecting"; readonly reason: string; readonly inMillis: number }
  /** Nothing more is tried: the token is refused, or the session is not there. */
  | { readonly _tag: "ended"; readonly reason: "unauthenticated" | "not-found" }

/** What the watcher needs of the world. */
export interface World {
  readonly fetch: (
    url: string,
    init: { readonly headers: { readonly [name: string]: string }; readonly signal: AbortSignal }
  ) => Promise<{
    readonly status: number
    readonly body: {
      readonly getReader: () => {
        readonly read: () => Promise<{
          readonly done: boolean
          readonly value?: Uint8Array | undefined
        }>
        readonly cancel: () => Promise<unknown>
      }
    } | null
  }>
  /** Runs `then` after `millis`; answers how to call it off. */
  readonly after: (millis: number, then: () => void) => () => void
  /** 0 to 1. */
  readonly random: () => number
}

/** The hub writes at least a comment every 15 s; a connection that is silent for this long is lost. */
export const SILENCE_MILLIS = 40_000
/** 0.5 s doubling to 15 s, each shortened by up to a half. */
export const backoffMillis = (failures: number, random: number): number =>
  Math.min(15_000, 500 * 2 ** Math.min(failures, 10)) * (1 - random / 2)

export interface Options {
  readonly url: string
  readonly token: string
  /** Position of the last event that is here already. */
  readonly from: number
  readonly onFrames: (frames: ReadonlyArray<Frame>) => void
  readonly onConnection: (connection: Connection) => void
}

export interface Watcher {
  readonly stop: () => void
  /** Tries at once instead of waiting: the network is back, or the page is looked at again. */
  readonly hurry: () => void
}

export const watch = (world: World, options: Options): Watcher => {
  let last = options.from
  let failures = 0
  let stopped = false
  let abort = new AbortController()
  let wake: (() => void) | undefined

  const wait = (millis: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = world.after(millis, resolve)
      wake = () => {
        cancel()
        resolve()
      }
    })

  /** One connection, to its end. Answers why it ended. */
  const connect = async (): Promise<string | "unauthenticated" | "not-found"> => {
    abort = new AbortController()
    const { signal } = abort
    let silent = false
    const watchdog = () => {
      silent = true
      abort.abort()
    }
    let calm = world.after(SILENCE_MILLIS, watchdog)
    try {
      const response = await world.fetch(options.url, {
        signal,
        headers: {
          accept: "text/event-stream",
          authorization: `Bearer ${options.token}`,
          "last-event-id": String(last)
        }
      })
      if (response.status === 401 || response.status === 403) return "unauthenticated"
      if (response.status === 404 || response.status === 410) return "not-found"
      if (response.status !== 200 || response.body === null) return `the hub answered ${response.status}`
      const reader = response.body.getReader()
      const decoder = new TextDecoder()
      const parse = Sse.parser()
      options.onConnection({ _tag: "connected" })
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return "the hub closed the connection"
        calm()
        calm = world.after(SILENCE_MILLIS, watchdog)
        // Only a connection that brought something counts as a success: a peer that accepts and closes does not.
        failures = 0
        const frames: Array<Frame> = []
        for (const message of parse(decoder.decode(value, { stream: true }))) {
          const frame = FrameReader.read(message)
          if (frame === undefined) continue
          if (frame._tag === "Event") {
            if (frame.event.seq <= last) continue
            last = frame.event.seq
          }
          frames.push(frame)
        }
        if (stopped) return "stopped"
        if (frames.length > 0) options.onFrames(frames)
      }
    } catch (cause) {
      if (silent) return "the hub fell silent"
      return cause instanceof Error && cause.name !== "AbortError"
        ? "the hub cannot be reached"
        : "interrupted"
    } finally {
      calm()
      abort.abort()
    }
  }

  const run = async (): Promise<void> => {
    options.onConnection({ _tag: "connecting" })
    while (!stopped) {
      const reason = await connect()
      if (stopped) return
      if (reason === "unauthenticated" || reason === "not-found") {
        options.onConnection({ _tag: "ended", reason })
        return
      }
      const inMillis = backoffMillis(failures++, world.random())
      options.onConnection({ _tag: "reconnecting", reason, inMillis })
      await wait(inMillis)
      if (!stopped) options.onConnection({ _tag: "connecting" })
    }
  }
  void run()

  return {
    stop: () => {
      stopped = true
      abort.abort()
      wake?.()
    },
    hurry: () => {
      failures = 0
      wake?.()
    }
  }
}
