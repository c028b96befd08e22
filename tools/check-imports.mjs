// Imports run one way (ARCHITECTURE.md, "Imports run one way"), and no module imports itself through others at run time
// (types may refer to each other).
import { readdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
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
  "apps/bridge": ["protocol", "transcript", "git", "client", "runner", "bridge", "store", "hub"]
}

const sources = (dir) =>
  readdirSync(dir).flatMap((name) => {
    const path = join(dir, name)
    if (statSync(path).isDirectory()) return name === "dist" || name === "node_modules" ? [] : sources(path)
    return /\.tsx?$/.test(name) ? [path] : []
  })

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s(?!type\s)[^"']*?from\s+["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s+["']([^"']+)["']/g
const typePattern = /(?:^|\n)\s*(?:import|export)\s+type\s[^"']*?from\s+["']([^"']+)["']/g
const matches = (text, pattern) => [...text.matchAll(pattern)].map((m) => m[1] ?? m[2] ?? m[3])

const problems = []
const graph = new Map()
for (const [room, may] of Object.entries(allowed)) {
  const dir = join(root, room, "src")
  for (const file of sources(dir)) {
    const edges = []
    const text = readFileSync(file, "utf8")
    const atRunTime = matches(text, importPattern)
    for (const specifier of [...atRunTime, ...matches(text, typePattern)]) {
      if (specifier.startsWith(".")) {
        const target = resolve(dirname(file), specifier).replace(/\.js$/, ".ts")
        if (!target.startsWith(dir))
          problems.push(`${relative(root, file)} reaches out of its package: ${specifier}`)
        if (atRunTime.includes(specifier)) edges.push(target)
      } else if (specifier.startsWith("@causeway/")) {
        const name = specifier.split("/")[1]
        if (!may.includes(name)) problems.push(`${relative(root, file)} must not import @causeway/${name}`)
      }
    }
    graph.set(file, edges)
  }
}

const state = new Map()
const visit = (file, trail) => {
  if (state.get(file) === "done") return
  if (state.get(file) === "open") {
    const cycle = [...trail.slice(trail.indexOf(file)), file].map((f) => relative(root, f))
    problems.push(`circular import: ${cycle.join(" -> ")}`)
    return
  }
  state.set(file, "open")
  for (const next of graph.get(file) ?? []) visit(next, [...trail, file])
  state.set(file, "done")
}
for (const file of graph.keys()) visit(file, [])

for (const problem of problems) process.stderr.write(`${problem}\n`)
process.stdout.write(`${graph.size} modules, ${problems.length} problems\n`)
process.exitCode = problems.length === 0 ? 0 : 1
