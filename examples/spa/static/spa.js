// The page: what is shown when. The protocol is in oauth.js.

import { Session } from '/oauth.js';

const NOTICES = {
  access_denied: 'You said no, and nothing was connected.',
  invalid_grant: 'You disconnected us or signed out. We can no longer see your invoices.',
  insufficient_scope: 'You did not allow us to read your invoices.',
};
const AWAY = 'That did not work. Please try again in a moment.';

const at = (id) => document.getElementById(id);
let session;

function show() {
  const isConnected = session?.isConnected ?? false;
  at('signed-in').hidden = !isConnected;
  at('signed-out').hidden = isConnected;
  if (!isConnected) at('who').textContent = '';
  else at('until').textContent = `The token in this tab ends at ${session.endsAt.toLocaleTimeString()}; a new one is fetched by then.`;
}

// Text alone ever gets into the page, never markup.
function row({ number, amount }) {
  const line = document.createElement('tr');
  for (const text of [number, amount]) line.insertCell().textContent = text;
  line.lastElementChild.className = 'amount';
  return line;
}

async function look() {
  const reply = await session.fetch(at('signed-in').dataset.invoices);
  const found = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(found.error_description), found);
  at('account').textContent = `As the Invoices API shows them to this page, for ${found.account}.`;
  at('invoices').replaceChildren(...found.invoices.map(row));
}

// One thing at a time; and whatever is tried, the page says how it ended.
async function attempt(action) {
  const main = document.querySelector('main');
  if (main.ariaBusy === 'true') return;
  main.ariaBusy = 'true';
  at('notice').textContent = '';
  try {
    await action();
  } catch (fault) {
    if (fault.error === 'invalid_grant') session.forget();
    at('notice').textContent = NOTICES[fault.error] ?? AWAY;
  }
  show();
  main.ariaBusy = 'false';
}

async function start() {
  const config = await (await fetch('/config.json')).json();
  at('signed-in').dataset.invoices = config.invoices;
  session = await Session.open(config);
  await session.arrive();
  if (!session.isConnected) return;
  at('who').textContent = (await session.whoami()).name ?? '';
  await look();
}

at('connect').addEventListener('click', () => attempt(() => session.connect()));
at('again').addEventListener('click', () => attempt(look));
at('renew').addEventListener('click', () => attempt(() => session.renew()));
at('leave').addEventListener('click', () => attempt(() => session.leave()));
await attempt(start);
