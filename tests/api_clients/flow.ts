/**
 * A user connects a bank, and a processor reads the account numbers, with openapi-fetch and the types that
 * openapi-typescript made.
 *
 * Reads credentials.json of a sandbox on standard input and prints the numbers.
 */

import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { paths } from "./openapi.js";

interface Credentials {
  base_url: string;
  client_id: string;
  client_api_key: string;
  processors: { processor_id: string; api_key: string }[];
}

const LOGIN = "CRD-9f61fb4c-912c-bd1e-b175-ccc7f0275cc1";
const PASSWORD = "CRD-e3d7ea81-aac7-05e9-fbdd-4b493c6e474d";

const given = JSON.parse(readFileSync(0, "utf8")) as Credentials;

function clientOf(authorization: string) {
  return createClient<paths>({ baseUrl: given.base_url, headers: { Authorization: authorization } });
}

function basic(id: string, key: string): string {
  return `Basic ${Buffer.from(`${id}:${key}`).toString("base64")}`;
}

/** The body of a successful answer. */
function body<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const client = clientOf(basic(given.client_id, given.client_api_key));

/** Until no job runs on the member. */
async function wait(path: { user: string; member: string }): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    const { member } = body(await client.GET("/users/{user}/members/{member}/status", { params: { path } }));
    if (!member.is_being_aggregated) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error("The job did not end.");
}

const { user } = body(await client.POST("/users", { body: { user: { metadata: "a generated client's" } } }));
const { member } = body(
  await client.POST("/users/{user}/members", {
    params: { path: { user: user.guid } },
    body: {
      member: {
        institution_code: "mxbank",
        credentials: [
          { guid: LOGIN, value: "ann" },
          { guid: PASSWORD, value: "secret" },
        ],
      },
    },
  }),
);
const path = { user: user.guid, member: member.guid };
await wait(path);
body(await client.POST("/users/{user}/members/{member}/verify", { params: { path } }));
await wait(path);
const numbers = body(await client.GET("/users/{user}/members/{member}/account_numbers", { params: { path } }));
const account = numbers.account_numbers[0]?.account_guid;
const scope = `user-guid:${user.guid} member-guid:${member.guid} account-guid:${account} read-protected`;
const { authorization_code } = body(
  await client.POST("/authorization_code", { body: { authorization_code: { scope } } }),
);

const { processor_id, api_key } = given.processors[0]!;
const processor = clientOf(basic(processor_id, api_key));
const query = { grant_type: "authorization_code" as const, code: authorization_code.code };
const { access_token } = body(await processor.POST("/token", { params: { query } }));
const refused = await processor.POST("/token", { params: { query } });
if (refused.error?.error.type !== "invalid_grant") throw new Error("The code was exchanged twice.");

const reader = clientOf(`Bearer ${access_token}`);
console.log(JSON.stringify(body(await reader.GET("/account/account_numbers")).account_numbers));
