// What needs a script, and nothing else: the page works without it.
"use strict";

// A run in progress: when the log has grown, the parts that may have changed are fetched again, rendered by the server.
async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const newer = fresh.getElementById(part.id);
    if (!newer || newer.innerHTML === part.innerHTML) continue;
    const held = part.contains(document.activeElement) ? document.activeElement.value : null;
    part.replaceChildren(...newer.childNodes);
    if (held) part.querySelector(`[value="${CSS.escape(held)}"]`)?.focus();
  }
}
for (const place of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(place.dataset.live);
  source.addEventListener("grown", renew);
  source.addEventListener("over", () => { source.close(); renew(); });
}

// Filters apply when they are changed; without a script there is a button.
for (const form of document.querySelectorAll("form[data-filters]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    button.textContent = "copied";
  });
}

// Keys: / search, j and k through the rows of a table, enter opens, ? says so.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("input[type=search]")?.focus();
  } else if (event.key === "?") {
    document.getElementById("keys")?.showModal();
  } else if (event.key === "j" || event.key === "k") {
    const rows = [...document.querySelectorAll("table[data-rows] tbody th a")];
    if (!rows.length) return;
    const now = rows.indexOf(document.activeElement);
    const next = event.key === "j" ? now + 1 : Math.max(now - 1, 0);
    rows[Math.min(next, rows.length - 1)].focus();
  }
});
