// Imports run one way (ARCHITECTURE.md, "Imports run one way"): between packages as listed here, through what a package
// exports, into no `internal` folder from outside of it, and in no circle, types included.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve, sep } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Which workspace packages each room may import. */
const allowed = {
  "packages/protocol": [],
  "packages/transcript": ["protocol"],
  "packages/git": ["protocol"],
  "packages/client": ["protocol", "transcript", "git"],
  "packages/store": ["protocol", "transcript"],
  "packages/runner": ["protocol", "transcript", "git"],
  "packages/bridge": ["protocol", "transcript", "git", "client", "runner"],
  "packages/hub": ["protocol", "transcript", "store"],
  "apps/web": ["protocol", "transcript"],
  "apps/scripted-agent": ["protocol"],
  "apps/bridge": ["protocol", "transcript", "git", "client", "runner", "bridge", "store", "hub"]
}

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s[^"']*?from\s+["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s+["']([^"']+)["']/g

const specifiers = (file) =>
  [...readFileSync(file, "utf8").matchAll(importPattern)].map((match) => match[1] ?? match[2] ?? match[3])

const sources = (dir) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))

/** The file that a package's `exports` give for a subpath, or `undefined` where they close it. */
const exported = (dir, subpath) => {
  const exports = JSON.parse(readFileSync(join(dir, "package.json"), "utf8")).exports ?? {}
  const key = Object.keys(exports)
    .filter((pattern) => {
      const [before, after] = pattern.split("*")
      return after === undefined ? pattern === subpath : subpath.startsWith(before) && subpath.endsWith(after)
    })
    .sort((a, b) => b.length - a.length)[0]
  const source = exports[key]?.source
  if (source === undefined) return undefined
  const [before, after = ""] = key.split("*")
  return join(dir, source.replace("*", subpath.slice(before.length, subpath.length - after.length)))
}

/** An `internal` folder belongs to the folder that it stands in, and to everything below that. */
const outside = (file, target) => {
  const parts = target.split(sep)
  const at = parts.lastIndexOf("internal")
  return at !== -1 && !file.startsWith(parts.slice(0, at).join(sep) + sep)
}

const problems = []
const graph = new Map()
for (const [room, may] of Object.entries(allowed)) {
  const dir = join(root, room, "src")
  for (const file of sources(dir)) {
    const name = relative(root, file)
    const edges = []
    if (
      name.split(sep).includes("internal") &&
      exported(join(root, room), `./${relative(dir, file).replace(/\.tsx?$/, "")}`)
    )
      problems.push(`${name} is not closed off by the exports of ${room}/package.json`)
    for (const specifier of specifiers(file)) {
      if (specifier.startsWith(".")) {
        const target = resolve(dirname(file), specifier).replace(/\.js$/, ".ts")
        if (!target.startsWith(dir + sep)) problems.push(`${name} reaches out of its package: ${specifier}`)
        if (outside(file, target))
          problems.push(`${name} reaches into an internal folder of another: ${specifier}`)
        edges.push(target)
      } else if (specifier.startsWith("@causeway/")) {
        const [, other, ...path] = specifier.split("/")
        const target = exported(
          join(root, "packages", other),
          path.length === 0 ? "." : `./${path.join("/")}`
        )
        if (!may.includes(other)) problems.push(`${name} must not import @causeway/${other}`)
        else if (target === undefined || target.split(sep).includes("internal"))
          problems.push(`${name} imports what @causeway/${other} does not export: ${specifier}`)
        else if (!existsSync(target) && !existsSync(`${target}x`))
          problems.push(`${name} imports what does not exist: ${specifier}`)
      }
    }
    graph.set(file, edges)
  }
}

/** Modules that reach each other (Tarjan): each group of more than one is a circle. */
const circles = () => {
  const found = []
  const index = new Map()
  const low = new Map()
  const stack = []
  const visit = (file) => {
    index.set(file, index.size)
    low.set(file, index.get(file))
    stack.push(file)
    for (const next of graph.get(file) ?? []) {
      if (!index.has(next)) low.set(file, Math.min(low.get(file), visit(next)))
      else if (stack.includes(next)) low.set(file, Math.min(low.get(file), index.get(next)))
    }
    if (low.get(file) === index.get(file)) {
      const group = stack.splice(stack.indexOf(file))
      if (group.length > 1 || graph.get(file)?.includes(file))
        found.push(
          group
            .map((member) => relative(root, member))
            .sort()
            .join(" <-> ")
        )
    }
    return low.get(file)
  }
  for (const file of graph.keys()) if (!index.has(file)) visit(file)
  return found
}

for (const circle of circles()) problems.push(`circular import: ${circle}`)

for (const problem of problems) process.stderr.write(`${problem}\n`)
process.stdout.write(`${graph.size} modules, ${problems.length} problems\n`)
process.exitCode = problems.length === 0 ? 0 : 1
