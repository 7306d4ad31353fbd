// The setup page: the token comes in the fragment, which no server log ever sees, and leaves the address bar at once.
"use strict";

const part = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname);
part(token ? "ask" : "missing").hidden = false;
// What the page says in the reader's language.
const words = part("status").dataset;

// The server explains itself in English, whatever the page speaks.
function say(text, failed = false, language = document.documentElement.lang) {
  part("status").textContent = text;
  part("status").lang = language;
  part("status").classList.toggle("failed", failed);
}

function commands() {
  return [
    `export DOORWARD_URL=${location.origin}`,
    "read -rs DOORWARD_ADMIN_KEY && export DOORWARD_ADMIN_KEY",
    "export DOORWARD_CA_FILE=doorward-data/ca.pem  # only with the server's own CA",
    './doorward apis create https://api.example.com --name Invoices --scope "invoices:read=Read your invoices"',
    './doorward accounts create acme --name "Acme Inc"',
    "./doorward keys create --account acme --api https://api.example.com --scope invoices:read --expires-in 90d",
  ].join("\n");
}

function show(answer) {
  part("ask").hidden = true;
  part("done").hidden = false;
  part("key").value = answer.key;
  part("id").textContent = answer.id ?? "";
  if (answer.expires_at) {
    const day = new Date(answer.expires_at * 1000).toLocaleDateString(document.documentElement.lang, { dateStyle: "long" });
    part("expires").textContent = ` · ${words.expires} ${day}`;
  }
  part("commands").textContent = commands();
  part("title").textContent = words.title;
  part("title").focus();
  say("");
}

async function create(event) {
  event.preventDefault();
  part("create").disabled = true;
  say(words.creating);
  try {
    const reply = await fetch("/setup", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token, username: part("username").value, password: part("password").value }),
      credentials: "omit",
    });
    const answer = await reply.json();
    if (reply.status === 201) return show(answer);
    if (reply.status === 422 || reply.status === 409) {
      // The link is still good: what was typed can be corrected.
      part("create").disabled = false;
      return say(answer.detail, true, "en");
    }
    const reason = answer.detail || answer.title || words.refused;
    say(answer.request_id ? `${reason} (${answer.request_id})` : reason, true, answer.title ? "en" : undefined);
    part("missing").hidden = false;
    part("ask").hidden = true;
  } catch {
    say(words.silent, true);
    part("create").disabled = false;
  }
}

async function copy(button) {
  const source = part(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    button.textContent = words.copied;
    say(words.copied);
    setTimeout(() => { button.textContent = words.copyLabel; say(""); }, 2000);
  } catch {
    if (source.select) source.select();
    else getSelection().selectAllChildren(source);
    say(words.press);
  }
}

part("person").addEventListener("submit", create);
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
