/** What invoking an operation asks of the services beside the operation's own: here it counts nothing and limits nothing. */
export const QUIET_SERVICES = {
  metrics: { requestCount: 0, rateLimited: 0, answered() {} },
  tokens: { isValid: () => true },
  clients: { used() {} },
  rateLimits: { take() {} },
  audit: { note() {} },
  refusals: { note() {} },
  provided: { has: () => false },
};
