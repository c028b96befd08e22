/** What tests take of the parts that are written with JSX. */
export { Markdown, safeHref } from "./ui/Markdown.tsx"
