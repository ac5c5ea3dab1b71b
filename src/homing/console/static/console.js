// What the pages do beyond links and forms. No framework; everything hangs on data- attributes and works again after
// htmx has exchanged a part of the page.
(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);

  // htmx: every request carries the session's token.
  const csrf = one('meta[name="csrf"]')?.content;
  document.addEventListener("htmx:configRequest", (event) => {
    if (csrf) event.detail.headers["X-CSRF-Token"] = csrf;
  });
  // A part that could not be had says so, where it has words for it.
  for (const failed of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(failed, (event) => {
      all("[data-failed]", event.detail.elt).forEach((each) => { each.hidden = false; });
      all("[data-waits]", event.detail.elt).forEach((each) => { each.hidden = true; });
    });
  }
  // A part that is exchanged keeps what somebody had opened in it, and the keyboard's place.
  let left = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target, here = document.activeElement;
    const name = (element) => (element.id ? `#${CSS.escape(element.id)}` : element.getAttribute("href") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : null);
    left = {
      open: all("details[id][open]", target).map((each) => each.id),
      focus: here !== target && target.contains(here) ? name(here) : null,
      row: one("tr.current", target)?.dataset.href,
    };
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const target = event.detail.target;
    left?.open.forEach((id) => { const each = document.getElementById(id); if (each) each.open = true; });
    if (left?.row) one(`tr[data-href="${CSS.escape(left.row)}"]`, target)?.classList.add("current");
    if (left?.focus) one(left.focus, target)?.focus({ preventScroll: true });
    dress(target);
  });

  // Times: the server wrote UTC; here it becomes the reader's own, with its age on hover, or the age where it is recent.
  const plain = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
  const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [86400 * 14, "day", 86400]];
  const tellTime = (element) => {
    const then = new Date(element.dateTime);
    if (Number.isNaN(then.getTime())) return;
    const seconds = (then.getTime() - Date.now()) / 1000;
    const step = "exact" in element.dataset ? null : STEPS.find(([below]) => Math.abs(seconds) < below);
    const exact = plain.format(then);
    element.textContent = step ? relative.format(Math.round(seconds / step[2]), step[1]) : exact;
    if (!element.dataset.utc) element.dataset.utc = element.title;
    element.title = `${exact} (${element.dataset.utc})`;
  };

  // Light, dark, or as the system has it. The server reads the cookie, so that no page flashes.
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => root.dataset.theme === "dark" || (root.dataset.theme === "auto" && dark.matches);
  const showTheme = () => all("[data-theme-switch] use").forEach((use) => {
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, isDark() ? "#sun" : "#moon"));
  });
  const switchTheme = () => {
    const wanted = isDark() ? "light" : "dark";
    root.dataset.theme = wanted === (dark.matches ? "dark" : "light") ? "auto" : wanted;
    document.cookie = `homing_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    showTheme();
    all("[data-chart]").forEach(draw);
  };

  // Charts. The figures are the attribute's JSON.
  const tone = (name) => getComputedStyle(root).getPropertyValue({ good: "--good-dot", warn: "--warn-dot", bad: "--bad-dot", info: "--info-dot" }[name] || "--accent").trim();
  const clock = (seconds) => {
    const then = new Date(seconds * 1000);
    return then.getHours() + then.getMinutes() ? then.toTimeString().slice(0, 5) : then.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  };
  const day = (seconds) => new Date(seconds * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
  const draw = (box) => {
    if (!window.uPlot) return;
    const { times, series, unit, daily } = JSON.parse(box.dataset.chart);
    const style = getComputedStyle(root);
    const muted = style.getPropertyValue("--text-3").trim(), line = style.getPropertyValue("--line").trim();
    const axis = { stroke: muted, font: "11px Inter, sans-serif", grid: { stroke: line, width: 1 }, ticks: { show: false } };
    box.plot?.destroy();
    box.plot = new uPlot({
      ...(daily ? { tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC") } : {}),
      width: Math.max(200, box.clientWidth), height: box.clientHeight || 180, legend: { show: false },
      cursor: { y: false, points: { size: 6 } }, padding: [8, 16, 0, 0],
      scales: { y: { range: (_, low, high) => [Math.min(0, low), Math.max(1, high * 1.1)] } },
      axes: [{ ...axis, size: 28, grid: { show: false }, values: (_, ticks) => ticks.map(daily ? day : clock) }, { ...axis, size: 44, values: (_, ticks) => ticks.map((t) => (t >= 1000 ? `${t / 1000}k` : t) + (unit || "")) }],
      series: [{}, ...series.map(([label, , name]) => ({ label, stroke: tone(name), width: 1.75, fill: `${tone(name)}1f`, points: { show: false } }))],
    }, [times, ...series.map(([, values]) => values)], box);
  };
  addEventListener("resize", () => all("[data-chart]").forEach((box) => box.plot?.setSize({ width: Math.max(200, box.clientWidth), height: box.clientHeight })));

  // Dialogs, and the side navigation of phones.
  const toggleSide = (open = !root.classList.contains("side-open")) => {
    root.classList.toggle("side-open", open);
    all('button[data-toggle="side"]').forEach((button) => button.setAttribute("aria-expanded", String(open)));
    if (open) one("#side a")?.focus();
  };
  const open = (id) => {
    const dialog = document.getElementById(id);
    if (dialog && !dialog.open) dialog.showModal();
    if (id === "find") seek("");
  };

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-open], [data-close], [data-toggle], [data-theme-switch], [data-copy], [data-print], #find [role=option], tr[data-href]");
    if (event.target instanceof HTMLDialogElement) return event.target.close(); // beside the dialog
    if (!target) return;
    if (target.dataset.open) return open(target.dataset.open);
    if ("close" in target.dataset) return target.closest("dialog")?.close();
    if (target.dataset.toggle) return toggleSide();
    if ("themeSwitch" in target.dataset) return switchTheme();
    if ("print" in target.dataset) return print();
    if ("copy" in target.dataset) {
      navigator.clipboard?.writeText(target.dataset.copy);
      return say("Copied");
    }
    if (target.dataset.href && !event.target.closest("a, button, input, label, select") && !String(getSelection())) {
      if (event.ctrlKey || event.metaKey) window.open(target.dataset.href);
      else location.assign(target.dataset.href);
    }
  });
  const say = (text) => { one("#spoken").textContent = text; };

  // Filters send themselves; empty ones stay out of the address.
  const send = (form) => {
    const idle = one("[name=value]", form) && !one("[name=value]", form).value && !/none|some/.test(one("[name=op]", form)?.value);
    all("input, select", form).forEach((field) => { field.disabled = !field.value || (idle && /^(column|op)$/.test(field.name)); });
    form.submit();
  };
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-filters]");
    if (form && !("still" in event.target.dataset) && event.target.matches("select, [type=date], [type=checkbox]")) send(form);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-filters]")) {
      event.preventDefault();
      send(event.target);
      return;
    }
    if (event.target.method === "post") {
      // Sent once: a second click would be a second form.
      setTimeout(() => all('button[type="submit"]', event.target).forEach((button) => { button.disabled = true; }), 0);
    }
  });
  addEventListener("pageshow", () => all("form button:disabled, form[data-filters] :disabled").forEach((field) => { if (!field.dataset.never) field.disabled = false; }));

  // Go to a page.
  const options = () => all("#find [role=option]");
  const shown = () => options().filter((option) => !option.hidden);
  const pick = (option) => {
    options().forEach((each) => each.setAttribute("aria-selected", String(each === option)));
    const input = one("#find input");
    if (option) { input.setAttribute("aria-activedescendant", option.id); option.scrollIntoView({ block: "nearest" }); } else input.removeAttribute("aria-activedescendant");
  };
  const seek = (text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    options().forEach((option) => { option.hidden = !words.every((word) => option.textContent.toLowerCase().includes(word)); });
    pick(shown()[0]);
  };
  document.addEventListener("input", (event) => { if (event.target.matches("#find input")) seek(event.target.value); });

  // The keyboard.
  let went = 0;
  const rows = () => all("table[data-rows] tbody tr[data-href]");
  const step = (by) => {
    const found = rows();
    if (!found.length) return;
    const at = found.findIndex((row) => row.classList.contains("current"));
    const next = found[Math.max(0, Math.min(found.length - 1, at < 0 ? (by > 0 ? 0 : found.length - 1) : at + by))];
    found.forEach((row) => row.classList.toggle("current", row === next));
    (one("a", next) || next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
    if (event.target.matches("#find input")) {
      const found = shown(), at = found.findIndex((option) => option.getAttribute("aria-selected") === "true");
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        pick(found[(at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length]);
      } else if (event.key === "Enter" && found[at]) location.assign(found[at].dataset.href);
      return;
    }
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); return open("find"); }
    if (event.key === "Escape" && root.classList.contains("side-open")) return toggleSide(false);
    if (typing || event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    if (Date.now() - went < 1500) {
      went = 0;
      const entry = all("nav a[data-key]").find((link) => link.dataset.key === event.key);
      if (entry) { event.preventDefault(); location.assign(entry.href); return; }
    }
    const special = one(`[data-hotkey="${CSS.escape(event.key)}"]`);
    if (special) { event.preventDefault(); special.click(); return; }
    if (event.key === "g") { went = Date.now(); return; }
    if (event.key === "?") { event.preventDefault(); return open("keys"); }
    if (event.key === "/") { const field = one("[data-search]"); if (field) { event.preventDefault(); field.focus(); field.select(); } return; }
    if (event.key === "j") return step(1);
    if (event.key === "k") return step(-1);
    if (event.key === "Enter" && !event.target.closest("a, button")) { const row = one("tr.current"); if (row) location.assign(row.dataset.href); }
  });

  // Live parts: one stream a page says which of them to ask for again. It is closed while nobody looks, because a
  // browser has six connections to a server for all its windows. Cut off, the page asks by itself until it is back.
  const ASK = 10000;
  const parts = () => all("[data-live]");
  let mark = one('meta[name="live"]')?.content || "", stream = null, asking = 0;
  const ask = (names) => parts().forEach((part) => {
    if (!names || part.dataset.live.split(" ").some((name) => names.includes(name))) htmx.trigger(part, "live");
  });
  const askOften = (yes) => {
    clearInterval(asking);
    asking = yes ? setInterval(() => { ask(); watch(); }, ASK) : 0;
  };
  const unwatch = () => { stream?.close(); stream = null; delete root.dataset.watching; };
  const watch = () => {
    if (stream || document.hidden || !parts().length) return;
    const names = [...new Set(parts().flatMap((part) => part.dataset.live.split(" ")))].join(" ");
    stream = new EventSource(`/console/live?${new URLSearchParams(mark ? { parts: names, mark } : { parts: names })}`);
    stream.addEventListener("open", () => { root.dataset.watching = "yes"; askOften(false); });
    stream.addEventListener("changed", (event) => { mark = event.lastEventId; ask(event.data.split(" ")); });
    stream.addEventListener("bye", () => { unwatch(); ask(); askOften(true); });
    stream.addEventListener("error", () => {
      delete root.dataset.watching;
      if (stream?.readyState === EventSource.CLOSED) unwatch(); // else the browser comes back by itself
      if (!asking) askOften(true);
    });
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) { unwatch(); askOften(false); } else watch(); });
  addEventListener("pagehide", () => { unwatch(); askOften(false); });
  addEventListener("pageshow", (event) => { if (event.persisted) watch(); });

  const dress = (within) => {
    all("time[datetime]", within).forEach(tellTime);
    all("[data-chart]", within).forEach(draw);
  };
  dress(document);
  const here = one("#side nav [aria-current]"), nav = here?.closest("nav");
  if (nav) nav.scrollTop = here.offsetTop + 2 * here.offsetHeight - nav.offsetTop - nav.clientHeight;
  watch();
  all("dialog[data-shown]").forEach((dialog) => open(dialog.id));
  showTheme();
  setInterval(() => all("time[datetime]").forEach(tellTime), 30000);
})();
