/** The pages that are generated, by their path: what `docs` writes and `docs:check` compares. */

import { ABOUT } from "../../src/cli/config_template.ts";
import { configSchema } from "../../src/daemon/config.ts";
import { RELOADABLE, WITHOUT_EFFECT } from "../../src/daemon/config_changes.ts";
import { VARIABLES } from "../../src/daemon/settings.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { configurationPage } from "./configuration_page.ts";
import { operationsPage } from "./operations_page.ts";

/** Every generated page. */
export function generatedPages(): Readonly<Record<string, string>> {
  return {
    "docs/operations.md": operationsPage(OPERATIONS),
    "docs/configuration.md": configurationPage(configSchema, {
      about: ABOUT,
      reloadable: RELOADABLE,
      withoutEffect: WITHOUT_EFFECT,
      variables: VARIABLES,
    }),
  };
}
