// OAuth 2.0 Form Post Response Mode: the answer goes to the app without a click; without a script there is the button.
"use strict";

document.querySelector("form").submit();
