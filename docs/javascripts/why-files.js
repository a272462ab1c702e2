/* "Why 502?", the files: reads what is dropped, loads Python on the first file, and lets doctor check the files. Python
   and doctor come as scripts (javascripts/pyodide.js, doctor-packages.js; scripts/browser_python.py makes them), because
   a page from a folder cannot fetch and this page's policy forbids it. The files stay in the page's memory. */
"use strict";

(function () {
  const MOST_BYTES = 20e6;
  const MOST_FILES = 3000;
  const LEFT_OUT = new Set([".git", "node_modules", ".venv", "venv", "__pycache__"]);
  const LOG = /\.log(\.\d+)?(\.gz)?$|(^|\/)(syslog|messages|journal)(\.\d+)?(\.gz)?$/i;
  const PROJECT = "/project";
  const LOGS = "/logs";

  const form = document.getElementById("why-drop");
  if (!form) return;
  const weight = document.getElementById("why-weight");
  const status = document.getElementById("why-files");
  const output = document.getElementById("why-findings");
  const files = new Map(); // path: bytes
  let python = null;

  function load(name) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = `javascripts/${name}`;
      script.onload = done;
      script.onerror = () => failed(new Error(`${name} cannot be loaded`));
      document.head.append(script);
    });
  }

  function bytesOf(text) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
    return bytes;
  }

  async function inflated(packed) {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /* Pyodide asks for its files by fetch(): it gets those of the script. */
  async function start() {
    await Promise.all([load("pyodide.js"), load("doctor-packages.js")]);
    const { wasm, stdlib, lock, create } = window.no502Pyodide;
    const parts = {
      "pyodide.asm.wasm": [await inflated(bytesOf(wasm)), "application/wasm"],
      "python_stdlib.zip": [bytesOf(stdlib), "application/zip"],
    };
    const real = window.fetch;
    window.fetch = async (address) => {
      const [content, type] = parts[String(address).split("/").pop()];
      return new Response(content, { headers: { "Content-Type": type } });
    };
    let loaded;
    try {
      loaded = await window.loadPyodide({
        indexURL: new URL("javascripts/", document.baseURI).href,
        createPyodideModule: create,
        lockFileContents: lock,
        stdin: () => undefined,
        env: { HOME: "/home/page", LANG: "C.UTF-8" },
      });
    } finally {
      window.fetch = real;
    }
    loaded.unpackArchive(bytesOf(window.no502Packages), "zip", { extractDir: "/packages" });
    loaded.runPython('import sys; sys.path.insert(0, "/packages"); sys.path_importer_cache.clear()');
    delete window.no502Pyodide;
    delete window.no502Packages;
    return { pyodide: loaded, doctor: loaded.pyimport("why_doctor") };
  }

  function ready() {
    if (!weight.dataset.python) return Promise.reject(new Error("this copy of the site was built without npm and takes no files"));
    python ??= start();
    python.catch(() => (python = null));
    return python;
  }

  function write({ pyodide, doctor }, folder, given) {
    doctor.forget(folder);
    for (const [path, content] of given) {
      const parts = path.split("/").filter((part) => part && part !== "." && part !== "..");
      const target = `${folder}/${parts.join("/")}`;
      pyodide.FS.mkdirTree(target.slice(0, target.lastIndexOf("/")));
      pyodide.FS.writeFile(target, content);
    }
  }

  /* given: [path, bytes] of a deployment. Returns {report, text, patch}, or {error}. */
  async function examine(given, front = "") {
    const loaded = await ready();
    write(loaded, PROJECT, given);
    return JSON.parse(loaded.doctor.examine(PROJECT, front));
  }

  async function explainLogs(given) {
    const loaded = await ready();
    write(loaded, LOGS, given);
    return loaded.doctor.explain_logs(LOGS, given.map((pair) => pair[0]));
  }

  window.no502Files = { examine, explainLogs };

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function plain(text) {
    return element("pre", {}, element("code", { textContent: text }));
  }

  function card(finding) {
    const { file, line } = finding.where;
    const where = line ? `${file}:${line}` : file;
    const link = element("a", { href: `doctor/${finding.rule}.html`, textContent: `${finding.rule} ${finding.slug}` });
    const parts = [["Users see: ", finding.consequence], ["Fix: ", finding.fix]].filter((pair) => pair[1]);
    return element(
      "section",
      { className: `why-message why-${finding.severity}` },
      element("h3", {}, link),
      element("p", { className: "why-soft" }, `${finding.severity}, ${finding.confidence}: `, element("code", { textContent: where })),
      element("p", { textContent: finding.message }),
      ...parts.map(([label, text]) => element("p", {}, element("b", { textContent: label }), text)),
    );
  }

  function folded(title, text) {
    return element("details", {}, element("summary", { textContent: title }), plain(text));
  }

  function showReport({ report, text, patch, error }) {
    if (error) {
      output.append(element("p", { className: "why-verdict", textContent: error }));
      return;
    }
    const found = report.findings;
    const count = `${found.length || "no"} finding${found.length === 1 ? "" : "s"}`;
    output.append(element("p", { className: "why-verdict", textContent: `${count} in ${report.inputs.join(", ")}` }));
    output.append(...found.map(card), folded("The report as the command prints it", text));
    if (patch) output.append(folded("The proposed changes as a patch", patch));
  }

  const pause = () => new Promise((done) => setTimeout(done, 30)); // the page draws its status

  let running = Promise.resolve();

  function run() {
    running = running.then(check).catch((problem) => {
      status.textContent = `Failed: ${String(problem.message || problem).slice(-500)}`;
    });
    return running;
  }

  async function check() {
    output.replaceChildren();
    const logs = [...files].filter(([path]) => LOG.test(path));
    const others = [...files].filter(([path]) => !LOG.test(path));
    const began = performance.now();
    status.textContent = "";
    if (!files.size) return;
    const texts = [];
    for (const [path, content] of logs) texts.push(new TextDecoder().decode(/\.gz$/.test(path) ? await inflated(content) : content));
    if (texts.length) window.no502Why.show(texts.join("\n"));
    status.textContent = "Loading Python ...";
    await pause();
    await ready();
    status.textContent = "Checking ...";
    await pause();
    if (others.length) showReport(await examine(others, form.elements.front.value));
    if (logs.length) output.append(element("h3", { textContent: "What happened, from the logs" }), plain(await explainLogs(logs)));
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    status.textContent = `${files.size} file${files.size === 1 ? "" : "s"}, ${seconds} s, in this browser.`;
  }

  async function add(path, file) {
    if (file.size > MOST_BYTES || files.size >= MOST_FILES || path.split("/").some((part) => LEFT_OUT.has(part))) return;
    files.set(path.replace(/^(\.\/)+/, ""), new Uint8Array(await file.arrayBuffer()));
  }

  /* A dropped folder by its handle where the browser gives one, which also works on a page from a folder. */
  async function addHandle(handle, path) {
    if (LEFT_OUT.has(handle.name)) return;
    if (handle.kind === "file") return add(path, await handle.getFile());
    for await (const one of handle.values()) await addHandle(one, `${path}/${one.name}`);
  }

  /* The same by its entry, where there are no handles. */
  async function addEntry(entry, path) {
    if (LEFT_OUT.has(entry.name)) return;
    if (entry.isFile) return add(path, await new Promise((done, failed) => entry.file(done, failed)));
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const one of some) await addEntry(one, `${path}/${one.name}`);
    }
  }

  /* All that is in the event has to be asked for before the first wait. */
  function dropped(items) {
    return items
      .filter((item) => item.kind === "file")
      .map((item) => {
        const handle = item.getAsFileSystemHandle?.().catch(() => null);
        const entry = item.webkitGetAsEntry?.();
        const file = item.getAsFile();
        return { handle, entry, file };
      });
  }

  async function addDropped({ handle, entry, file }, prefix) {
    const known = await handle;
    if (known) return addHandle(known, prefix(known.name, known.kind === "directory"));
    if (entry && entry.isDirectory) return addEntry(entry, prefix(entry.name, true));
    return add(prefix(file.name, false), file);
  }

  /* What is in one dropped folder is the project: its name is no part of the paths. */
  function withoutFolder(paths) {
    const first = paths.map((path) => path.split("/")[0]);
    const one = paths.every((path) => path.includes("/")) && new Set(first).size === 1;
    return (path) => (one ? path.slice(first[0].length + 1) : path);
  }

  async function take(list) {
    const shorten = withoutFolder(list.map((file) => file.webkitRelativePath || file.name));
    for (const file of list) await add(shorten(file.webkitRelativePath || file.name), file);
    return run();
  }

  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("why-over");
  });
  form.addEventListener("dragleave", () => form.classList.remove("why-over"));
  form.addEventListener("drop", async (event) => {
    event.preventDefault();
    form.classList.remove("why-over");
    const items = dropped([...event.dataTransfer.items]);
    const alone = items.length === 1; // what is in one folder is the project: its name is no part of the paths
    try {
      for (const item of items) await addDropped(item, (name, folder) => (alone && folder ? "." : name));
    } catch (problem) {
      status.textContent = `Failed: the files cannot be read: ${problem.message}`;
      return;
    }
    await run();
  });
  form.elements.files.addEventListener("change", (event) => take([...event.target.files]));
  form.elements.folder.addEventListener("change", (event) => take([...event.target.files]));
  form.elements.front.addEventListener("change", run);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.forget.addEventListener("click", () => {
    files.clear();
    run();
  });
})();
