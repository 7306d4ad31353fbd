// oauth4webapi, as its examples use it: every request and every answer by itself.

import * as oauth from 'oauth4webapi';
import { follow } from './steps.js';

const METHODS = { none: () => oauth.None(), client_secret_basic: oauth.ClientSecretBasic, client_secret_post: oauth.ClientSecretPost };

let server;
let client;
let method;
let asked;
let sent;

async function configure(given) {
  asked = given;
  const issuer = new URL(given.issuer);
  server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer));
  client = { client_id: given.client_id, id_token_signed_response_alg: given.id_token_alg };
  method = METHODS[given.method](given.client_secret);
  return server.issuer;
}

async function begin() {
  sent = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() };
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: asked.redirect_uri,
    response_type: 'code',
    scope: asked.scope,
    state: sent.state,
    nonce: sent.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(sent.verifier),
    code_challenge_method: 'S256',
  });
  return url.href;
}

async function shown(tokens, response) {
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  if (claims) await oauth.validateApplicationLevelSignature(server, response);
  return { ...tokens, claims: claims ?? null };
}

async function arrive({ address }) {
  const answer = oauth.validateAuthResponse(server, client, new URL(address), sent.state);
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, method, answer, asked.redirect_uri, sent.verifier,
  );
  const checks = { expectedNonce: sent.nonce, requireIdToken: true };
  return shown(await oauth.processAuthorizationCodeResponse(server, client, response, checks), response);
}

async function refresh({ token }) {
  const response = await oauth.refreshTokenGrantRequest(server, client, method, token);
  return shown(await oauth.processRefreshTokenResponse(server, client, response), response);
}

async function userinfo({ token, sub }) {
  return oauth.processUserInfoResponse(server, client, sub, await oauth.userInfoRequest(server, client, token));
}

async function introspect({ token }) {
  const response = await oauth.introspectionRequest(server, client, method, token);
  return oauth.processIntrospectionResponse(server, client, response);
}

async function revoke({ token, hint }) {
  const additionalParameters = { token_type_hint: hint };
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(server, client, method, token, { additionalParameters }),
  );
}

// It has nothing for this but the address that it discovered.
function leave({ hint, state }) {
  const parameters = { id_token_hint: hint, post_logout_redirect_uri: asked.post_logout_redirect_uri, state };
  return `${server.end_session_endpoint}?${new URLSearchParams(parameters)}`;
}

await follow({ configure, begin, arrive, refresh, userinfo, introspect, revoke, leave });
