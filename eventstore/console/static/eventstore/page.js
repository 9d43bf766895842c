// What a page can do without, and is handier with: buttons that copy the text they carry, a slider that needs no button.
"use strict";

function written(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain HTTP a browser has no clipboard to give.
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
    written(button.dataset.copy).then(
      () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = label; }, 2000); },
      () => { button.textContent = "Not allowed here"; },
    ),
  );
}

for (const slider of document.querySelectorAll("input[type=range][data-told-in]")) {
  const told = document.getElementById(slider.dataset.toldIn);
  slider.addEventListener("input", () => { told.textContent = `v${slider.value}`; });
  slider.addEventListener("change", () => slider.form.requestSubmit());
}
