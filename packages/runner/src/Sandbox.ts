/**
 * Bubblewrap around an agent: everything is read-only but its directories, the state directory is not there, and other
 * processes are not seen. What an agent has its client run (`terminal/*`) is held to the same. Linux only. Source:
 * docs/decisions/0026.
 */
import { execFile } from "node:child_process"
import { lstatSync, readFileSync, realpathSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

export interface Sandbox {
  /** Bubblewrap: a path, or a name that is looked up on the path. */
  readonly program: string
  /** Directories and files that are empty within, such as the state directory; absolute. */
  readonly hidden: ReadonlyArray<string>
  /** Beside the working directory; absolute. What is not there is left out. */
  readonly writable: ReadonlyArray<string>
  /** Without it there is a loopback device of its own, and nothing else. */
  readonly network: boolean
  /** `/tmp` is the agent's own, and gone with it. */
  readonly privateTmp: boolean
}

/** What one program needs within, as absolute paths. */
export interface Needs {
  readonly cwd: string
  readonly writable?: ReadonlyArray<string> | undefined
  /** Also below what is writable. */
  readonly readOnly?: ReadonlyArray<string> | undefined
}

/** No sandbox can be had on this machine; nothing is started without it. */
export class SandboxUnavailable extends Data.TaggedError("SandboxUnavailable")<{
  readonly detail: string
}> {
  override get message(): string {
    return `agents cannot be started in a sandbox: ${this.detail}`
  }
}

/** Sockets of services of this user, of containers and of the system stand there; names are looked up through the first. */
const RUN_KEPT = ["/run/systemd/resolve", "/run/current-system", "/run/wrappers"]

const real = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    // It is not there: nothing is bound.
    return path
  }
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8").trim()
  } catch {
    return ""
  }
}

const kindOf = (path: string): "directory" | "file" | undefined => {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() ? "directory" : found?.isFile() ? "file" : undefined
}

/**
 * The repository of a checkout's worktree, where it knows that worktree: an agent may write a `.git` that points anywhere.
 */
const repositoryOf = (cwd: string): string | undefined => {
  for (let at = cwd; ; at = dirname(at)) {
    const git = join(at, ".git")
    const kind = kindOf(git)
    if (kind === "directory") return git
    if (kind === "file") {
      const own = resolve(at, read(git).replace(/^gitdir: /, ""))
      const isKnown = real(read(join(own, "gitdir"))) === git
      return isKnown ? resolve(own, read(join(own, "commondir"))) : undefined
    }
    if (dirname(at) === at) return undefined
  }
}

/** A mount: the place that it is at, and bubblewrap's words for it. */
type Mount = readonly [path: string, ...args: ReadonlyArray<string>]

/** Nothing where something is. */
const nothingAt = (path: string): ReadonlyArray<Mount> => {
  switch (kindOf(path)) {
    case "directory":
      return [[path, "--tmpfs", path]]
    case "file":
      return [[path, "--ro-bind", "/dev/null", path]]
    default:
      return []
  }
}

/** Arguments of bubblewrap before the program and its own. */
export const wrapping = (sandbox: Sandbox, needs: Needs): ReadonlyArray<string> => {
  const cwd = real(needs.cwd)
  const repository = repositoryOf(cwd)
  const writable = [
    ...sandbox.writable,
    ...(needs.writable ?? []),
    ...(repository === undefined ? [] : [repository])
  ]
  // What others run by: their next call of git would be the agent's program, outside of here.
  const programs = repository === undefined ? [] : [join(repository, "hooks"), join(repository, "config")]
  const mounts: ReadonlyArray<Mount> = [
    ["/run", "--tmpfs", "/run"],
    ...RUN_KEPT.map((path) => [path, "--ro-bind-try", path, path] as const),
    ...(sandbox.privateTmp
      ? [["/tmp", "--tmpfs", "/tmp"] as const]
      : [["/tmp", "--bind", "/tmp", "/tmp"] as const]),
    ...sandbox.hidden.map(real).flatMap(nothingAt),
    ...writable.map(real).map((path) => [path, "--bind-try", path, path] as const),
    [cwd, "--bind", cwd, cwd],
    ...[...programs, ...(needs.readOnly ?? [])]
      .map(real)
      .map((path) => [path, "--ro-bind-try", path, path] as const)
  ]
  return [
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    ...(sandbox.network ? [] : ["--unshare-net"]),
    "--ro-bind",
    "/",
    "/",
    "--dev",
    "/dev",
    "--proc",
    "/proc",
    // What lies deeper is mounted later, whatever it is.
    ...mounts.toSorted(([a], [b]) => a.length - b.length).flatMap(([, ...args]) => args),
    ...(sandbox.privateTmp ? ["--setenv", "TMPDIR", "/tmp"] : []),
    "--chdir",
    cwd,
    "--"
  ]
}

/** Fails where bubblewrap is missing, or the system does not let it make namespaces. To be asked once, before anything starts. */
export const probe = (sandbox: Sandbox, cwd: string): Effect.Effect<void, SandboxUnavailable> =>
  Effect.async((resume, signal) => {
    const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" }
    execFile(
      sandbox.program,
      [...wrapping(sandbox, { cwd }), "true"],
      { env, signal, timeout: 10_000 },
      (error, _stdout, stderr) => {
        if (error === null) return resume(Effect.void)
        const detail =
          error.code === "ENOENT"
            ? `${sandbox.program} is not installed (on Debian: apt install bubblewrap)`
            : `${stderr.trim().split("\n").at(-1) || error.message}; the system must let this user make namespaces`
        resume(new SandboxUnavailable({ detail }))
      }
    )
  })

/** What Claude Code writes of its own, and what it runs by, which an agent must not write. */
export const ofClaude = (home: string, config: string): Omit<Needs, "cwd"> => ({
  writable: [config, join(home, ".claude.json")],
  readOnly: [
    "settings.json",
    "settings.local.json",
    "CLAUDE.md",
    "agents",
    "commands",
    "hooks",
    "plugins",
    "skills"
  ].map((name) => join(config, name))
})
