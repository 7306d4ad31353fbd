// The protocol: authorization code with PKCE for a client that can keep no secret (RFC 6749 §4.1, RFC 7636).
//
// Tokens are in this module's memory and nowhere else. What has to survive the way to the issuer and back is of no use
// to anybody without the code that comes with it: sessionStorage holds it until then, for this tab alone.

const WAY = 'on-its-way';
const SCOPE = 'openid profile invoices:read';
const AWAY = [502, 503, 504];
const ATTEMPTS = 10;
const HERE = `${location.origin}/`;

export class Refused extends Error {
  constructor(error, description) {
    super(description || error);
    this.error = error;
  }
}

export class Session {
  #config;
  #metadata;
  #tokens = null;
  #renewal = null;

  static async open(config) {
    const session = new Session();
    session.#config = config;
    const metadata = `${config.issuer}/.well-known/openid-configuration`;
    session.#metadata = await (await patiently(() => fetch(metadata))).json();
    if (session.#metadata.issuer !== config.issuer) throw new Refused('wrong_issuer');
    return session;
  }

  get isConnected() {
    return this.#tokens !== null;
  }

  get endsAt() {
    return new Date(this.#tokens.endsAt);
  }

  // Leaves the page.
  async connect() {
    const way = { state: random(), verifier: random() };
    sessionStorage.setItem(WAY, JSON.stringify(way));
    const asked = {
      response_type: 'code', client_id: this.#config.client_id, redirect_uri: HERE, scope: SCOPE, state: way.state,
      code_challenge: await challenge(way.verifier), code_challenge_method: 'S256',
    };
    location.assign(`${this.#metadata.authorization_endpoint}?${new URLSearchParams(asked)}`);
  }

  // Back from there with an answer, or here for the first time. Whatever it was, it leaves the address bar.
  async arrive() {
    const answer = new URLSearchParams(location.search);
    history.replaceState(null, '', HERE);
    const way = JSON.parse(sessionStorage.getItem(WAY));
    sessionStorage.removeItem(WAY);
    if (!answer.has('state') || way === null) return;
    // Somebody else's answer: of another request (RFC 6749 §10.12), or of another issuer (RFC 9207 §2.4).
    if (answer.get('state') !== way.state || answer.get('iss') !== this.#config.issuer) throw new Refused('mixed_up');
    if (answer.has('error')) throw new Refused(answer.get('error'), answer.get('error_description'));
    await this.#redeem({
      grant_type: 'authorization_code', code: answer.get('code'), code_verifier: way.verifier, redirect_uri: HERE,
    });
  }

  // A refresh token is good for once, so whoever wants a new token meanwhile waits for the same one.
  renew() {
    const redeemed = this.#redeem.bind(this);
    this.#renewal ??= redeemed({ grant_type: 'refresh_token', refresh_token: this.#tokens.refresh_token }).finally(
      () => { this.#renewal = null; },
    );
    return this.#renewal;
  }

  async fetch(url, options = {}) {
    if (Date.now() > this.#tokens.endsAt - 10_000) await this.renew();
    const reply = await this.#send(url, options);
    if (reply.status !== 401) return reply;
    // It ended before its time: it was revoked. Shall we have another?
    await this.renew();
    return this.#send(url, options);
  }

  async whoami() {
    return (await this.fetch(this.#metadata.userinfo_endpoint)).json();
  }

  // Leaves the page: our tokens end, then the user's session at the issuer.
  async leave() {
    const { refresh_token: token, id_token: hint } = this.#tokens;
    this.forget();
    await this.#post(this.#metadata.revocation_endpoint, { token, token_type_hint: 'refresh_token' });
    const asked = { id_token_hint: hint, post_logout_redirect_uri: HERE };
    location.assign(`${this.#metadata.end_session_endpoint}?${new URLSearchParams(asked)}`);
  }

  forget() {
    this.#tokens = null;
  }

  async #redeem(form) {
    const reply = await this.#post(this.#metadata.token_endpoint, form);
    const found = await reply.json();
    if (!reply.ok) throw new Refused(found.error, found.error_description);
    this.#tokens = { ...this.#tokens, ...found, endsAt: Date.now() + found.expires_in * 1000 };
  }

  #post(url, form) {
    const body = new URLSearchParams({ client_id: this.#config.client_id, ...form });
    return patiently(() => fetch(url, { method: 'POST', body }));
  }

  #send(url, options) {
    const headers = { ...options.headers, authorization: `Bearer ${this.#tokens.access_token}` };
    return patiently(() => fetch(url, { ...options, headers }));
  }
}

// Whoever is away for a moment is asked again; so is who said something that this page may not read, as a load balancer
// does. A refresh token whose answer was lost brings the same again.
async function patiently(ask) {
  for (let left = ATTEMPTS - 1; left > 0; left -= 1) {
    const reply = await ask().catch(() => null);
    if (reply !== null && !AWAY.includes(reply.status)) return reply;
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
  }
  return ask();
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function challenge(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
