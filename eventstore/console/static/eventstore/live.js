// Asks for the page again every [data-refresh] seconds and puts the part of the same id in its place, while somebody
// looks. What had the focus has it afterwards; what data-say tells is read out when it has changed.
(() => {
  "use strict";
  const status = document.getElementById("es-status");
  const button = document.getElementById("es-live");
  let stopped = false;

  const replace = (old, fresh) => {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const open = [...old.querySelectorAll("details")].map((each) => each.open);
    old.replaceWith(fresh);
    fresh.querySelectorAll("details").forEach((each, number) => { each.open = open[number] ?? false; });
    const same = focused?.getAttribute("href");
    if (same) [...fresh.querySelectorAll("a")].find((each) => each.getAttribute("href") === same)?.focus();
    if (status && fresh.dataset.say && fresh.dataset.say !== old.dataset.say) status.textContent = fresh.dataset.say;
    document.dispatchEvent(new Event("es-refreshed"));
  };

  const refresh = async (id) => {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
    const old = document.getElementById(id);
    if (fresh && old && !stopped) replace(old, fresh);
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
      button.textContent = stopped ? "Go on updating this page" : "Stop updating this page";
    });
  }
})();
