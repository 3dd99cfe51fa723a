"use strict";
// What comes from outside reaches the page as text only: textContent, never markup.

const EVERY = 5000; // milliseconds between two looks
const ATTEST = { A: "full: the caller is known, and may use the number", B: "partial: the caller is known", C: "gateway: neither is known" };
const OUTCOME = { pass: "pass", fail: "FAIL", skip: "skip" };
const STATE = { expired: "expired", soon: "under a day" };

const byId = (id) => document.getElementById(id);

// An element with a class, and children: elements, or text.
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

const mark = (className, text) => make("span", `mark ${className}`, text);

function heading(text) {
  const cell = make("th", "", text);
  cell.scope = "row";
  return cell;
}

const row = (first, ...cells) => make("tr", "", heading(first), ...cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : make("td", "", cell))));

// dt and dd of each pair that has a value.
const pairs = (list) => list.flatMap(([name, value]) => (value === null || value === undefined ? [] : [make("dt", "", name), make("dd", "", value)]));

function table(className, caption, columns, rows) {
  const head = columns.map((column) => {
    const cell = make("th", "", column);
    cell.scope = "col";
    return cell;
  });
  return make("table", className, make("caption", "", caption), make("thead", "", make("tr", "", ...head)), make("tbody", "", ...rows));
}

const none = (columns, text) => {
  const cell = make("td", "", text);
  cell.colSpan = columns;
  return make("tr", "", cell);
};

function since(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].map(([size, unit], i, all) => [Math.floor((i ? seconds % all[i - 1][0] : seconds) / size), unit]);
  const first = parts.findIndex(([count]) => count > 0);
  return first < 0 ? "0 s" : parts.slice(first, first + 2).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

// The text format of Prometheus: [name, help, labels, value] of each sample.
function samples(text) {
  const helps = new Map();
  const found = [];
  for (const line of text.split("\n")) {
    const help = /^# HELP (\S+) (.*)$/.exec(line);
    const sample = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (help) helps.set(help[1], help[2]);
    if (!sample || sample[1].endsWith("_bucket")) continue;
    const name = sample[1].replace(/^secsipidx_/, "");
    const labels = Object.fromEntries([...(sample[2] ?? "").matchAll(/(\w+)="([^"]*)"/g)].map((label) => label.slice(1)));
    found.push([name, helps.get(sample[1]) ?? helps.get(sample[1].replace(/_(sum|count)$/, "")) ?? name, labels, Number(sample[3])]);
  }
  return found;
}

function showCounters(text) {
  const all = samples(text);
  const sum = (name, wanted = () => true) => all.filter((sample) => sample[0] === name && wanted(sample[2])).reduce((total, sample) => total + sample[3], 0);
  const answered = sum("request_duration_seconds_count");
  const mean = answered ? `${((sum("request_duration_seconds_sum") / answered) * 1000).toFixed(2)} ms` : "–";
  const tiles = [
    ["Calls signed", sum("signed_total")],
    ["Checks: valid", sum("checks_total", (labels) => labels.code === "1")],
    ["Checks: not valid", sum("checks_total", (labels) => labels.code !== "1")],
    ["Requests", sum("requests_total")],
    ["At work now", sum("requests_busy")],
    ["Time for a request", mean],
  ];
  byId("glance").replaceChildren(...tiles.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
  const rows = all.map(([name, help, labels, value]) => {
    const unit = name.endsWith("_seconds_sum") ? `${value.toFixed(3)} s` : value;
    return row(help.replace(/\.$/, ""), Object.entries(labels).map(([label, of]) => `${label} ${of}`).join(", "), unit);
  });
  byId("counters").replaceChildren(...rows);
}

function showStatus(status) {
  byId("about").textContent = `version ${status.version}, up ${since(status.uptime)}`;
  byId("listeners").replaceChildren(...status.listeners.map((one) => row(one.address, one.name, one.signing)));
  const { sign, check } = status;
  byId("served").replaceChildren(...pairs([
    ["x5u of what is signed", sign.on ? sign.x5u ?? "each request names its own" : null],
    ["Checks with", check.key ?? "the certificate that a header names"],
    ["A token may be old", `${check.expire} s`],
    ["Trust anchors", check.ca ?? "none: chains are not checked"],
    ["Intermediates", check.intermediates],
    ["Revocation lists", check.crl],
    ["Public folder (v1/pub/)", status.public ?? "none"],
  ]));
  const rows = status.certificates.map((one) => {
    const until = make("td", "", one.not_after ? make("span", "time", one.not_after) : "–");
    if (STATE[one.state]) until.append(" ", mark(one.state, STATE[one.state]));
    return row(one.subject ?? "a bare public key", (one.tn_auth_list ?? []).join(", ") || "–", one.location, until, one.until ? make("span", "time", one.until) : "its file changes");
  });
  const more = status.certificates_total - status.certificates.length;
  if (!rows.length) rows.push(none(5, "None yet."));
  if (more > 0) rows.push(none(5, `And ${more} more.`));
  byId("certificates").replaceChildren(...rows);
}

// Shows what is at a path if it has changed: a selection in the page outlives a look.
const shown = new Map();
async function look(path, show) {
  const reply = await fetch(path, { cache: "no-store" });
  if (!reply.ok) throw new Error(`${path} answered ${reply.status}`);
  const text = await reply.text();
  if (shown.get(path) !== text) show(text);
  shown.set(path, text);
}

async function refresh() {
  try {
    await Promise.all([look("metrics", showCounters), look("v1/status", (text) => showStatus(JSON.parse(text)))]);
    byId("trouble").textContent = "";
  } catch (error) {
    byId("trouble").textContent = `The service can't be reached, or is too busy: what stands here is old (${error.message}).`;
  }
}

// One part of a token: a row for each member, or what it is instead.
function part(title, value) {
  const text = (member) => (typeof member === "string" ? member : JSON.stringify(member));
  const members = value !== null && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [["(no JSON object)", value ?? "no base64url"]];
  const rows = members.map(([name, member]) => {
    const note = name === "attest" && typeof member === "string" && Object.hasOwn(ATTEST, member) ? ` (${ATTEST[member]})` : "";
    return row(name, make("td", "", make("code", "", text(member)), note));
  });
  return table("parts", title, ["Member", "Value"], rows);
}

function inspection(one, number) {
  const { verdict } = one;
  const title = verdict.valid ? "Valid" : `Not valid (${verdict.code}): ${verdict.reason ?? ""}`;
  const rules = one.rules.map((rule) => make("tr", "", make("td", "", mark(rule.outcome, OUTCOME[rule.outcome] ?? rule.outcome)), heading(rule.rule), make("td", "", rule.text)));
  const parameters = [["info", one.info], ["alg", one.alg], ["ppt", one.ppt], ["signed at", one.signed_at], ["signature", `${one.signature_len} octets`]];
  const certificates = one.certificates.map((certificate, n) => make(
    "div", "",
    make("h4", "", n === 0 ? "Signer's certificate" : `Certificate ${n + 1}`),
    make("dl", "pairs", ...pairs([
      ["Subject", certificate.subject],
      ["Issuer", certificate.issuer],
      ["Serial number", certificate.serial],
      ["Valid", `${certificate.not_before} to ${certificate.not_after}${certificate.in_time ? "" : " (not now)"}`],
      ["For", certificate.tn_auth_list?.join(", ")],
    ])),
  ));
  return make(
    "article", "",
    make("h3", `verdict ${verdict.valid ? "pass" : "fail"}`, `${number}${title}`),
    table("rules", "Rules, in the order of checking", ["Outcome", "Rule", "Why"], rules),
    part("JOSE header", one.header),
    part("Payload", one.payload),
    table("parts", "Parameters", ["Parameter", "Value"], parameters.map(([name, value]) => row(name, make("td", "", make("code", "", value ?? "(none)"))))),
    ...certificates,
  );
}

async function inspect(event) {
  event?.preventDefault();
  const button = document.querySelector("#inspect button");
  const summary = byId("summary");
  summary.textContent = "Looking…";
  byId("result").replaceChildren();
  button.disabled = true;
  try {
    const reply = await fetch("v1/inspect", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: byId("text").value }),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`it answered ${reply.status}: ${text.trim()}`);
    const { identities: all, left_out: more } = JSON.parse(text);
    const valid = all.filter((one) => one.verdict.valid).length;
    summary.textContent = all.length === 0 ? "There is no Identity header in it."
      : all.length === 1 ? (valid ? "Valid." : "Not valid.")
        : `${all.length} Identity headers, ${valid} of them valid.${more ? ` ${more} more were not looked at.` : ""}`;
    byId("result").replaceChildren(...all.map((one, n) => inspection(one, all.length > 1 ? `${n + 1}. ` : "")));
  } catch (error) {
    summary.textContent = `It could not be inspected: ${error.message}`;
  } finally {
    button.disabled = false;
  }
  refresh();
}

byId("inspect").addEventListener("submit", inspect);
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("inspect").requestSubmit();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
refresh();
