// Verifies webhooks with npm's standardwebhooks and svix. Reads {"secret", "headers", "body"} from standard input.
import { readFileSync } from "node:fs";

import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
const verified = {};
for (const [name, Webhook] of [["standardwebhooks", StandardWebhook], ["svix", SvixWebhook]]) {
  try {
    new Webhook(secret).verify(body, headers);
    verified[name] = true;
  } catch {
    verified[name] = false;
  }
}
console.log(JSON.stringify(verified));
