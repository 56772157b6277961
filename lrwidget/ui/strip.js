// The strip below the chart: names of its handles, keys, the wheel, double clicks, undo.
// Commands wait for the moves of a drag.

const PLACES = 1000; // of the brush
const PER_PIXEL = 0.002; // relative growth of the window by a pixel of the wheel
const LINE = 16; // pixels of the wheel
const PAUSE = 500; // milliseconds between two turns of the wheel, which are then two zooms
const NAMES = ["Lowest shown rate", "Highest shown rate"];
// in places
const KEYS = { ArrowLeft: -10, ArrowDown: -10, ArrowRight: 10, ArrowUp: 10 };
const STEPS = { ...KEYS, PageDown: -100, PageUp: 100 };
const WAITING = ".lrwidget-strip-row button, .lrwidget-undo"; // for the moves of a drag
const PATIENCE = 1000; // milliseconds that a command waits for moves, at most
const TYPED = "input:not([type=checkbox]), textarea, [contenteditable=true]";

function render({ model, el }) {
  const controller = new AbortController();
  const { signal } = controller;
  el.classList.add("lrwidget-strip-page");
  const look = () => {
    if (signal.aborted) return;
    const strip = el.closest(".lrwidget-strip");
    const chart = el.closest(".lrwidget")?.querySelector(".lrwidget-chart");
    const area = strip?.querySelector(".lrwidget-strip-area");
    if (area?.querySelector(".noUi-handle-upper") && chart) start(area, chart);
    else requestAnimationFrame(look);
  };
  const start = async (area, chart) => {
    const traits = [model.get("brush"), model.get("handle")];
    const moved = await Promise.all(traits.map((trait) => modelOf(model, trait)));
    if (signal.aborted) return;
    const moves = { moved, signal, waiting: new Set() };
    const root = chart.closest(".lrwidget");
    addNames(model, area, signal);
    addKeys(model, area, signal);
    addZoom(model, area, chart, moves);
    addUndo(model, root, moves);
    addOrder(root, moves);
  };
  look();
  return () => controller.abort();
}

// ipywidgets sends a change of a widget once the kernel has handled the one before, but a
// message at once: a command would arrive before the last moves of a drag.
function isMoving({ moved }) {
  return moved.some((each) => each._pending_msgs > 0);
}

// Gives a command after the moves, once for presses that wait at the same time. A kernel
// may never tell that it has handled a move.
async function afterMoves(moves, name, act) {
  const { signal, waiting } = moves;
  if (waiting.has(name)) return;
  waiting.add(name);
  const end = performance.now() + PATIENCE;
  while (!signal.aborted && isMoving(moves) && performance.now() < end) {
    await new Promise(requestAnimationFrame);
  }
  waiting.delete(name);
  if (!signal.aborted) act();
}

function brushTo(brush, low, high) {
  brush.set("value", [Math.round(low), Math.round(high)]);
  brush.save_changes();
}

function addNames(model, area, signal) {
  const name = () => {
    area.querySelectorAll(".noUi-handle").forEach((handle, i) => {
      const rate = model.get("rates")[i] ?? "";
      setAttributes(handle, { "aria-label": NAMES[i], "aria-valuetext": rate });
    });
  };
  // The slider writes the number of the place at each change.
  const observer = new MutationObserver(name);
  const attributeFilter = ["aria-valuetext"];
  observer.observe(area, { childList: true, subtree: true, attributeFilter });
  signal.addEventListener("abort", () => observer.disconnect());
  model.on("change:rates", name);
  name();
}

function addKeys(model, area, signal) {
  const press = async (event) => {
    const handle = event.target.closest(".noUi-handle");
    if (!handle || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = STEPS[event.key];
    if (!event.repeat) model.send({ do: "begin" });
    if (!steps) return;
    event.preventDefault();
    event.stopPropagation();
    const brush = await modelOf(model, model.get("brush"));
    const least = model.get("narrowest");
    let [low, high] = brush.get("value");
    if (handle.classList.contains("noUi-handle-lower")) {
      low = Math.min(Math.max(low + steps, 0), high - least);
    } else {
      high = Math.max(Math.min(high + steps, PLACES), low + least);
    }
    brushTo(brush, low, high);
  };
  area.addEventListener("keydown", press, { signal, capture: true });
  const begin = () => model.send({ do: "begin" });
  area.addEventListener("pointerdown", begin, { signal, capture: true });
}

function addZoom(model, area, chart, moves) {
  const { signal } = moves;
  let exact = [0, PLACES]; // since each turn of the wheel is rounded
  let latest = -Infinity;
  // Returns the share of a place between the edges of a part; null outside.
  const shareIn = (part, { clientX, clientY }) => {
    const { left, width, top, bottom } = part.getBoundingClientRect();
    const share = (clientX - left) / width;
    return share < 0 || share > 1 || clientY < top || clientY > bottom ? null : share;
  };
  const turn = async (event, place) => {
    if (!(event.ctrlKey || event.metaKey)) return;
    event.preventDefault(); // or the page would zoom
    event.stopPropagation();
    const brush = await modelOf(model, model.get("brush"));
    const [low, high] = brush.get("value");
    const at = place(low, high);
    if (at === null) return;
    const now = performance.now();
    if (now - latest > PAUSE) model.send({ do: "begin" });
    latest = now;
    if (Math.round(exact[0]) !== low || Math.round(exact[1]) !== high) exact = [low, high];
    const pixels = event.deltaY * (event.deltaMode ? LINE : 1);
    const factor = Math.exp(PER_PIXEL * pixels);
    const width = exact[1] - exact[0];
    const least = model.get("narrowest");
    const wanted = Math.min(Math.max(width * factor, least), PLACES);
    const share = Math.min(Math.max((at - exact[0]) / width, 0), 1);
    const left = Math.min(Math.max(at - share * wanted, 0), PLACES - wanted);
    exact = [left, left + wanted];
    brushTo(brush, ...exact);
  };
  const plotOf = () => chart.querySelector(".plotarea_events");
  const inChart = (event) =>
    turn(event, (low, high) => {
      const share = shareIn(plotOf(), event);
      return share === null ? null : low + share * (high - low);
    });
  const inStrip = (event) => turn(event, () => shareIn(area, event) * PLACES);
  chart.addEventListener("wheel", inChart, { signal, passive: false });
  area.addEventListener("wheel", inStrip, { signal, passive: false });
  // A double click in the chart shows all, and the pick of its first click is undone.
  const rateNow = () => moves.moved[1].get("x")[0];
  let before; // the rate before the first click
  const second = (event) => {
    if (event.detail > 1) event.stopPropagation();
    else before = rateNow();
  };
  const showAll = () => model.send({ do: "all" });
  const twice = (event) => {
    if (shareIn(plotOf(), event) === null || event.target.closest(".dot")) return;
    const picked = rateNow() !== before;
    afterMoves(moves, "all", () => {
      if (picked) model.send({ do: "undo pick" });
      showAll();
    });
  };
  chart.addEventListener("click", second, { signal, capture: true });
  chart.addEventListener("dblclick", twice, { signal });
  area.addEventListener("dblclick", () => afterMoves(moves, "all", showAll), { signal });
}

function addUndo(model, root, moves) {
  const press = (event) => {
    const control = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
    if (!control || event.key.toLowerCase() !== "z" || event.target.closest(TYPED)) return;
    event.preventDefault();
    event.stopPropagation();
    afterMoves(moves, event, () => model.send({ do: "undo" }));
  };
  root.addEventListener("keydown", press, { signal: moves.signal });
}

// A button that is pressed before the end of the moves is pressed again after it.
function addOrder(root, moves) {
  let again = null;
  const click = (event) => {
    const button = event.target.closest(WAITING);
    if (!button || again === button || !isMoving(moves)) return;
    event.stopPropagation();
    afterMoves(moves, button, () => {
      again = button;
      button.click();
      again = null;
    });
  };
  root.addEventListener("click", click, { signal: moves.signal, capture: true });
}

export default { render };
