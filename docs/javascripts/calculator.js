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
     Returns the value of each rung by name, and the declared rules that do not hold. */
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
    return { values, broken };
  }

  /* One line for each value that breaks the ladder: what was given, and what fits with all else. */
  function problemsOf(given, facts) {
    const data = window.no502Ladder;
    const { broken } = compute(given, facts);
    const explained = new Set();
    const lines = [];
    for (const rung of data.rungs.filter((one) => one.name in given)) {
      const { [rung.name]: _, ...others } = given;
      const without = compute(others, facts).broken;
      const rules = broken.filter((rule) => !explained.has(rule) && !without.includes(rule));
      if (!rules.length) continue;
      for (const rule of rules) explained.add(rule);
      const rest = broken.filter((rule) => !rules.includes(rule));
      lines.push(lineOf(rung, rules, rest, given, facts));
    }
    const all = data.rungs.filter((rung) => rung.name in given).map((rung) => written(rung, given));
    for (const rule of broken.filter((one) => !explained.has(one)))
      lines.push(`${all.join(" and ") || "the defaults"}: ${words(rule)} does not hold${rule.note}`);
    return lines;
  }

  const written = (rung, given) => `${rung.variable}=${given[rung.name]}`;

  function words(rule) {
    const names = Object.fromEntries(window.no502Ladder.rungs.map((rung) => [rung.symbol, rung.variable]));
    return rule.text.replace(/[A-Za-z_]\w*/g, (symbol) => names[symbol]);
  }

  function lineOf(rung, rules, rest, given, facts) {
    const data = window.no502Ladder;
    const fits = nearest(rung, rest, given, facts);
    const beside = involved(rules, given).filter((one) => one !== rung).map((one) => written(one, given));
    const ways = [];
    if (fits !== null) {
      const less = fits < given[rung.name];
      ways.push(`must be at ${less ? "most" : "least"} ${fits}${beside.length ? " with " : ""}${beside.join(", ")}`);
      if (less && rung.formula !== null) ways.push(...largerInput(rung, rest, given, facts));
    }
    const lowest = data.rungs.find((one) => one.symbol === "P").low;
    const shorter = given[rung.name] - 2 * compute(given, facts).values.proxy_connect_timeout - 1;
    if (rung.symbol === "L" && shorter >= lowest) ways.push(`lower PROXY_READ_TIMEOUT to ${shorter}`);
    if (rung.formula !== null || rung.default === null) ways.push(`drop ${rung.variable}`);
    const reason = rules.map(words).join(" and ");
    return `${written(rung, given)}: ${ways.join(", or ")}; ${reason} ${rules.length === 1 ? "does" : "do"} not hold`;
  }

  /* The rungs that are given and on which the rules depend, directly or through a formula. */
  function involved(rules, given) {
    const rungs = window.no502Ladder.rungs;
    const waiting = rules.flatMap((rule) => rule.text.match(/\w+/g));
    const seen = new Set();
    while (waiting.length) {
      const symbol = waiting.pop();
      const rung = rungs.find((one) => one.symbol === symbol);
      if (!rung || seen.has(symbol)) continue;
      seen.add(symbol);
      if (!(rung.name in given)) waiting.push(...((rung.formula || "").match(/\w+/g) || []));
    }
    return rungs.filter((rung) => seen.has(rung.symbol) && rung.name in given);
  }

  /* The value nearest to a wrong one that fits all else as it is; null: there is none. */
  function nearest(rung, rest, given, facts) {
    const fits = (value) => compute({ ...given, [rung.name]: value }, facts).broken.every((rule) => rest.includes(rule));
    const { [rung.name]: value, ...others } = given;
    const candidates = [compute(others, facts).values[rung.name], rung.high, rung.low];
    const found = candidates.find((one) => one !== null && rung.low <= one && fits(one));
    if (found === undefined) return null;
    let [right, wrong] = [found, value];
    while (Math.abs(right - wrong) > 1) {
      const middle = Math.floor((right + wrong) / 2);
      if (fits(middle)) right = middle;
      else wrong = middle;
    }
    return right;
  }

  /* How to raise an input so far that the formula itself gives the wanted value. */
  function largerInput(rung, rest, given, facts) {
    const { [rung.name]: wanted, ...others } = given;
    for (const name of ["proxy_read_timeout", "proxy_keepalive_timeout"]) {
      const source = window.no502Ladder.rungs.find((one) => one.name === name);
      const at = (value) => compute({ ...others, [name]: value }, facts);
      let [low, high] = [compute(given, facts).values[name], source.high];
      if (rung.name === name || at(high).values[rung.name] < wanted) continue;
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2);
        if (at(middle).values[rung.name] >= wanted) high = middle;
        else low = middle;
      }
      if (at(high).broken.every((rule) => rest.includes(rule))) return [`raise ${source.variable} to ${high}`];
    }
    return [];
  }

  function substitute(template, values) {
    return template.replace(/\$(?:(\$)|\{(\w+)\}|(\w+))/g, (_, dollar, braced, bare) =>
      dollar ? "$" : String(values[braced || bare]),
    );
  }

  /* A line with $name and $value is repeated for each variable; one that is $reload alone is left out when empty. */
  function deploymentOf(template, names, variables) {
    const lines = [];
    for (const line of template.split("\n"))
      if (line.includes("$name")) for (const [name, value] of variables) lines.push(substitute(line, { ...names, name, value }));
      else if (line !== "$reload" || names.reload) lines.push(substitute(line, names));
    return lines.join("\n");
  }

  window.no502Calculator = { compute, problemsOf, substitute };

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
    const front = data.fronts[form.elements.front.value];
    if (front && front.read !== null && !("front_read_timeout" in given)) given.front_read_timeout = front.read;
    const memory = number("memory") || 0;
    const facts = { cpus: number("cpus") || 1, M: memory * 2 ** 20, hands_over: data.servers[server].hands_over };
    if (!problems.length) problems.push(...problemsOf(given, facts));
    remember();
    if (problems.length) {
      const list = document.createElement("ul");
      list.className = "calculator-problems";
      for (const problem of problems) list.append(Object.assign(document.createElement("li"), { textContent: problem }));
      output.append(list);
      return;
    }
    const { values } = compute(given, facts);
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
      client_idle: front ? front.keepalive : data.client_idle,
      ...data.servers[server],
    };
    const proxy = form.elements.proxy.value;
    section(proxy, substitute(data.proxies[proxy], names));
    const deployment = form.elements.deployment.value;
    if (deployment !== "none") section(deployment, deploymentOf(data.deployments[deployment], names, variables(server, given, values)));
  }

  /* Name and value of each variable that the deployment states for this server. */
  function variables(server, given, values) {
    const { reads } = data.servers[server];
    return data.rungs
      .filter((rung) => rung.name in given || data.always.includes(rung.name))
      .filter((rung) => reads === null || reads.includes(rung.variable))
      .map((rung) => [rung.variable, values[rung.name]]);
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
  for (const name of Object.keys(data.fronts)) form.elements.front.append(new Option(name, name));
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
