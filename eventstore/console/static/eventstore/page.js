// Conveniences that a page works without: buttons that copy their text, and a slider that submits its form.
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
