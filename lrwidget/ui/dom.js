// Helpers of the scripts in the page.

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function setAttributes(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (target.getAttribute(name) !== String(value)) target.setAttribute(name, value);
  }
}

function place(part, left, top) {
  Object.assign(part.style, { left: `${left}px`, top: `${top}px` });
}

// Calls a function with the display that contains an element, once its chart is drawn.
function whenAttached({ el, signal }, start) {
  const look = () => {
    if (signal.aborted) return;
    const root = el.closest(".lrwidget");
    if (root?.querySelector(".lrwidget-chart .plotarea_events")) start(root);
    else requestAnimationFrame(look);
  };
  look();
}

// Returns the model of the widget in a trait, which may hold only a reference to it.
async function modelOf({ widget_manager: manager }, trait) {
  if (typeof trait !== "string") return trait;
  return manager.get_model(trait.replace("IPY_MODEL_", ""));
}

// Returns the share of an axis that is below a value, from the scale of the axis.
function shareOf(scale, value) {
  const place = isLogarithmic(scale) ? Math.log : Number;
  const [low, high] = [place(scale.get("min")), place(scale.get("max"))];
  return (place(value) - low) / (high - low);
}

function valueAt(scale, share) {
  const [low, high] = [scale.get("min"), scale.get("max")];
  return isLogarithmic(scale) ? low * (high / low) ** share : low + share * (high - low);
}

function isLogarithmic(scale) {
  return scale.get("_model_name") === "LogScaleModel";
}
