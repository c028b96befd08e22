// Benchmarks: `npm run bench [name …]`. `append` compares the program with a plain one in the same run, on the same
// disk and the same cores, and prints the ratio: figures of different machines or different runs say little. `e2e` is one
// message's whole way. `page` measures the built page in Chromium. `BENCH_REPORT` names a file for tables of what was measured.
import { writeFile } from "node:fs/promises"
import { machine } from "./figures.mjs"

const all = ["append", "e2e", "list", "page"]
const named = process.argv.slice(2)
const chosen = named.length === 0 ? all : named
const unknown = chosen.find((name) => !all.includes(name))
if (unknown !== undefined) {
  process.stderr.write(`no benchmark "${unknown}": there are ${all.join(", ")}\n`)
  process.exit(2)
}

const line = (cells) => `| ${cells.join(" | ")} |`

/** What a part has measured, as a table. */
const section = ({ title, rows }) => {
  const columns = Object.keys(rows[0])
  const body = rows.map((row) => line(columns.map((column) => [row[column]].flat().join(", "))))
  return [`## ${title}`, "", line(columns), line(columns.map(() => "---")), ...body, ""].join("\n")
}

const began = machine()
const sections = []
for (const name of chosen) {
  const { run } = await import(`./${name}.mjs`)
  const measured = await run()
  if (measured !== undefined) sections.push(section(measured))
}
if (process.env.BENCH_REPORT !== undefined) {
  const head = [
    "# Benchmarks",
    "",
    `Written by \`npm run bench ${chosen.join(" ")}\`. Before: ${began}. After: ${machine()}.`,
    "Ratios are of the same round; figures of other machines or runs are not to be compared with these.",
    ""
  ]
  await writeFile(process.env.BENCH_REPORT, `${[head.join("\n"), ...sections].join("\n")}`)
}
