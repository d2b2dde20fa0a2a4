// Each function exchanges a code with one library, unchanged, and reads the account with what it got.
// node clients.js LIBRARY < {"base_url", "client_id", "client_secret", "jwk", "code", "method", "dpop"}
// prints what the library returned, and the status of the read.
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import * as oauth from "oauth4webapi";
import { Issuer } from "openid-client-5";
import * as openid from "openid-client-6";
import { AuthorizationCode } from "simple-oauth2";

const given = JSON.parse(readFileSync(0, "utf8"));
const redirectUri = "https://processor.example/callback";
const readUrl = `${given.base_url}/payment_account`;
const callback = new URL(`${redirectUri}?code=${given.code}`);

async function signingKey() {
  const key = await crypto.subtle.importKey(
    "jwk", given.jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  return { key, kid: given.jwk.kid };
}

const libraries = {
  async "openid-client-5"() {
    const issuer = await Issuer.discover(`${given.base_url}/.well-known/oauth-authorization-server`);
    const client = new issuer.Client({
      client_id: given.client_id,
      client_secret: given.client_secret,
      token_endpoint_auth_method: given.method,
      token_endpoint_auth_signing_alg: "ES256",
    }, given.jwk && { keys: [given.jwk] });
    const DPoP = given.dpop && createPrivateKey({ key: given.dpop, format: "jwk" });
    const set = await client.oauthCallback(redirectUri, { code: given.code }, {}, { DPoP });
    const read = await client.requestResource(readUrl, set.access_token, {
      DPoP, tokenType: set.token_type,
    });
    return [set, read.statusCode];
  },

  async "openid-client-6"() {
    const authenticate = {
      client_secret_basic: () => openid.ClientSecretBasic(given.client_secret),
      client_secret_post: () => openid.ClientSecretPost(given.client_secret),
      private_key_jwt: async () => openid.PrivateKeyJwt(await signingKey()),
    }[given.method];
    const configuration = await openid.discovery(
      new URL(given.base_url), given.client_id, undefined, await authenticate(),
      { algorithm: "oauth2", execute: [openid.allowInsecureRequests] });
    const DPoP = given.dpop && openid.getDPoPHandle(configuration, await openid.randomDPoPKeyPair("ES256"));
    const set = await openid.authorizationCodeGrant(configuration, callback, {}, {}, { DPoP });
    const read = await openid.fetchProtectedResource(
      configuration, set.access_token, new URL(readUrl), "GET", null, undefined, { DPoP });
    return [set, read.status];
  },

  async oauth4webapi() {
    const insecure = { [oauth.allowInsecureRequests]: true };
    const base = new URL(given.base_url);
    const server = await oauth.processDiscoveryResponse(
      base, await oauth.discoveryRequest(base, { algorithm: "oauth2", ...insecure }));
    const client = { client_id: given.client_id };
    const authentication = {
      client_secret_basic: () => oauth.ClientSecretBasic(given.client_secret),
      client_secret_post: () => oauth.ClientSecretPost(given.client_secret),
      private_key_jwt: async () => oauth.PrivateKeyJwt(await signingKey()),
    }[given.method];
    const DPoP = given.dpop && oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
    const parameters = oauth.validateAuthResponse(server, client, callback, oauth.expectNoState);
    const exchange = async () => oauth.processAuthorizationCodeResponse(server, client,
      await oauth.authorizationCodeGrantRequest(
        server, client, await authentication(), parameters, redirectUri, oauth.nopkce, { DPoP, ...insecure }));
    const set = await exchange().catch((error) => {
      if (DPoP && oauth.isDPoPNonceError(error)) return exchange();
      throw error;
    });
    const read = () => oauth.protectedResourceRequest(
      set.access_token, "GET", new URL(readUrl), undefined, null, { DPoP, ...insecure });
    const answer = await read().catch((error) => {
      if (DPoP && oauth.isDPoPNonceError(error)) return read();
      throw error;
    });
    return [set, answer.status];
  },

  async "simple-oauth2"() {
    const client = new AuthorizationCode({
      client: { id: given.client_id, secret: given.client_secret },
      auth: { tokenHost: given.base_url, tokenPath: "/oauth/token", revokePath: "/oauth/revoke" },
      options: { authorizationMethod: given.method === "client_secret_basic" ? "header" : "body" },
    });
    const got = await client.getToken({ code: given.code, redirect_uri: redirectUri });
    if (got.expired()) throw new Error("the token has expired at once");
    const headers = { Authorization: `Bearer ${got.token.access_token}` };
    const read = (await fetch(readUrl, { headers })).status;
    if (given.revoke) {
      await got.revoke("access_token");
      return [got.token, read, (await fetch(readUrl, { headers })).status];
    }
    return [got.token, read];
  },
};

const [token, ...statuses] = await libraries[process.argv[2]]();
console.log(JSON.stringify({ token, statuses }));
