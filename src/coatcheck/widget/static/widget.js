/**
 * Starts the page: reads its data, then removes the secret from the URL and the data from the document.
 */

import { createFlow } from "./flow.js";
import { applyTheme } from "./theme.js";

const node = document.getElementById("boot");
const boot = JSON.parse(node.textContent);
node.remove();
history.replaceState(null, "", "/md/connect");
applyTheme(boot.config.color_scheme, boot.client.accent_color);
createFlow(document.getElementById("app"), boot);
