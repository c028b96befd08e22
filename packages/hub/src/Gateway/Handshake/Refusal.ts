/** Refusals of `connect`, with the texts and codes that clients know. Source: spec 2 §1 (errors). */
import { CloseCode, type ErrorShape } from "@causeway/protocol/Gateway/Frames"
import type { DeviceCodeRefused } from "@causeway/store/DeviceCodes"
import * as Data from "effect/Data"

/** Refused: the error is sent, then the socket closed with this code and reason. */
export class HandshakeRefused extends Data.TaggedError("HandshakeRefused")<{
  readonly error: ErrorShape
  readonly closeCode: number
  readonly closeReason: string
}> {}

export const refuse = (
  message: string,
  details?: unknown,
  options: { readonly code?: ErrorShape["code"]; readonly close?: number; readonly reason?: string } = {}
): HandshakeRefused =>
  new HandshakeRefused({
    error: {
      code: options.code ?? "INVALID_REQUEST",
      message,
      ...(details === undefined ? {} : { details })
    },
    closeCode: options.close ?? CloseCode.policy,
    closeReason: options.reason ?? message
  })

const HINT = "(set gateway.remote.token to match gateway.auth.token)"
const HINT_PASSWORD = "(set gateway.remote.password to match gateway.auth.password)"

const failures = {
  token_missing: [`gateway token missing ${HINT}`, "update_auth_configuration"],
  token_mismatch: [`gateway token mismatch ${HINT}`, "update_auth_credentials"],
  password_missing: [`gateway password missing ${HINT_PASSWORD}`, "update_auth_configuration"],
  password_mismatch: [`gateway password mismatch ${HINT_PASSWORD}`, "update_auth_credentials"],
  device_token_mismatch: ["device token mismatch (rotate/reissue device token)", "update_auth_credentials"],
  rate_limited: ["too many failed authentication attempts (retry later)", "wait_then_retry"]
} as const
export type FailureReason = keyof typeof failures

export const unauthorized = (reason: FailureReason, canRetryWithDeviceToken: boolean): HandshakeRefused => {
  const [message, next] = failures[reason]
  return refuse(`unauthorized: ${message}`, {
    code: `AUTH_${reason.toUpperCase()}`,
    authReason: reason,
    canRetryWithDeviceToken,
    recommendedNextStep: canRetryWithDeviceToken ? "retry_with_device_token" : next
  })
}

/** Refusals of a one-time code say why, and where the next one comes from. */
export const codeRefused = ({ reason, message }: DeviceCodeRefused): HandshakeRefused =>
  refuse(
    `unauthorized: ${message}; make a new one with \`causeway devices code\`, or under Devices on a page that is signed in`,
    {
      code: "AUTH_BOOTSTRAP_TOKEN_INVALID",
      authReason: "bootstrap_token_invalid",
      reason,
      canRetryWithDeviceToken: false,
      recommendedNextStep: "update_auth_credentials"
    },
    { reason: `unauthorized: ${message}` }
  )
