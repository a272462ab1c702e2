/* The ladder for your numbers. Formulas, rules and texts come from ladder-data.js, which `make docs` writes from
   gunicorn_conf.py; this file evaluates them and fills the page. Nothing is sent anywhere. */
"use strict";

(function () {
  const OPERATORS = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "//": (a, b) => Math.floor(a / b),
    "**": (a, b) => a ** b,
    "<": (a, b) => a < b,
    "<=": (a, b) => a <= b,
    ">=": (a, b) => a >= b,
    "is not": (a, b) => a !== b,
    not: (a) => !a,
    min: Math.min,
    max: Math.max,
  };

  function evaluate(tree, symbols) {
    if (!Array.isArray(tree)) return tree;
    const [operator, ...operands] = tree;
    if (operator === "name") return symbols[operands[0]];
    if (operator === "if") return evaluate(operands[evaluate(operands[0], symbols) ? 1 : 2], symbols);
    if (operator === "and") return evaluate(operands[0], symbols) && evaluate(operands[1], symbols);
    if (operator === "or") return evaluate(operands[0], symbols) || evaluate(operands[1], symbols);
    return OPERATORS[operator](...operands.map((operand) => evaluate(operand, symbols)));
  }

  /* given: rung name to number, for the rungs that are set. facts: cpus, M (bytes, 0: no limit), hands_over.
     Returns the value of each rung by name, and the rules that do not hold. */
  function compute(given, facts) {
    const data = window.no502Ladder;
    const symbols = { ...facts };
    for (const rung of data.rungs) {
      Object.defineProperty(symbols, rung.symbol, {
        configurable: true,
        enumerable: true,
        get() {
          let value = rung.name in given ? given[rung.name] : rung.default;
          if (!(rung.name in given) && rung.tree !== null) value = evaluate(rung.tree, symbols);
          Object.defineProperty(symbols, rung.symbol, { value, enumerable: true });
          return value;
        },
      });
    }
    const values = {};
    for (const rung of data.rungs) values[rung.name] = symbols[rung.symbol];
    const broken = data.rules.filter((rule) => evaluate(rule.only_if, symbols) && !evaluate(rule.holds, symbols));
    return { values, broken: broken.map((rule) => rule.words) };
  }

  function substitute(template, values) {
    return template.replace(/\$(?:(\$)|\{(\w+)\}|(\w+))/g, (_, dollar, braced, bare) =>
      dollar ? "$" : String(values[braced || bare]),
    );
  }

  window.no502Calculator = { compute, substitute };

  const form = document.getElementById("calculator");
  if (!form) return;
  const output = document.getElementById("calculator-output");
  const data = window.no502Ladder;

  function number(name) {
    const text = form.elements[name].value.trim();
    return text === "" ? null : Number(text);
  }

  function section(title, text) {
    const heading = document.createElement("h3");
    heading.textContent = title;
    const box = document.createElement("div");
    const pre = document.createElement("pre");
    const code = document.createElement("code");
    code.textContent = text;
    pre.append(code);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "md-button calculator-copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected: press Ctrl-C";
      }
    });
    box.append(pre, button);
    output.append(heading, box);
  }

  function show() {
    output.replaceChildren();
    const server = form.elements.server.value;
    const given = {};
    const problems = [];
    for (const rung of data.rungs) {
      const field = form.elements[rung.name];
      if (!field) continue;
      const value = number(rung.name);
      if (value === null) continue;
      if (!Number.isInteger(value) || value < rung.low || value > rung.high)
        problems.push(`${rung.variable}=${field.value}: must be a whole number from ${rung.low} to ${rung.high}`);
      else given[rung.name] = value;
    }
    const memory = number("memory") || 0;
    const facts = { cpus: number("cpus") || 1, M: memory * 2 ** 20, hands_over: server === "no502" };
    const { values, broken } = problems.length ? { values: null, broken: [] } : compute(given, facts);
    for (const words of broken) problems.push(`${words} does not hold (symbols: the table below)`);
    if (problems.length) {
      const list = document.createElement("ul");
      list.className = "calculator-problems";
      for (const problem of problems) list.append(Object.assign(document.createElement("li"), { textContent: problem }));
      output.append(list);
    }
    if (values === null) return;
    table(values);
    const set = data.rungs.filter((rung) => rung.name in given).map((rung) => `${rung.variable}=${given[rung.name]}`);
    if (server === "no502")
      section("gunicorn", [...set.map((line) => `export ${line}`), "gunicorn -c python:gunicorn_conf app.main:app"].join("\n"));
    if (server === "gunicorn")
      section(
        "gunicorn.conf.py, with a worker class that sends no heartbeats while it drains",
        ["timeout", "graceful_timeout", "keepalive", "workers"].map((name) => `${name} = ${values[name]}`).join("\n"),
      );
    if (server === "uvicorn")
      section(
        "uvicorn",
        "uvicorn app.main:app \\\n    " +
          Object.entries(data.uvicorn)
            .filter(([, name]) => name in values)
            .map(([flag, name]) => `${flag} ${values[name]}`)
            .join(" \\\n    "),
      );
    const names = {
      read: values.proxy_read_timeout,
      idle: values.proxy_keepalive_timeout,
      connect: values.proxy_connect_timeout,
      stop_grace: values.stop_grace,
      pod_grace: values.stop_grace + 10,
      host: "127.0.0.1",
      port: 8000,
      listen: 8080,
    };
    const proxy = form.elements.proxy.value;
    section(proxy, substitute(data.proxies[proxy], names));
    const deployment = form.elements.deployment.value;
    if (deployment !== "none") section(deployment, substitute(data.deployments[deployment], names));
    remember();
  }

  function table(values) {
    const rows = document.createElement("table");
    rows.className = "calculator-values";
    for (const rung of data.rungs) {
      const value = values[rung.name];
      const row = rows.insertRow();
      row.insertCell().textContent = rung.symbol === rung.name ? rung.name : `${rung.name} ${rung.symbol}`;
      const shown =
        value === null ? "unset" : rung.unit === "bytes" ? (value ? `${Math.floor(value / 2 ** 20)} MiB` : "off") : `${value} ${rung.unit}`;
      row.insertCell().textContent = shown;
      row.insertCell().textContent = rung.enforced_by;
      row.title = rung.why;
    }
    output.append(rows);
  }

  /* The choices are in the address, so that the link can be shared; the part after # stays in the browser. */
  function remember() {
    const chosen = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value !== "") chosen.set(name, value);
    history.replaceState(null, "", `#${chosen}`);
  }

  function recall() {
    for (const [name, value] of new URLSearchParams(location.hash.slice(1)))
      if (form.elements[name]) form.elements[name].value = value;
  }

  for (const name of Object.keys(data.proxies)) form.elements.proxy.append(new Option(name, name, name === "nginx", name === "nginx"));
  for (const name of Object.keys(data.deployments)) form.elements.deployment.append(new Option(name, name));
  for (const rung of data.rungs) {
    const field = form.elements[rung.name];
    if (field) Object.assign(field, { min: rung.low, max: rung.high, placeholder: rung.default === null ? "unset" : rung.default });
  }
  recall();
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
})();
