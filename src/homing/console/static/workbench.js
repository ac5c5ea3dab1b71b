// The workbench beyond forms: choosing rows by keyboard, and going to what is still to be decided.
(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);

  // Typing a value is choosing to type it.
  document.addEventListener("input", (event) => {
    const name = event.target.dataset?.types;
    const radio = name && all('input[type="radio"][value="typed"]').find((each) => each.name === name);
    if (radio) radio.checked = true;
  });

  // A merge with fields that nobody chose yet goes to the first of them instead of to the server.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-merge]") || (event.submitter?.value ?? "merged") !== "merged") return;
    const open = all('input[type="radio"][required]', event.target).find((each) => !all('input[type="radio"]', event.target).some((other) => other.name === each.name && other.checked));
    if (!open) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    open.focus();
    one("#spoken").textContent = "Choose a side for this field.";
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const button = one('form[data-merge] button[data-hotkey="m"]');
    if (button) { event.preventDefault(); button.click(); }
  });

  // Choosing many: only what is alike can be decided at once.
  const boxes = () => all('#many input[type="checkbox"]');
  const show = () => {
    const chosen = boxes().filter((box) => box.checked);
    const kind = chosen[0]?.closest("tr").dataset.alike;
    boxes().forEach((box) => { const row = box.closest("tr"); row.classList.toggle("unlike", Boolean(kind) && row.dataset.alike !== kind); });
    const said = one("[data-chosen]");
    if (said && chosen.length) said.textContent = `${chosen.length} chosen`;
  };
  document.addEventListener("change", (event) => { if (event.target.closest("#many")) show(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select")) return;
    const box = one('tr.current input[type="checkbox"]');
    if (box) { box.checked = !box.checked; show(); }
  });
  show();
  one("[autofocus]")?.focus();
})();
