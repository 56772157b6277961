// The part of the widget that runs in the page: keys and clicks, names for screen
// readers, announcements, and the notice of a busy kernel.

const PATIENCE = 800; // milliseconds until a kernel that does not answer counts as busy
const BUSY =
  "The kernel is busy with another cell: your actions here take effect after that cell.";
const QUICK = 400; // milliseconds between two quick presses, at most
// in tenths of a decade
const ARROWS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };
const STEPS = { ...ARROWS, PageDown: -10, PageUp: 10 };
const COMMANDS =
  "button.widget-button:enabled, button.lrwidget-command, .lrwidget-lanes image";
const UNDO = "Ctrl+Z in the chart";
const PICTURES = {
  ".lrwidget-final": "Final loss over the learning rate",
  ".lrwidget-lanes": "Loss over the training steps, a line for each rate",
};

// anywidget removes the listeners of the model with the view; the signal ends the rest.
function render({ model, el }) {
  const controller = new AbortController();
  const page = { model, el, signal: controller.signal };
  el.classList.add("lrwidget-page");
  const notice = element("span", { role: "status", className: "lrwidget-notice" });
  el.append(notice);
  addAnnouncements(page);
  whenAttached(page, (root) => {
    const chart = root.querySelector(".lrwidget-chart");
    watchKernel(page, root, notice);
    // Otherwise the arrows would move between the cells of the notebook.
    root.dataset.lmSuppressShortcuts = "true";
    root.classList.add("lrwidget-scripted"); // hints tell what the scripts can do
    addKeys(page, chart);
    addClicks(page, chart);
    addNames(page, root, chart);
  });
  return () => controller.abort();
}

// ---- notices

// Tells screen readers of a start, an end and an error, but not of each step.
function addAnnouncements({ model, el }) {
  const said = element("span", { role: "status", className: "lrwidget-unseen" });
  model.on("change:said", () => (said.textContent = model.get("said")));
  el.append(said);
}

// ---- the handle: keys and clicks move it as a drag does, so that all arrive in order

function addKeys(page, chart) {
  const { model, signal, awaitAnswer } = page;
  let moved = null;
  // Between two quick presses, the kernel's answer to the first must not count.
  page.latest = { rate: null, until: 0 };
  const press = async (event) => {
    const steps = STEPS[event.key];
    if (!(steps || event.key === "Home")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    awaitAnswer();
    const handle = await modelOf(model, model.get("handle"));
    const now = performance.now();
    if (!steps) {
      const home = model.get("suggestion");
      moved = null;
      page.latest = { rate: home, until: home === null ? 0 : now + QUICK };
      // A queued move arrives after the message, so it must be a move to this rate.
      if (home !== null) moveTo(handle, home);
      return model.send({ do: "home" });
    }
    const [low, high] = model.get("bounds");
    const { latest } = page;
    const shown = now < latest.until ? latest.rate : handle.get("x")[0];
    const from = shown ?? model.get("suggestion") ?? valueAt(handle.get("scales").x, 0.5);
    // To whole tenths of a decade, or else the rounding of the handle would add up.
    const place = 10 * Math.log10(from);
    const tenths = (Math.abs(steps) < 10 ? Math.round(place) : place) + steps;
    moved = Math.min(Math.max(10 ** (tenths / 10), low), high);
    page.latest = { rate: moved, until: now + QUICK };
    moveTo(handle, moved);
  };
  const release = async () => {
    if (moved === null) return;
    const rate = moved;
    moved = null;
    endDrag(await modelOf(model, model.get("handle")), rate);
  };
  chart.addEventListener("keydown", press, { signal });
  chart.addEventListener("keyup", release, { signal });
  chart.addEventListener("blur", release, { signal });
  signal.addEventListener("abort", release);
}

function addClicks(page, chart) {
  const { model, signal, awaitAnswer } = page;
  const click = async ({ target, clientX, clientY }) => {
    const plot = chart.querySelector(".plotarea_events").getBoundingClientRect();
    const across = (clientX - plot.left) / plot.width;
    const inside = across >= 0 && across <= 1;
    const level = clientY >= plot.top && clientY <= plot.bottom;
    if (!inside || !level || target.closest(".object_grp")) return;
    awaitAnswer();
    page.latest.until = 0;
    const handle = await modelOf(model, model.get("handle"));
    const rate = valueAt(handle.get("scales").x, across);
    moveTo(handle, rate);
    endDrag(handle, rate);
  };
  chart.addEventListener("click", click, { signal });
}

function moveTo(handle, rate) {
  handle.set("x", Float64Array.of(rate));
  handle.save_changes();
}

function endDrag(handle, rate) {
  handle.send({ event: "drag_end", point: { x: rate }, index: 0 });
}

// ---- names for screen readers

function addNames({ signal }, root, chart) {
  // ipywidgets names only inputs: the other parts get their names here.
  const name = () => {
    for (const slider of root.querySelectorAll(".widget-slider:not(.lrwidget-brush)")) {
      const text = slider.querySelector(".widget-label")?.textContent;
      const handles = slider.querySelectorAll(".noUi-handle");
      handles.forEach((handle, i) => {
        const which = handles.length > 1 ? ["first", "last"][i] : "";
        setAttributes(handle, { "aria-label": `${text} ${which}`.trim() });
      });
      const readout = slider.querySelector(".widget-readout");
      if (readout) setAttributes(readout, { role: "textbox", "aria-label": `${text}, value` });
      // Of one handle, the value: else the number of a choice, such as 0, would be read.
      if (readout && handles.length === 1) {
        setAttributes(handles[0], { "aria-valuetext": readout.textContent });
      }
    }
    for (const bar of root.querySelectorAll(".progress")) {
      setAttributes(bar, { role: "img", "aria-label": "Progress" });
    }
    for (const [picture, label] of Object.entries(PICTURES)) {
      const shown = root.querySelector(picture);
      if (shown) setAttributes(shown, { role: "img", "aria-label": label });
    }
    for (const button of root.querySelectorAll("button")) {
      if (!button.textContent.trim()) setAttributes(button, { "aria-label": button.title });
    }
    const undo = root.querySelector(".lrwidget-undo");
    if (undo?.title && !undo.title.includes(UNDO)) undo.title += ` (${UNDO})`;
    for (const toggle of root.querySelectorAll(".widget-toggle-button")) {
      setAttributes(toggle, { "aria-expanded": toggle.classList.contains("mod-active") });
    }
  };
  let focused = null;
  root.addEventListener("focusin", ({ target }) => (focused = target), { signal });
  const keepPlace = () => {
    if (!focused || focused.isConnected || document.activeElement !== document.body) return;
    (root.querySelector(".lrwidget-runs tbody button") ?? chart).focus();
  };
  const observer = new MutationObserver((changes) => {
    // The chart is redrawn often, and has no controls in it.
    if (changes.every(({ target }) => chart.contains(target))) return;
    name();
    keepPlace();
  });
  const attributeFilter = ["title", "class"];
  observer.observe(root, { childList: true, subtree: true, attributeFilter });
  signal.addEventListener("abort", () => observer.disconnect());
  name();
}

// ---- a kernel that is busy with another cell

function watchKernel(page, root, notice) {
  const { model, el, signal } = page;
  let timer;
  page.awaitAnswer = () => {
    clearTimeout(timer);
    timer = setTimeout(() => (notice.textContent = BUSY), PATIENCE);
  };
  const click = (event) => {
    const { target, detail } = event;
    // The second press of a double click would stop what the first has started.
    if (detail > 1 && target.closest(".lrwidget-toggle")) event.stopPropagation();
    else if (target.closest(COMMANDS) && !el.contains(target)) page.awaitAnswer();
  };
  const press = ({ target, button }) => {
    if (button !== 0 || !target.closest(".object_grp")) return;
    addEventListener("pointerup", page.awaitAnswer, { signal, once: true });
  };
  root.addEventListener("click", click, { signal, capture: true });
  root.addEventListener("pointerdown", press, { signal, capture: true });
  model.on("msg:custom", ({ answered }) => {
    if (!answered) return;
    clearTimeout(timer);
    notice.textContent = "";
  });
  signal.addEventListener("abort", () => clearTimeout(timer));
}

export default { render };
