/* "Why 502?": says which message of the catalogue each pasted log line is. Patterns, messages and texts come from
   messages.js, which the site's build makes from no502/messages and from the patterns of `no502 doctor logs`; this file
   does with them what no502/doctor/logs/parse.py does. Nothing is sent anywhere. */
"use strict";

(function () {
  const data = window.no502Messages;
  const pattern = (name, flags = "u") => new RegExp(data.patterns[name], flags);
  const NGINX = pattern("nginx");
  const NGINX_START = pattern("nginxStart");
  const FIELD_START = pattern("fieldStart");
  const ERRNO = pattern("errno");
  const PHASE = pattern("phase");
  const LOGFMT = pattern("logfmt");
  const COLOURS = pattern("colours", "gu");
  const PREFIXES = pattern("prefixes", "yu");
  const LEVEL = pattern("level");
  const GUNICORN = pattern("gunicorn");
  const UVICORN = pattern("uvicorn", "yu");
  const ACCESS = pattern("access");
  const STATUS = pattern("status");
  const JSON_STATUS = pattern("jsonStatus");
  const TIME = pattern("time");
  const ACCESS_TIME = pattern("accessTime");
  const SERIOUS = new Set(["error", "crit", "alert", "emerg"]);
  const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  const ENDS = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "gu"); // Python's str.strip()

  const strip = (text) => text.replace(ENDS, "");

  /* The beginning of a text that has at most so many bytes of UTF-8. */
  function firstBytes(text, count) {
    if (text.length * 3 <= count) return text;
    const bytes = new TextEncoder().encode(text);
    return bytes.length <= count ? text : new TextDecoder().decode(bytes.slice(0, count));
  }

  function isAccessLine(raw) {
    return ACCESS.test(raw) || raw.includes('"upstream_status"') || raw.includes('"logger":"http.log.access');
  }

  /* Whether a line has one of the words that decide, and one of that word's texts. */
  function triggered(raw, byWord, words) {
    return words.some((word) => Object.hasOwn(byWord, word) && byWord[word].some((text) => raw.includes(text)));
  }

  /* The text inside a line of JSON (Docker's json-file, a JSON formatter) or logfmt; else the line itself. */
  function unwrap(raw) {
    const logfmt = raw.includes('="') ? LOGFMT.exec(firstBytes(raw, data.maxLine)) : null;
    if (logfmt) {
      try {
        return JSON.parse(logfmt[1] || logfmt[2]);
      } catch {
        return raw;
      }
    }
    const start = raw.indexOf("{");
    if (start < 0) return raw;
    const before = raw.slice(0, start);
    if (start && !["|", "F", "P", "]"].includes(before.replace(/[ \t\n\r\f\v]+$/, "").slice(-1))) return raw;
    let found;
    try {
      found = JSON.parse(raw.slice(start));
    } catch {
      return raw;
    }
    const payload = found.jsonPayload;
    const inner = payload !== null && typeof payload === "object" && !Array.isArray(payload) ? payload : {};
    for (const source of [found, inner])
      for (const key of data.jsonKeys)
        if (Object.hasOwn(source, key) && typeof source[key] === "string") return source[key];
    return raw;
  }

  function stripped(text) {
    text = strip(text.replace(COLOURS, ""));
    for (let count = 0; count < data.mostPrefixes; count++) {
      PREFIXES.lastIndex = 0;
      const match = PREFIXES.exec(text);
      if (!match || !match[0]) break;
      text = text.slice(match[0].length);
    }
    return text.replace(new RegExp(`^[${SPACE}]+`, "u"), "");
  }

  function nginxLine(match) {
    const start = FIELD_START.exec(match[3]);
    const text = start ? match[3].slice(0, start.index) : match[3];
    const errno = ERRNO.exec(text);
    const phase = PHASE.exec(text);
    return {
      nginx: true,
      server: false,
      level: match[1],
      text,
      record: "",
      errno: errno ? Number(errno[1]) : null,
      phase: phase ? phase[1] : "",
    };
  }

  function serverLine(raw, isRecord) {
    const text = stripped(unwrap(raw));
    UVICORN.lastIndex = 0;
    const server = GUNICORN.test(text) || UVICORN.test(text);
    const start = Array.from(text.slice(0, 2 * data.levelWithin)).slice(0, data.levelWithin).join("");
    const level = LEVEL.exec(start);
    return {
      nginx: false,
      server,
      level: level ? level[1] || "" : "",
      text: level ? text.slice(level.index + level[0].length) : text,
      record: isRecord ? raw : "",
      errno: null,
      phase: "",
    };
  }

  /* What a line says; null for one that is certainly no message of the catalogue and no error. */
  function parse(raw) {
    if (raw.includes("] ") && raw.includes("#") && NGINX.test(raw)) {
      const match = NGINX.exec(raw.includes('\\"') ? firstBytes(unwrap(raw), data.maxLine) : raw);
      return match ? nginxLine(match) : null;
    }
    if (raw.includes("nginx: [")) {
      const match = NGINX_START.exec(raw);
      if (match) return nginxLine(match);
    }
    const words = raw.split(/[^A-Za-z0-9]+/);
    if (triggered(raw, data.records, words)) return serverLine(raw, true);
    if (!triggered(raw, data.texts, words) || isAccessLine(raw)) return null;
    return serverLine(raw, false);
  }

  function fits(shape, line) {
    const text = shape.raw ? line.record : line.text;
    return (
      (!shape.starts || text.startsWith(shape.starts)) &&
      (!shape.contains || shape.contains.every((part) => text.includes(part))) &&
      (!shape.ends || text.endsWith(shape.ends)) &&
      !(shape.without && text.includes(shape.without)) &&
      (!shape.errnos || shape.errnos.includes(line.errno)) &&
      (!shape.phases || shape.phases.includes(line.phase)) &&
      (!shape.levels || shape.levels.includes(line.level))
    );
  }

  function classify(line) {
    const found = data.messages.find(
      (message) => message.nginx === line.nginx && message.shapes.some((shape) => fits(shape, line)),
    );
    return found || null;
  }

  /* The message in a line of a log, or in a message alone as people copy it; and whether it is an error that is not in
     the catalogue. */
  function recognise(text) {
    const raw = firstBytes(strip(text), data.maxLine);
    const line = parse(raw);
    let message = line ? classify(line) : null;
    const unknown = !message && line !== null && (line.server || (line.nginx && SERIOUS.has(line.level)));
    if (!message && !(line && line.nginx) && !isAccessLine(raw)) {
      const bare = parse(`2000/01/01 00:00:00 [error] 1#1: *1 ${raw}`);
      message = bare ? classify(bare) : null;
    }
    return { message, unknown: unknown && !message, text: line ? line.text : raw };
  }

  /* The messages that an id, a slug or words mean, the best first. */
  function search(phrase) {
    const wanted = strip(phrase).toLowerCase();
    const named = data.messages.find((one) => one.id.toLowerCase() === wanted || one.slug === wanted);
    if (named) return [named];
    const said = new Set(wanted.match(/[\p{L}\p{N}_]+/gu) || []);
    const meant = data.phrases.find(
      (one) =>
        one.needs.some((needed) => needed.every((word) => said.has(word))) &&
        [...said].every((word) => data.commonWords.includes(word) || one.words.includes(word)),
    );
    const first = (meant ? meant.messages : []).map((id) => data.messages.find((one) => one.id === id));
    const parts = (text) => text.match(/[\p{L}\p{N}_]+/gu) || [];
    const words = parts(wanted).filter((word) => !data.stopWords.includes(word));
    if (!words.length) return first;
    const ranked = [];
    for (const message of data.messages) {
      const known = new Set(parts(message.words));
      if (words.every((word) => known.has(word))) ranked.push([message.words.includes(wanted) ? 0 : 1, message]);
    }
    ranked.sort((a, b) => a[0] - b[0] || (a[1].id < b[1].id ? -1 : 1));
    const others = ranked.map((pair) => pair[1]).filter((message) => !first.includes(message));
    return [...first, ...others].slice(0, 10);
  }

  function timeOf(text) {
    const start = text.slice(0, data.timeWithin);
    const iso = TIME.exec(start);
    if (iso) return `${iso[1]}-${iso[2]}-${iso[3]} ${iso[4]}`;
    const access = ACCESS_TIME.exec(start);
    const month = access ? data.months.indexOf(access[2]) + 1 : 0;
    return month ? `${access[3]}-${String(month).padStart(2, "0")}-${access[1]} ${access[4]}` : "";
  }

  /* Counts messages over all lines of a text. */
  function read(text) {
    const seen = new Map();
    const unknown = new Map();
    const statuses = new Map();
    let lines = 0;
    let accessLines = 0;
    for (const raw of text.split(/\r\n|\n|\r/)) {
      if (!raw.trim()) continue;
      lines += 1;
      const found = recognise(raw);
      if (found.message) {
        const time = timeOf(raw);
        const entry = seen.get(found.message.id) || { message: found.message, count: 0, first: "", last: "", line: raw };
        entry.count += 1;
        if (time && (!entry.first || time < entry.first)) entry.first = time;
        if (time && time > entry.last) entry.last = time;
        seen.set(found.message.id, entry);
      } else if (found.unknown) {
        const words = found.text.replace(/\d+/g, "N").slice(0, 160);
        unknown.set(words, (unknown.get(words) || 0) + 1);
      } else if (isAccessLine(raw)) {
        accessLines += 1;
        const status = STATUS.exec(raw) || JSON_STATUS.exec(raw);
        if (status) statuses.set(status[1], (statuses.get(status[1]) || 0) + 1);
      }
    }
    const rank = (entry) => data.severities.indexOf(entry.message.severity);
    const found = [...seen.values()].sort(
      (a, b) => rank(a) - rank(b) || b.count - a.count || (a.message.id < b.message.id ? -1 : 1),
    );
    return { lines, found, unknown, accessLines, statuses };
  }

  window.no502Why = { recognise, search, read };

  const form = document.getElementById("why");
  if (!form) return;
  const box = form.elements.log;
  const output = document.getElementById("why-output");

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  /* `code`, **bold** and ids of messages of a Markdown text as elements. */
  function inline(text) {
    const parts = [];
    let end = 0;
    for (const match of text.matchAll(/`([^`]+)`|\*\*(.+?)\*\*|\b(L[6-9]\d\d)\b/g)) {
      parts.push(text.slice(end, match.index));
      const named = match[3] && data.messages.find((one) => one.id === match[3]);
      if (match[1]) parts.push(element("code", { textContent: match[1] }));
      else if (match[2]) parts.push(element("b", {}, ...inline(match[2])));
      else parts.push(named ? link(`errors/${named.slug}.html`, match[3]) : match[3]);
      end = match.index + match[0].length;
    }
    return [...parts, text.slice(end)];
  }

  function link(address, text) {
    return element("a", { href: address, textContent: text });
  }

  function list(kind, title, items) {
    if (!items || !items.length) return [];
    return [
      element("h4", { textContent: title }),
      element(kind, {}, ...items.map((item) => element("li", {}, ...inline(item)))),
    ];
  }

  function client(message) {
    if (message.get === message.post) return [element("p", {}, element("b", { textContent: "The client got: " }), ...inline(message.get))];
    return [
      element("p", {}, element("b", { textContent: "GET got: " }), ...inline(message.get)),
      element("p", {}, element("b", { textContent: "POST got: " }), ...inline(message.post)),
    ];
  }

  function card(message, counted, line) {
    const rules = message.rules.flatMap((rule, number) => [number ? ", " : "", link(`doctor/${rule}.html`, rule)]);
    return element(
      "section",
      { className: `why-message why-${message.severity}`, id: `found-${message.id}` },
      element("h3", {}, link(`errors/${message.slug}.html`, message.title)),
      element("p", { className: "why-soft" }, `${message.severity}, written by ${message.programs.join(", ")}${counted}`),
      ...(line ? [element("pre", {}, element("code", { textContent: line.slice(0, 600) }))] : []),
      element("p", {}, ...inline(message.cause)),
      ...client(message),
      ...list("ol", "Causes, the most likely first", message.sections.Causes),
      ...list("ol", "Check", message.sections.Check),
      ...list("ul", "Immediate fix", message.sections["Immediate fix"]),
      ...list("ul", "Permanent fix", message.sections["Permanent fix"]),
      element(
        "p",
        {},
        link(`errors/${message.slug}.html`, `${message.id}: the whole page`),
        ...(rules.length ? ["; found in files by ", ...rules] : []),
      ),
    );
  }

  function show(text) {
    output.replaceChildren();
    if (!text.trim()) return;
    const { lines, found, unknown, accessLines, statuses } = read(text);
    const meant = found.length || lines > 1 ? [] : search(text);
    const kinds = data.severities.map((name) => [name, found.filter((one) => one.message.severity === name).length]);
    const counts = kinds.filter((pair) => pair[1]).map(([name, count]) => `${plural(count, "kind")} of ${name}`);
    const verdict = meant.length
      ? "Not a line of a log. Messages with these words:"
      : `${plural(lines, "line")}: ${counts.join(", ") || "no message of the catalogue"}`;
    output.append(element("p", { className: "why-verdict", textContent: verdict }));
    for (const message of meant) output.append(card(message, "", ""));
    for (const { message, count, first, last, line } of found) {
      const when = first && first !== last ? `, ${first} to ${last}` : first ? `, ${first}` : "";
      output.append(card(message, `, ${plural(count, "line")}${when}`, line));
    }
    if (accessLines) {
      const shown = [...statuses].sort().map(([status, count]) => `${status}: ${count.toLocaleString("en")}`);
      output.append(
        element("p", {}, `${plural(accessLines, "line")} of an access log: ${shown.join(", ") || "no 499, no 5xx"}. `),
      );
    }
    if (unknown.size) {
      output.append(element("h3", { textContent: "Errors that are not in the catalogue" }));
      const items = [...unknown].sort((a, b) => b[1] - a[1]).slice(0, 20);
      output.append(element("ul", {}, ...items.map(([words, count]) => element("li", { textContent: `${count} x ${words}` }))));
    }
    if (!found.length && !meant.length)
      output.append(
        element("p", {}, "The page knows messages of nginx, gunicorn, uvicorn, systemd, containers, load balancers and CDNs. Start from the symptom instead: ", link("runbooks/502.html", "502 runbook"), "."),
      );
  }

  let waiting;
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => show(box.value), box.value.length > 200000 ? 400 : 60);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("why-example").addEventListener("click", () => {
    box.value = form.dataset.example.replaceAll(" | ", "\n");
    show(box.value);
  });
  document.getElementById("why-clear").addEventListener("click", () => {
    box.value = "";
    show("");
  });
  window.no502Why.show = show;
  if (box.value) show(box.value); // a reload keeps what was typed
})();
