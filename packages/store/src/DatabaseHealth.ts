/** How the database's file fares: its failures in words for every caller, and in the log once. */
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as Context from "effect/Context"

/** Made with the database; elsewhere there is no file to name. */
export class DatabaseHealth extends Context.Reference<DatabaseHealth>()("@causeway/store/DatabaseHealth", {
  defaultValue: () => FileFailure.trouble("the database", "Store")
}) {}
