// The table of the points, which is built when it is unfolded.

const COLUMNS = ["rate", "loss", "trend"];

function render({ model, el }) {
  const details = document.createElement("details");
  details.className = "lrwidget-points";
  const summary = document.createElement("summary");
  const table = document.createElement("table");
  const box = document.createElement("div");
  Object.assign(box, { tabIndex: 0, role: "region" }); // since it scrolls
  box.append(table);
  details.append(summary, box);
  el.append(details);
  const fill = () => {
    summary.textContent = model.get("title");
    box.setAttribute("aria-label", model.get("title"));
    table.replaceChildren();
    if (!details.open) return;
    table.createCaption().textContent = model.get("title");
    const head = table.createTHead().insertRow();
    for (const name of COLUMNS) head.append(header(name, "col"));
    const body = table.createTBody();
    for (const [rate, ...values] of model.get("points")) {
      const row = body.insertRow();
      row.append(header(rate, "row"));
      for (const value of values) row.insertCell().textContent = value;
    }
  };
  details.addEventListener("toggle", fill);
  model.on("change:points change:title", fill);
  fill();
}

function header(textContent, scope) {
  return Object.assign(document.createElement("th"), { textContent, scope });
}

export default { render };
