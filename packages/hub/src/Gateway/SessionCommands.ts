/**
 * Commands of people on sessions: find, make, send, stop. Methods of both vocabularies (`sessions.*`, `chat.*`) stand on it.
 *
 * Everything a person does to a running agent is an event of the log (a user message, an interrupt); the bridge that holds
 * the session takes it from there. Source: spec 2 (preface, §2, §6).
 */
export { append } from "./SessionCommands/Append.ts"
export { archive, begin, chooseEnvironment, create } from "./SessionCommands/Create.ts"
export { endRun } from "./SessionCommands/Ended.ts"
export { canonical, existing, find, requireAgent } from "./SessionCommands/Find.ts"
export { isStarted, isStop, promptUuid, send } from "./SessionCommands/Send.ts"
export { abort, interrupt, interruptWait } from "./SessionCommands/Stop.ts"
export { withdraw } from "./SessionCommands/Withdraw.ts"
