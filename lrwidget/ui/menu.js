// A button with a menu: its keys, the clipboard, and the files that the browser saves.

const TOLD = 6000; // milliseconds for which a notice is shown

// anywidget removes the listeners of the model with the view; the signal ends the rest.
function render({ model, el }) {
  const controller = new AbortController();
  const { signal } = controller;
  const view = Math.random(); // since a message goes to all views of the widget
  const button = element("button", { type: "button", textContent: model.get("label") });
  button.className = "jupyter-button lrwidget-opener";
  button.title = model.get("title");
  const menu = element("div", { className: "lrwidget-menu", hidden: true });
  menu.id = `lrwidget-menu-${view}`;
  setAttributes(button, {
    "aria-haspopup": "menu",
    "aria-expanded": "false",
    "aria-controls": menu.id,
  });
  setAttributes(menu, { role: "menu", "aria-label": model.get("title") });
  const notice = element("div", { role: "status", className: "lrwidget-told" });
  el.classList.add("lrwidget-menu-box");
  el.append(button, menu, notice);

  const use = async (entry) => {
    close();
    if (model.get("saves")) {
      model.send({ save: entry.toLowerCase(), view });
    } else {
      const copied = await copyText(entry);
      tell(notice, copied ? `Copied ${entry}` : `Copy this by hand: ${entry}`);
    }
  };
  const fill = () => {
    const entries = model.get("entries");
    button.disabled = !entries.length;
    // Entries stay as elements, so that the focus stays at one whose text changes.
    entries.forEach((text, i) => {
      const item = menu.children[i] ?? menu.appendChild(newItem(use));
      if (item.textContent !== text) item.textContent = text;
      item.classList.toggle("lrwidget-command", model.get("saves"));
    });
    while (menu.children.length > entries.length) menu.lastChild.remove();
    if (!entries.length) menu.hidden = true;
  };
  const open = (last) => {
    tell(notice, "");
    menu.hidden = false;
    button.setAttribute("aria-expanded", "true");
    keepInside(menu, el.closest(".lrwidget") ?? document.body);
    menu.children[last ? menu.children.length - 1 : 0].focus();
  };
  const close = (focus = true) => {
    if (menu.hidden) return;
    menu.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (focus) button.focus();
  };
  button.addEventListener("click", () => (menu.hidden ? open() : close()));
  el.addEventListener("keydown", (event) => {
    const items = [...menu.children];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key === "Escape" && !menu.hidden) close();
    else if (event.key === "Tab") return close(false);
    else if (menu.hidden && /^Arrow(Down|Up)$/.test(event.key) && items.length) {
      open(event.key === "ArrowUp");
    } else if (!menu.hidden && event.key in to) {
      items.at(to[event.key] % items.length).focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  el.addEventListener("focusout", ({ relatedTarget }) => {
    // A press on a part without focus is known by the pointer, see below.
    if (relatedTarget && !el.contains(relatedTarget)) close(false);
  });
  const outside = ({ target }) => el.contains(target) || close(false);
  addEventListener("pointerdown", outside, { signal, capture: true });
  model.on("change:entries", fill);
  model.on("msg:custom", (message, buffers) => {
    if (message.view !== view) return;
    if (message.problem) tell(notice, message.problem);
    else save(message, buffers[0]);
  });
  fill();
  return () => {
    clearTimeout(notice.fading);
    controller.abort();
  };
}

function newItem(use) {
  const item = element("button", { type: "button", tabIndex: -1 });
  item.setAttribute("role", "menuitem");
  item.addEventListener("click", () => use(item.textContent));
  return item;
}

// Moves a menu that is open to the left, as far as it is wider than its place.
function keepInside(menu, root) {
  menu.style.left = "0";
  const over = menu.getBoundingClientRect().right - root.getBoundingClientRect().right;
  menu.style.left = `${Math.min(0, -over)}px`;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure connection there is no such clipboard.
    const focused = document.activeElement;
    const field = element("textarea", { value: text });
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    focused?.focus();
    return copied;
  }
}

function save({ name, type }, contents) {
  const url = URL.createObjectURL(new Blob([contents], { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link); // Firefox saves by a link of the document alone
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function tell(notice, text) {
  notice.textContent = text;
  clearTimeout(notice.fading);
  notice.fading = setTimeout(() => (notice.textContent = ""), TOLD);
}

export default { render };
