// The reset page: the token comes in the fragment, which no server log ever sees, and leaves the address bar at once.
"use strict";

const choose = document.getElementById("choose");

function take() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token || !choose) return;
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = token;
  choose.hidden = false;
  document.getElementById("missing").hidden = true;
  document.getElementById("password").focus();
}

take();
// Whoever opens the link where this page is open already loads nothing anew.
addEventListener("hashchange", take);
