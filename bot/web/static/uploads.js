// Files under the message that is being written: chosen, dropped or pasted, each handed in at once, with its progress.
// The composer finds them as `composer.uploads`; a message that is sent while one is on its way waits for it.

const composer = document.querySelector("[data-composer].with-files");
if (composer) begin();

function begin() {
  const most = 10;
  const limit = Number(composer.dataset.uploadBytes);
  const text = composer.querySelector("textarea");
  const list = composer.querySelector("#uploads");
  const pick = composer.querySelector("#pick");
  const field = composer.querySelector("input[name=files]");
  const button = composer.querySelector("[data-attach]");
  let items = [];
  let waits = false; // the message was sent, and goes as soon as its files are there

  const size = (bytes) => bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  const make = (tag, more) => Object.assign(document.createElement(tag), more);

  function changed() {
    list.hidden = !items.length;
    text.required = !items.length;
    field.value = items.length ? JSON.stringify(items.filter((item) => item.file).map((item) => item.file)) : "";
    if (waits && !items.some((item) => item.request)) {
      waits = false;
      if (!items.some((item) => item.failed)) composer.requestSubmit();
    }
  }

  function show(name, detail) {
    const item = { row: make("li", {}), note: make("small", { textContent: detail }), bar: make("progress", { max: 1, value: 0 }) };
    const remove = make("button", { type: "button", textContent: "×", ariaLabel: `Remove ${name}`, title: "Remove" });
    remove.addEventListener("click", () => { drop(item); text.focus(); });
    item.row.append(make("b", { textContent: name, title: name }), item.bar, item.note, remove);
    list.append(item.row);
    items.push(item);
    return item;
  }
  function drop(item) {
    item.request?.abort();
    item.request = null;
    item.row.remove();
    items = items.filter((other) => other !== item);
    changed();
  }
  function fail(item, why) {
    item.failed = true;
    item.request = null;
    item.bar.remove();
    item.row.classList.add("failed");
    item.note.textContent = why;
    changed();
  }

  function add(file) {
    const item = show(file.name, size(file.size));
    if (items.length > most) { fail(item, `${most} files are the most of one message`); return; }
    if (file.size > limit) { fail(item, `too large: ${size(limit)} are the most`); return; }
    if (!file.size) { fail(item, "empty, or a folder"); return; }
    const request = new XMLHttpRequest(); // fetch tells nothing of how far an upload has come
    item.request = request;
    request.open("POST", `/api/v1/files?${new URLSearchParams({ name: file.name.slice(-255) })}`);
    request.setRequestHeader("content-type", file.type || "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => { item.bar.value = event.loaded / event.total; });
    request.addEventListener("load", () => {
      if (request.status !== 201) { fail(item, request.response?.detail || `the server answered ${request.status}`); return; }
      const { source, name, media_type } = request.response;
      item.file = { source, name, media_type };
      item.request = null;
      item.bar.remove();
      item.row.classList.add("there");
      changed();
    });
    request.addEventListener("error", () => fail(item, "Threadmill cannot be reached: remove it, and try again"));
    request.send(file);
    changed();
  }

  composer.uploads = {
    get count() { return items.length; },
    // What the message takes along; the list is empty then.
    take() {
      const files = items.filter((item) => item.file).map((item) => item.file);
      for (const item of items) item.row.remove();
      items = [];
      changed();
      return files;
    },
    // The message was not taken: its files stand there again.
    restore(files) {
      for (const file of files) {
        const item = show(file.name, "");
        item.file = file;
        item.bar.remove();
      }
      changed();
    },
  };

  composer.addEventListener("submit", (event) => {
    if (!items.some((item) => item.request || item.failed)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    waits = items.some((item) => item.request);
  });
  button.hidden = false;
  button.addEventListener("click", () => pick.click());
  pick.addEventListener("change", () => { [...pick.files].forEach(add); pick.value = ""; text.focus(); });
  text.addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    [...event.clipboardData.files].forEach(add);
  });
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => { if (brings(event)) { event.preventDefault(); composer.classList.add("drop"); } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) composer.classList.remove("drop"); });
  document.addEventListener("drop", (event) => {
    composer.classList.remove("drop");
    if (!brings(event)) return;
    event.preventDefault();
    [...event.dataTransfer.files].forEach(add);
    text.focus();
  });
}
