// Conveniences that a page works without: buttons that copy their text, a slider that submits its form, the key "/" that
// leads to the search, a box that selects all rows of a page, and filters that this browser saves.
"use strict";

function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Browsers offer no clipboard API over plain HTTP.
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  return Promise.resolve();
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", () =>
    copy(button.dataset.copy).then(
      () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = label; }, 2000); },
      () => { button.textContent = "Not allowed here"; },
    ),
  );
}

for (const slider of document.querySelectorAll("input[type=range][data-output]")) {
  const output = document.getElementById(slider.dataset.output);
  slider.addEventListener("input", () => { output.textContent = `v${slider.value}`; });
  slider.addEventListener("change", () => slider.form.requestSubmit());
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.getElementById("es-search");
  if (!search) return;
  event.preventDefault();
  search.focus();
});

for (const all of document.querySelectorAll(".es-all")) {
  all.hidden = false;
  all.firstElementChild.addEventListener("change", ({ target }) => {
    for (const box of document.querySelectorAll("#es-rows input[type=checkbox]")) box.checked = target.checked;
  });
}

const saved = document.getElementById("es-saved");
if (saved) {
  const key = `es-filters:${saved.dataset.list}`;
  const read = () => { try { return JSON.parse(localStorage.getItem(key)) ?? {}; } catch { return {}; } };
  const here = new URLSearchParams(location.search);
  for (const name of ["p", "beyond"]) here.delete(name);

  const show = () => {
    const items = Object.entries(read()).map(([name, query]) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `?${query}`;
      link.textContent = name;
      if (query === here.toString()) link.setAttribute("aria-current", "page");
      const forget = document.createElement("button");
      forget.type = "button";
      forget.textContent = "Forget";
      forget.setAttribute("aria-label", `Forget ${name}`);
      forget.addEventListener("click", () => write(({ [name]: _, ...others }) => others));
      item.append(link, " ", forget);
      return item;
    });
    saved.querySelector("ul").replaceChildren(...items);
    saved.querySelector("form").hidden = !here.toString();
    saved.hidden = !items.length && !here.toString();
  };

  const write = (change) => { localStorage.setItem(key, JSON.stringify(change(read()))); show(); };
  saved.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = saved.querySelector("input");
    write((filters) => ({ ...filters, [field.value.trim()]: here.toString() }));
    field.value = "";
  });
  show();
}
