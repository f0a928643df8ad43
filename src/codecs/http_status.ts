/** Our codes as HTTP statuses. */

import type { ErrorCode } from "../core/errors.ts";

/** The status of each refusal. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  parse_error: 400,
  invalid_request: 400,
  unknown_operation: 404,
  invalid_params: 400,
  hello_required: 400,
  unsupported_version: 426,
  auth_required: 401,
  auth_failed: 403,
  permission_denied: 403,
  not_originator: 403,
  not_found: 404,
  no_value: 404,
  conflict: 409,
  ack_out_of_range: 400,
  too_large: 413,
  rate_limited: 429,
  too_many: 503,
  peer_not_found: 404,
  peer_unreachable: 502,
  service_unavailable: 503,
  timeout: 504,
  storage_full: 507,
  shutting_down: 503,
  internal: 500,
};
