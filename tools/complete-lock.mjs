// Adds to package-lock.json the optional platform packages that npm left out because this machine's registry or system
// did not offer them, so that `npm ci` accepts the lock file everywhere. Run it after every `npm install` that changed
// the lock file. Entries added here carry no integrity hash.
import { readFileSync, writeFileSync } from "node:fs"

const file = process.argv[2] ?? "package-lock.json"
const lock = JSON.parse(readFileSync(file, "utf8"))

const systems = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32"
]
const processors = [
  "arm",
  "arm64",
  "ia32",
  "loong64",
  "mips64el",
  "ppc64",
  "riscv64",
  "s390x",
  "wasm32",
  "x64"
]

/** What a platform package is for, by the parts of its name. */
const platformOf = (name) => {
  const parts = name.split("/").at(-1).split("-")
  const os = systems.filter((each) => parts.includes(each))
  const cpu = processors.filter((each) => parts.includes(each))
  const libc = parts.some((part) => part.startsWith("musl"))
    ? ["musl"]
    : parts.some((part) => part.startsWith("gnu")) && os.includes("linux")
      ? ["glibc"]
      : []
  return { os, cpu, libc }
}

let added = 0
for (const [place, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`
    if (lock.packages[`${place}/${key}`] !== undefined || lock.packages[key] !== undefined) continue
    const { os, cpu, libc } = platformOf(name)
    if (cpu.length === 0 || !/^\d/.test(version)) {
      process.stderr.write(`left out: ${name} ${version}\n`)
      continue
    }
    lock.packages[key] = {
      version,
      cpu,
      ...(entry.dev || entry.devOptional ? { dev: true } : {}),
      ...(libc.length > 0 ? { libc } : {}),
      optional: true,
      ...(os.length > 0 ? { os } : {})
    }
    added++
  }
}
lock.packages = Object.fromEntries(
  Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
)
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
process.stdout.write(`${added} entries added\n`)
