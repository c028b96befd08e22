/**
 * The git worktrees that sessions work in: one a session, made once, used again whenever the session comes back, and
 * removed at its end where nothing would be lost.
 *
 * A worktree is at `<root>/<session body>`; what it was made of is beside it in `<session body>.json` (0600, replaced
 * atomically), so that another process can remove it. The file is there first, and says `unfinished` until the worktree
 * is whole: what a killed process left is made anew. A worktree without a file is taken up only where it is one of the
 * checkout, on the session's branch, and holds nothing that is not committed.
 */
import { randomUUID } from "node:crypto"
import * as Git from "@causeway/git/Git"
import * as Worktree from "@causeway/git/Worktree"
import { WorkspaceUnavailable } from "@causeway/git/Worktree"
import type { Variables } from "@causeway/protocol/ChildEnvironment"
import { SessionId, sessionBody, toCompat } from "@causeway/protocol/Ids"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** What a worktree's file holds. */
export const Entry = Schema.Struct({
  sessionId: SessionId,
  /** The checkout that it was made of; absolute. */
  directory: Schema.NonEmptyString,
  path: Schema.NonEmptyString,
  branch: Schema.NonEmptyString,
  /** The commit that it was made of. */
  base: Schema.NonEmptyString,
  /** It is being made; nobody has worked in it. */
  unfinished: Schema.optional(Schema.Literal(true))
})
export type Entry = typeof Entry.Type

export class Worktrees extends Context.Tag("@causeway/bridge/Worktrees")<
  Worktrees,
  {
    /**
     * Where a session of `directory` works: its worktree, or in it the same place that `directory` has in its checkout.
     * Nothing is made.
     */
    readonly placeOf: (id: SessionId, directory: string) => Effect.Effect<string>
    /** Whether worktrees can be made of a directory: it is in a checkout. */
    readonly canBeMadeOf: (directory: string) => Effect.Effect<boolean>
    /** Makes the session's worktree where it is not there yet, and answers with the place in it. */
    readonly open: (id: SessionId, directory: string) => Effect.Effect<string, WorkspaceUnavailable>
    /**
     * Removes the session's worktree where nothing would be lost; `Kept` says what would, and `path` where it stays.
     * None: it had no worktree. To be called after the session's agent has ended.
     */
    readonly close: (id: SessionId) => Effect.Effect<Option.Option<Closed>>
    /** The sessions that have a worktree of `directory`. */
    readonly of: (directory: string) => Effect.Effect<ReadonlyArray<SessionId>>
  }
>() {}

/** What came of a session's worktree. */
export interface Closed {
  readonly path: string
  readonly removal: Worktree.Removal
}

export interface Options {
  /** Where the worktrees are; absolute. Made when it is needed, 0700. */
  readonly root: string
  /** The host's environment, of which git's is made. */
  readonly environment: Variables
}

const Json = Schema.parseJson(Entry)

const make = (options: Options) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const git = Git.make(options.environment)
    // Of one repository git makes and removes one worktree at a time.
    const turn = yield* Effect.makeSemaphore(1)

    const treeOf = (session: string) => path.join(options.root, session)
    const fileOf = (session: string) => path.join(options.root, `${session}.json`)
    const exists = (name: string) => Effect.orElseSucceed(fs.exists(name), () => false)

    /** Where `directory` is in its checkout: empty for the root of one; none outside of any. */
    const within = (directory: string): Effect.Effect<Option.Option<string>> => {
      const up = (at: string): Effect.Effect<Option.Option<string>> =>
        Effect.flatMap(exists(path.join(at, ".git")), (found) => {
          if (found) return Effect.succeedSome(path.relative(at, directory))
          const parent = path.dirname(at)
          return parent === at ? Effect.succeedNone : up(parent)
        })
      return up(directory)
    }

    const placeOf = (id: SessionId, directory: string) =>
      Effect.map(within(directory), (place) =>
        path.join(
          treeOf(sessionBody(id)),
          Option.getOrElse(place, () => "")
        )
      )

    const read = (session: string): Effect.Effect<Option.Option<Entry>> =>
      fs.readFileString(fileOf(session)).pipe(
        Effect.option,
        Effect.flatMap(
          Option.match({
            onNone: () => Effect.succeed(Option.none<Entry>()),
            onSome: (text) =>
              Effect.matchEffect(Schema.decode(Json)(text), {
                onFailure: (error) =>
                  Effect.as(
                    Effect.logWarning("worktree's file not readable").pipe(
                      Effect.annotateLogs({ file: fileOf(session), detail: error.message })
                    ),
                    Option.none<Entry>()
                  ),
                onSuccess: (entry) => Effect.succeed(Option.some(entry))
              })
          })
        )
      )

    const write = (entry: Entry) =>
      Effect.gen(function* () {
        const file = fileOf(sessionBody(entry.sessionId))
        const draft = `${file}.${randomUUID()}`
        yield* fs.makeDirectory(options.root, { recursive: true, mode: 0o700 })
        yield* fs.writeFileString(draft, yield* Schema.encode(Json)(entry), { flag: "wx", mode: 0o600 }).pipe(
          Effect.zipRight(fs.rename(draft, file)),
          Effect.onError(() => Effect.ignore(fs.remove(draft)))
        )
      })

    const forget = (session: string) =>
      Effect.catchAll(fs.remove(fileOf(session), { force: true }), (error) =>
        Effect.logWarning("worktree's file not removed").pipe(
          Effect.annotateLogs({ file: fileOf(session), detail: error.message })
        )
      )

    const open = Effect.fn("Worktrees.open")(
      function* (id: SessionId, directory: string) {
        const session = sessionBody(id)
        const tree = treeOf(session)
        const place = yield* placeOf(id, directory)
        const refuse = (detail: string) => new WorkspaceUnavailable({ directory, detail })
        const record = (entry: Entry) => Effect.mapError(write(entry), (error) => refuse(error.message))
        const known = yield* read(session)
        if (Option.isSome(known) && known.value.unfinished === true) {
          yield* Worktree.discard(git, directory, known.value)
        }
        const isWhole = Option.isSome(known) && known.value.unfinished !== true
        const there = yield* exists(tree)
        if (!there && isWhole) {
          const { branch } = known.value
          return yield* refuse(
            `the session's worktree ${tree} is missing; its commits are on the branch ${branch}; restore it with: git -C ${Git.quote(directory)} worktree add -f ${Git.quote(tree)} ${Git.quote(branch)}`
          )
        }
        const at = Worktree.placeOf(options.root, session)
        const entry = { ...at, sessionId: toCompat(id), directory }
        if (there && !isWhole) {
          yield* record({ ...entry, base: yield* Worktree.adopt(git, directory, at) })
        } else if (!there) {
          const base = yield* Worktree.baseOf(git, directory)
          yield* record({ ...entry, base, unfinished: true })
          yield* Worktree.create(git, directory, { ...at, base }).pipe(Effect.tapError(() => forget(session)))
          yield* record({ ...entry, base })
        }
        // A place that no commit has yet.
        yield* Effect.mapError(fs.makeDirectory(place, { recursive: true }), (error) => refuse(error.message))
        return place
      },
      // Cut short, git would leave half a worktree.
      (effect) => turn.withPermits(1)(Effect.uninterruptible(effect))
    )

    const close = Effect.fn("Worktrees.close")(
      function* (id: SessionId) {
        const session = sessionBody(id)
        const known = yield* read(session)
        if (Option.isNone(known)) return Option.none<Closed>()
        const { base, branch, directory, path, unfinished } = known.value
        if (unfinished === true) {
          yield* Effect.ignore(Worktree.discard(git, directory, known.value))
        }
        // Somebody removed it: there is nothing left to keep.
        const removal: Worktree.Removal = (yield* exists(path))
          ? yield* Worktree.remove(git, directory, { path, branch, base })
          : { _tag: "Removed" }
        if (removal._tag === "Removed") yield* forget(session)
        return Option.some<Closed>({ path, removal })
      },
      (effect) => turn.withPermits(1)(Effect.uninterruptible(effect))
    )

    const of = Effect.fn("Worktrees.of")(function* (directory: string) {
      const names = yield* Effect.orElseSucceed(fs.readDirectory(options.root), () => [])
      const entries = yield* Effect.forEach(
        names.filter((name) => name.endsWith(".json")),
        (name) => read(path.basename(name, ".json"))
      )
      return entries.flatMap((entry) =>
        Option.isSome(entry) && entry.value.directory === directory ? [entry.value.sessionId] : []
      )
    })

    return Worktrees.of({
      placeOf,
      canBeMadeOf: (directory) => Effect.map(within(directory), Option.isSome),
      open,
      close,
      of
    })
  })

export const layer = (options: Options): Layer.Layer<Worktrees, never, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(Worktrees, make(options))
