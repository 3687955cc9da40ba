// Added to Locust's page: a bar that says what happens, and the contents of our tabs. It draws what /sgibench/state
// says and computes nothing. Every text goes in as text, never as markup.
"use strict";

(() => {
  const OURS = ["sgi-server", "sgi-generator", "sgi-doubts", "sgi-tests"];
  const SVG = "http://www.w3.org/2000/svg";
  const PHASES = {
    idle: "idle",
    starting: "starting",
    "warm-up": "warming up",
    measuring: "measuring",
    stopping: "stopping",
  };
  const bar = element("section", { id: "sgi-bar", "aria-label": "sgibench", "aria-live": "polite" });
  const panel = element("section", { id: "sgi-panel" });
  let state = null;
  let notice = "";
  let drawn = "";

  // --- building ------------------------------------------------------------------------------------------------

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  function shape(name, attributes = {}, ...children) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function pairs(rows) {
    const body = element("tbody");
    for (const [name, value] of rows) {
      body.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)));
    }
    return element("table", { class: "sgi-pairs" }, body);
  }

  function grid(titles, rows) {
    const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
    const body = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))));
    return element(
      "div",
      { class: "sgi-scroll" },
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)),
    );
  }

  // --- charts --------------------------------------------------------------------------------------------------

  const WIDTH = 420;
  const HEIGHT = 120;
  const LEAST_S = 30;

  function lines(chart) {
    const known = chart.points.filter(([, value]) => value !== null);
    const last = known.length ? known[known.length - 1][0] : 0;
    const first = Math.max(0, Math.min(known.length ? known[0][0] : 0, last - LEAST_S));
    const span = Math.max(last - first, LEAST_S);
    const x = (at) => (((at - first) / span) * WIDTH).toFixed(1);
    const y = (value) => (HEIGHT - (value / (chart.top || 1)) * HEIGHT).toFixed(1);
    const svg = shape("svg", {
      viewBox: `0 -4 ${WIDTH} ${HEIGHT + 8}`,
      role: "img",
      preserveAspectRatio: "none",
      "aria-label": `${chart.title}: ${chart.last} now`,
    });
    for (const share of [0, 0.5, 1]) {
      svg.append(shape("line", { x1: 0, x2: WIDTH, y1: HEIGHT * share, y2: HEIGHT * share, class: "sgi-grid" }));
    }
    const points = known.map(([at, value]) => `${x(at)},${y(value)}`).join(" ");
    svg.append(shape("polyline", { points, class: "sgi-line" }));
    return { svg, from: Math.round(first), to: Math.round(first + span) };
  }

  function figure(chart) {
    const { svg, from, to } = lines(chart);
    const scale = element("div", { class: "sgi-scale" }, element("span", {}, chart.top_words), element("span", {}, "0"));
    const time = element("div", { class: "sgi-time" }, element("span", {}, `${from} s`), element("span", {}, `${to} s`));
    const caption = element("figcaption", {}, chart.title, element("b", {}, chart.last));
    return element("figure", { class: "sgi-chart" }, caption, element("div", { class: "sgi-plot" }, scale, svg), time);
  }

  function charts(tab) {
    return element(
      "div",
      { class: "sgi-charts" },
      ...state.charts.filter((chart) => chart.tab === tab && chart.points.length).map(figure),
    );
  }

  // --- tabs ----------------------------------------------------------------------------------------------------

  function empty(sentence) {
    return [element("p", { class: "sgi-empty" }, sentence)];
  }

  function nothing(sentence) {
    if (state.failed) return `The last test failed, and a failure has no figures. ${state.failed}`;
    return sentence || "Nothing is counted yet. Counting begins when the rate is steady, after one to three seconds.";
  }

  function server() {
    if (!state.server.length) return empty(nothing("No server was started yet."));
    const processes = state.processes.length
      ? [
          element("h3", {}, "Processes"),
          grid(["pid", "program", "CPUs used", "memory, shared pages once (PSS)", "of its own (USS)"], state.processes),
        ]
      : [];
    return [charts("server"), element("h3", {}, "Server"), pairs(state.server), ...processes];
  }

  function generator() {
    if (!state.generator.length) return empty(nothing());
    return [
      charts("generator"),
      element("h3", {}, "Load generator"),
      pairs(state.generator),
      element(
        "p",
        {},
        "When the generator uses 85 % of its CPU, or 80 % of what it can do at most, the figures are about the " +
          "generator and not about the server. Drawing this page costs it a little, too.",
      ),
    ];
  }

  function doubtList(doubts) {
    const items = doubts.map((doubt) =>
      element("li", {}, element("b", {}, doubt.kind), ` ${doubt.detail}. `, element("i", {}, doubt.advice)),
    );
    return element("ul", { class: "sgi-doubts" }, ...items);
  }

  function doubts() {
    if (!state.generator.length) return empty(nothing());
    const intro = "Reasons not to believe the figures of this test, found by the rules that judge every run.";
    return state.doubts.length
      ? [element("p", {}, intro), doubtList(state.doubts)]
      : [element("p", {}, intro), element("p", { class: "sgi-good" }, "No doubt so far.")];
  }

  function bars(rows, name) {
    return (row, cell) => {
      const alike = rows.filter((other) => other.alike === row.alike); // the rest can't be compared
      const most = Math.max(0, ...alike.map((other) => other.bars[name] ?? 0));
      const share = most && row.bars[name] ? (100 * row.bars[name]) / most : 0;
      cell.classList.add("sgi-bar");
      cell.style.setProperty("--share", `${share.toFixed(1)}%`);
    };
  }

  function testRows(titles) {
    const decorate = Object.fromEntries(
      ["requests/s", "CPU per request"].map((name) => [name, bars(state.tests, name)]),
    );
    return state.tests.flatMap((row) => {
      const cells = titles.map((title, place) => {
        const cell = element("td", {}, row.cells[place]);
        if (decorate[title]) decorate[title](row, cell);
        if (title === "doubts") cell.className = "sgi-wrap";
        if (title === "doubts") cell.title = row.doubts.map((doubt) => `${doubt.kind}: ${doubt.detail}`).join("\n");
        return cell;
      });
      const line = element("tr", {}, ...cells);
      if (!row.failure) return [line];
      const reason = element("td", { colspan: titles.length, class: "sgi-failure" }, `Test ${row.number} failed: ${row.failure}`);
      return [line, element("tr", {}, reason)];
    });
  }

  function tests() {
    if (!state.tests.length) return empty("No test has ended yet.");
    const titles = state.columns;
    const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
    return [
      element("div", { class: "sgi-actions" }, saveButton(), savedLink()),
      element(
        "div",
        { class: "sgi-scroll" },
        element("table", {}, element("thead", {}, head), element("tbody", {}, ...testRows(titles))),
      ),
      element(
        "p",
        {},
        "These tests ran one after the other, so differences under about 10 % mean nothing here: a shared machine " +
          "changes its speed by that much from one test to the next. “sgibench run” visits all servers in turn, in " +
          "slices of a tenth of a second, and tells smaller differences apart.",
      ),
    ];
  }

  // --- saving --------------------------------------------------------------------------------------------------

  function saveButton() {
    const many = state.unsaved === 1 ? "1 test" : `${state.unsaved} tests`;
    const words = state.unsaved ? `Save ${many} as a run` : "Nothing to save";
    const button = element("button", { type: "button", class: "sgi-button" }, words);
    button.disabled = state.unsaved === 0 || state.phase === "starting" || state.phase === "stopping";
    button.addEventListener("click", save);
    return button;
  }

  function savedLink() {
    if (notice) return element("span", { class: "sgi-error" }, notice);
    if (!state.saved) return null;
    const link = element("a", { href: "/sgibench/report", target: "_blank", rel: "noopener" }, "open its report");
    return element("span", {}, `Saved in ${state.saved.folder}: `, link);
  }

  async function save() {
    try {
      const answer = await fetch("/sgibench/save", { method: "POST" });
      const told = await answer.json();
      notice = told.success ? "" : told.message;
    } catch (error) {
      notice = `not saved: ${error}`;
    }
    await refresh();
  }

  // --- drawing -------------------------------------------------------------------------------------------------

  const DRAW = { "sgi-server": server, "sgi-generator": generator, "sgi-doubts": doubts, "sgi-tests": tests };

  function drawBar() {
    const busy = state.phase !== "idle";
    const phase = element("b", { class: `sgi-phase${busy ? " sgi-busy" : ""}` }, PHASES[state.phase] || state.phase);
    const parts = [phase];
    if (state.sentence) parts.push(element("span", {}, state.sentence));
    if (busy && state.about.length) parts.push(element("span", {}, state.about.join(" · ")));
    for (const [name, value] of state.now) parts.push(element("span", { class: "sgi-now" }, `${name} `, element("b", {}, value)));
    if (!busy && !state.error) parts.push(element("span", {}, hint()));
    if (state.error && !busy) parts.push(element("span", { class: "sgi-error" }, state.error));
    const background = getComputedStyle(document.body).backgroundColor; // Locust's light or dark
    bar.style.background = background;
    const dark = (background.match(/\d+/g) || []).slice(0, 3).every((part) => Number(part) < 128);
    document.documentElement.classList.toggle("sgi-dark", dark);
    bar.replaceChildren(...parts);
  }

  function hint() {
    if (!state.tests.length) return "Choose a server and press Start. One user is one connection.";
    const ended = state.tests.length === 1 ? "1 test has ended" : `${state.tests.length} tests have ended`;
    return `${ended}: see the tab Tests. New starts another server.`;
  }

  function activeTab() {
    const tab = new URLSearchParams(window.location.search).get("tab");
    return OURS.includes(tab) && document.querySelector("main [role=tablist]") ? tab : null;
  }

  function drawPanel() {
    const tab = activeTab();
    panel.hidden = tab === null;
    if (tab === null) {
      drawn = "";
      return;
    }
    const parts = JSON.stringify([tab, state, notice]);
    if (parts === drawn) return;
    drawn = parts;
    panel.replaceChildren(...DRAW[tab]().filter((part) => part !== null));
  }

  // Locust's page is drawn by React: our two elements are put back whenever it has drawn something else.
  function settle() {
    const main = document.querySelector("main");
    if (main && bar.nextElementSibling !== main) main.before(bar);
    const tabs = document.querySelector("main [role=tablist]");
    const place = tabs ? tabs.closest(".MuiContainer-root") : null;
    if (place && panel.parentElement !== place) place.append(panel);
    for (const form of document.querySelectorAll("form")) shapeForm(form);
    if (state) drawPanel();
  }

  function shapeForm(form) {
    const choices = form.querySelector("[name=scenario]");
    const part = choices ? choices.closest(".MuiAccordion-root") : null;
    if (!part || part.dataset.sgi) return;
    part.dataset.sgi = "seen";
    const heading = form.parentElement.querySelector("h2");
    if (heading && heading.textContent.startsWith("Edit")) {
      part.hidden = true; // while a test runs, only the number of users can change
      return;
    }
    const button = part.querySelector("[aria-expanded=false]");
    if (button) button.click(); // Locust hides what one came for
  }

  async function refresh() {
    try {
      const answer = await fetch("/sgibench/state", { cache: "no-store" });
      state = await answer.json();
    } catch {
      bar.replaceChildren(element("span", { class: "sgi-error" }, "sgibench has ended: start it again with sgibench ui"));
      return;
    }
    drawBar();
    settle();
  }

  document.title = "sgibench · Locust";
  new MutationObserver(settle).observe(document.getElementById("root"), { childList: true, subtree: true });
  window.addEventListener("popstate", settle);
  settle();
  refresh();
  setInterval(() => document.hidden || refresh(), 1000);
})();
