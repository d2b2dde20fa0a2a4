// An OpenID provider on a free port of this machine, which prints its issuer. node provider.js REDIRECT_URI
// Whoever signs in as `ann` has the verified address ann@example.com; that of `unverified-ann` is not verified.
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "ledger",
      client_secret: "s3cret",
      redirect_uris: [process.argv[2]],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
    }],
    cookies: { keys: ["a key of the tests"] },
    features: { pushedAuthorizationRequests: { enabled: true }, revocation: { enabled: true } },
    pkce: { required: () => true },
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        email: `${id.replace("unverified-", "")}@example.com`,
        email_verified: !id.startsWith("unverified-"),
      }),
    }),
    scopes: ["openid", "email", "fdx:accountdetailed:read", "fdx:transactions:read"],
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: 60, RefreshToken: 3600, Session: 600, Grant: 3600, Interaction: 600, IdToken: 600 },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
