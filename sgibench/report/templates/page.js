"use strict";
// Everything here is comfort: the page says the same without it.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  const theme = document.getElementById("theme");
  if (theme) {
    const order = ["auto", "light", "dark"];
    theme.hidden = false;
    theme.addEventListener("click", () => {
      const next = order[(order.indexOf(root.dataset.theme || "auto") + 1) % order.length];
      if (next === "auto") { delete root.dataset.theme; } else { root.dataset.theme = next; }
      theme.textContent = "Theme: " + next;
    });
  }

  // Sorting: inside each interface's part of a table; rows without a value stay last.
  const sortBy = (table, column, direction) => {
    for (const body of table.tBodies) {
      const rows = all("tr.row", body);
      const value = (row) => {
        const cell = row.querySelector(`[data-column="${column}"]`);
        const text = cell ? cell.dataset.value : undefined;
        if (text === undefined || text === "") { return null; }
        return column === "name" ? text : Number(text);
      };
      rows.sort((a, b) => {
        const x = value(a), y = value(b);
        if (x === null || y === null) { return (x === null) - (y === null); }
        return (x < y ? -1 : x > y ? 1 : 0) * direction;
      });
      body.append(...rows);
    }
    for (const head of all("th[data-sort]", table)) {
      if (head.dataset.sort === column) {
        head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      } else {
        head.removeAttribute("aria-sort");
      }
    }
  };
  for (const head of all("table.rank th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "ascending";
      const down = head.getAttribute("aria-sort") === "descending";
      const first = head.dataset.first === "descending" ? -1 : 1;
      sortBy(head.closest("table"), head.dataset.sort, up ? -1 : down ? 1 : first);
    });
  }

  // Places by another figure: each figure's badge says its place; the column in front repeats the chosen one's.
  const rankBy = (column) => {
    for (const row of all("table.rank tr.row")) {
      const cell = row.querySelector('[data-column="place"]');
      const figure = row.querySelector(`[data-column="${column}"]`);
      const badge = figure && figure.querySelector(".at");
      cell.replaceChildren();
      cell.dataset.value = badge ? figure.dataset.place : "";
      if (badge) {
        const place = badge.cloneNode(true);
        place.classList.replace("at", "place");
        cell.append(place);
      }
    }
    for (const table of all("table.rank")) { sortBy(table, column, column === "rps" ? -1 : 1); }
  };
  const ranker = document.getElementById("ranker");
  if (ranker) { ranker.addEventListener("change", () => rankBy(ranker.value)); }

  // Filtering: rows by interface, concurrency and name; panels by scenario; marks of hidden rows are dimmed.
  const filter = document.getElementById("filter");
  const apply = () => {
    const want = Object.fromEntries(new FormData(filter).entries());
    const text = (want.text || "").trim().toLowerCase();
    let shown = 0;
    const keys = new Set();
    for (const panel of all(".panel")) {
      panel.hidden = Boolean(want.scenario) && panel.dataset.scenario !== want.scenario;
      for (const body of all("table.rank tbody", panel)) {
        let left = 0;
        for (const row of all("tr.row", body)) {
          const fits = (!want.interface || row.dataset.interface === want.interface)
            && (!want.concurrency || row.dataset.concurrency === want.concurrency)
            && (!text || row.dataset.name.toLowerCase().includes(text));
          row.hidden = !fits;
          const why = document.getElementById(row.dataset.key + "-why");
          if (why) { why.hidden = !fits; }
          if (!fits) { keys.add(row.dataset.key); }
          left += fits ? 1 : 0;
        }
        body.hidden = left === 0;
        shown += panel.hidden ? 0 : left;
      }
    }
    for (const mark of all(".mark, .legend li")) { mark.classList.toggle("dim", keys.has(mark.dataset.row)); }
    filter.querySelector("output").textContent = `${shown} rows shown`;
  };
  if (filter) {
    filter.addEventListener("input", apply);
    filter.addEventListener("submit", (event) => event.preventDefault());
    filter.addEventListener("reset", () => setTimeout(() => { apply(); rankBy(ranker.value); }));
    const sorter = document.getElementById("sorter");
    sorter.addEventListener("change", () => {
      const [column, direction] = sorter.value.split(" ");
      for (const table of all("table.rank")) { sortBy(table, column, Number(direction)); }
    });
  }

  // Hover: a mark's own title in a quicker tooltip, and its row and its other marks lit.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  const titles = new WeakMap();
  const lit = (key, on) => {
    const panel = key && document.getElementById(key.split("r")[0]);
    if (!panel) { return; }
    const row = panel.querySelector(`tr[data-key="${key}"]`);
    if (row) { row.classList.toggle("lit", on); }
    for (const mark of all("svg .mark", panel)) {
      if (!on) { mark.classList.remove("dim"); } else { mark.classList.toggle("dim", mark.dataset.row !== key); }
    }
    if (!on && filter) { apply(); }
  };
  let current = null;
  const leave = () => {
    if (!current) { return; }
    const title = titles.get(current);
    if (title) { current.prepend(title); }
    lit(current.dataset.row, false);
    current = null;
    tip.hidden = true;
  };
  const place = (event) => {
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const top = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18;
    tip.style.left = Math.max(left, 4) + "px";
    tip.style.top = Math.max(top, 4) + "px";
  };
  document.addEventListener("pointerover", (event) => {
    const mark = event.target.closest ? event.target.closest(".mark") : null;
    if (mark === current) { return; }
    leave();
    if (!mark) { return; }
    current = mark;
    const title = mark.querySelector("title");
    if (title) { titles.set(mark, title); title.remove(); tip.textContent = title.textContent; tip.hidden = false; place(event); }
    lit(mark.dataset.row, true);
  });
  document.addEventListener("pointermove", (event) => { if (current) { place(event); } });
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest(".mark")) { leave(); } });
  for (const item of all(".legend li")) {
    item.addEventListener("pointerenter", () => lit(item.dataset.row, true));
    item.addEventListener("pointerleave", () => lit(item.dataset.row, false));
  }

  // A link to a closed detail opens it.
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
})();
