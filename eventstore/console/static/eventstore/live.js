// Fetches the page again every [data-refresh] seconds while the tab is visible, and replaces the element with the same
// id. The focus is kept. A changed data-announce is read out by screen readers.
(() => {
  "use strict";
  const status = document.getElementById("es-status");
  const button = document.getElementById("es-live");
  let stopped = false;

  const rows = (part) => [...part.querySelectorAll("#result_list tbody tr")];
  const address = (row) => row.querySelector("a")?.getAttribute("href");

  // A list gets its new rows at the top.
  const markNew = (old, fresh) => {
    const known = new Set(rows(old).map(address));
    const added = rows(fresh).filter((row) => !known.has(address(row)));
    added.forEach((row) => row.classList.add("es-new"));
    if (status && added.length) status.textContent = `New rows: ${added.length}`;
  };

  const replace = (old, fresh) => {
    markNew(old, fresh);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const open = [...old.querySelectorAll("details")].map((each) => each.open);
    old.replaceWith(fresh);
    fresh.querySelectorAll("details").forEach((each, number) => { each.open = open[number] ?? false; });
    const same = focused?.getAttribute("href");
    if (same) [...fresh.querySelectorAll("a")].find((each) => each.getAttribute("href") === same)?.focus();
    if (status && fresh.dataset.announce && fresh.dataset.announce !== old.dataset.announce) status.textContent = fresh.dataset.announce;
    document.dispatchEvent(new Event("es-refreshed"));
  };

  const refresh = async (id) => {
    const response = await fetch(location.href, { credentials: "same-origin" });
    if (!response.ok || response.redirected) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById(id);
    const old = document.getElementById(id);
    // What is selected stays where it is.
    if (fresh && old && !stopped && !old.querySelector("input:checked")) replace(old, fresh);
  };

  const follow = (id) => {
    const seconds = Number(document.getElementById(id)?.dataset.refresh);
    if (!seconds) return;
    setTimeout(async () => {
      if (!stopped && !document.hidden) await refresh(id).catch(() => {});
      follow(id);
    }, seconds * 1000);
  };

  const parts = [...document.querySelectorAll("[data-refresh]")].map((each) => each.id);
  parts.forEach(follow);
  if (button && parts.length) {
    button.hidden = false;
    button.addEventListener("click", () => {
      stopped = !stopped;
      button.textContent = stopped ? "Resume updates" : "Pause updates";
    });
  }
})();
