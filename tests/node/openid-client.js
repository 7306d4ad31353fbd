// openid-client, as its documentation uses it.

import * as client from 'openid-client';
import { follow } from './steps.js';

const METHODS = {
  none: () => client.None(),
  client_secret_basic: client.ClientSecretBasic,
  client_secret_post: client.ClientSecretPost,
};

let config;
let asked;
let sent;

async function configure(given) {
  asked = given;
  const metadata = { client_secret: given.client_secret ?? undefined, id_token_signed_response_alg: given.id_token_alg };
  const method = METHODS[given.method](given.client_secret);
  config = await client.discovery(new URL(given.issuer), given.client_id, metadata, method);
  // The ID token came over TLS from where it was signed, so that its signature is looked at when this is asked for.
  client.enableNonRepudiationChecks(config);
  return config.serverMetadata().issuer;
}

async function begin() {
  sent = { verifier: client.randomPKCECodeVerifier(), state: client.randomState(), nonce: client.randomNonce() };
  return client.buildAuthorizationUrl(config, {
    redirect_uri: asked.redirect_uri,
    scope: asked.scope,
    state: sent.state,
    nonce: sent.nonce,
    code_challenge: await client.calculatePKCECodeChallenge(sent.verifier),
    code_challenge_method: 'S256',
  }).href;
}

const shown = (tokens) => ({ ...tokens, claims: tokens.claims() ?? null });

async function arrive({ address }) {
  const checks = { pkceCodeVerifier: sent.verifier, expectedState: sent.state, expectedNonce: sent.nonce };
  return shown(await client.authorizationCodeGrant(config, new URL(address), checks));
}

function leave({ hint, state }) {
  const parameters = { id_token_hint: hint, post_logout_redirect_uri: asked.post_logout_redirect_uri, state };
  return client.buildEndSessionUrl(config, parameters).href;
}

await follow({
  configure,
  begin,
  arrive,
  leave,
  refresh: async ({ token }) => shown(await client.refreshTokenGrant(config, token)),
  userinfo: ({ token, sub }) => client.fetchUserInfo(config, token, sub),
  introspect: ({ token }) => client.tokenIntrospection(config, token),
  revoke: ({ token, hint }) => client.tokenRevocation(config, token, { token_type_hint: hint }),
});
