export type * as Answers from "./Answers.ts"
export * as Frames from "./Frames.ts"
export * as Params from "./Params.ts"
export * as Validation from "./Validation.ts"
