// The pages of the dashboard, made from DATA, the document that is loaded before. No text of it becomes markup:
// `h` adds texts as text nodes, and links only lead to pages of this site and to https or http addresses.
"use strict";
(() => {
const body = document.body.dataset, top_ = body.top, made = Number(body.made);
const ROWS = 50, FEW = 12, ORDER = new Intl.Collator("en");

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "href" && !/^(https?:\/\/|(\.\.\/)?\w[\w./#=&-]*$)/.test(value)) continue;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter(is));
  return element;
}

const is = (content) => Array.isArray(content) ? content.some(is) : content !== "" && content !== null && content !== undefined && content !== false;
const number = (count) => count.toLocaleString("en");
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const utc = (at) => `${new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`;
const day = (at) => new Date(at * 1000).toISOString().slice(0, 10);
function ago(at) {
  const passed = Math.max(0, Date.now() / 1000 - at);
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (passed >= length) return `${plural(Math.floor(passed / length), unit)} ago`;
  }
  return "just now";
}
function size(bytes) {
  for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (bytes >= factor) return `${(bytes / factor).toFixed(1)} ${unit}`;
  }
  return `${bytes} bytes`;
}
const when = (at) => at ? h("time", {datetime: new Date(at * 1000).toISOString(), title: utc(at)}, ago(at)) : "";
const badge = (tone, words) => h("span", {class: `badge ${tone}`}, words);
const pipelineLink = (name, key) => h("a", {href: `${top_}pipelines/${key}.html`}, name);
const web = (page, words) => page ? h("a", {href: page, rel: "noreferrer"}, words) : "";
const section = (title, note, ...content) => h("section", {class: "titled"}, h("header", {}, h("h2", {}, title), note && h("p", {class: "soft"}, note)), ...content);
const quiet = (words) => h("p", {class: "card quiet"}, words);
const TONES = {applied: "good", failed: "bad", interrupted: "warn", "rolled back": "muted", unknown: "unknown"};

// Filters: each is a function of a row; their values are kept in the address, so that a view can be shared.
function settings() {
  return new URLSearchParams(location.hash.slice(1));
}
function keep(name, value) {
  const all = settings();
  if (value) all.set(name, value); else all.delete(name);
  try { history.replaceState(null, "", `#${all}`); } catch { /* some browsers keep none for files */ }
}
function search(id, label, changed) {
  const input = h("input", {type: "search", id, placeholder: label, "aria-label": label, autocomplete: "off", oninput: () => { keep(id, input.value); changed(); }});
  input.value = settings().get(id) || "";
  const words = () => input.value.toLowerCase().split(/\s+/).filter(Boolean);
  return {element: input, fits: (text) => words().every((word) => text.includes(word))};
}
function choice(id, label, values, changed) {
  const select = h("select", {id, "aria-label": label, onchange: () => { keep(id, select.value); changed(); }}, h("option", {value: ""}, label), values.map((value) => h("option", {value}, value)));
  select.value = settings().get(id) || "";
  if (select.selectedIndex < 0) select.value = "";
  return {element: select, fits: (value) => !select.value || select.value === value};
}

// A table that shows its first rows, and more on request. `cells` makes those of one row; the first is its header.
function table(caption, heads, cells, noun = "row", most = ROWS) {
  const rows = h("tbody", {role: "rowgroup"}), count = h("output", {"aria-live": "polite"});
  const more = h("button", {type: "button", class: "plain", onclick: () => show(true)});
  const foot = h("div", {class: "more"}, more);
  let fitting = [], shown = 0;
  function show(byHand) {
    const next = fitting.slice(shown, shown + (byHand ? ROWS : most)), first = rows.childElementCount;
    for (const row of next) {
      rows.append(h("tr", {role: "row"}, cells(row).map((cell, index) => {
        const {number: isNumber, content} = cell && cell.content !== undefined ? cell : {content: cell};
        return index === 0
          ? h("th", {scope: "row", role: "rowheader"}, content)
          : h("td", {role: "cell", "data-label": heads[index].words || heads[index], class: isNumber && "number"}, is(content) && h("div", {}, content));
      })));
    }
    shown += next.length;
    more.textContent = `Show ${number(Math.min(ROWS, fitting.length - shown))} more`;
    foot.hidden = shown >= fitting.length;
    if (byHand && rows.children[first]) rows.children[first].querySelector("a, button")?.focus();
  }
  return {
    count,
    element: h("div", {class: "card"}, h("div", {class: "wide"}, h("table", {class: "cards", role: "table"}, h("caption", {class: "hidden"}, caption), h("thead", {role: "rowgroup"}, h("tr", {role: "row"}, heads.map((head) => h("th", {scope: "col", role: "columnheader", class: head.number && "number"}, head.words || head)))), rows)), foot),
    fill(all, total) {
      fitting = all; shown = 0;
      rows.replaceChildren();
      if (!all.length) rows.append(h("tr", {role: "row"}, h("td", {role: "cell", colspan: heads.length, class: "quiet"}, "Nothing fits these filters.")));
      count.textContent = all.length === total ? plural(total, noun) : `${number(all.length)} of ${plural(total, noun)}`;
      show(false);
    },
  };
}

// Plots. Colours come from the tones, and change with the colour scheme.
const plots = [];
function colour(tone, property) {
  const probe = h("i", {class: tone});
  document.body.append(probe);
  const found = getComputedStyle(probe).getPropertyValue(property).trim();
  probe.remove();
  return found;
}
// While the pointer is elsewhere, the legend has the latest values.
function latest(drawn) {
  const show = () => drawn.setLegend({idx: drawn.data[0].length - 1});
  drawn.over.addEventListener("mouseleave", () => setTimeout(show));
  show();
}
function plot(title, summary, heads, rows, make) {
  const place = h("div", {role: "img", "aria-label": `${title}. ${summary}`});
  const figure = h("figure", {class: "card plot"}, place, h("details", {}, h("summary", {}, "Show as a table"), h("div", {class: "wide", tabindex: "0", role: "region", "aria-label": `${title}, as a table`},
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", {scope: "col"}, head)))), h("tbody", {}, rows.slice(-100).reverse().map((row) => h("tr", {}, row.map((value, index) => index ? h("td", {}, String(value)) : h("th", {scope: "row"}, value)))))))));
  plots.push(() => {
    place.replaceChildren();
    const {options, data} = make();
    const axis = {stroke: colour("", "--soft"), grid: {stroke: colour("", "--rule-soft"), width: 1}, ticks: {show: false}, font: "12px system-ui, sans-serif"};
    // The legend, which has the values below the pointer, is no part of the picture.
    new uPlot({width: Math.max(200, place.clientWidth), height: 190, cursor: {drag: {x: false}, points: {size: 7}}, hooks: {ready: [latest]}, ...options, axes: options.axes.map((one) => ({...axis, ...one}))}, data, place);
  });
  return figure;
}
// What an axis counts, or its unit.
const named = (label) => ({label, labelSize: 18, labelGap: 2, labelFont: "12px system-ui, sans-serif"});
function drawPlots() { for (const draw of plots) draw(); }
const COUNTS = {size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000], values: (_, splits) => splits.map((value) => number(value))};
const DATES = {space: 70, size: 34, values: [[86400 * 365, "{YYYY}", null, null, null, null, null, null, 1], [86400 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1], [86400, "{D} {MMM}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1]]};
// An axis of time ends at the latest value, and never spans less than its labels can tell apart: a day, or a minute.
const DAY = 86400, DAYS_AXIS = {...DATES, incrs: [1, 2, 3, 5, 7, 10, 15, 28, 56, 84, 168, 365, 730, 1825].map((days) => days * DAY)};
const TIMES_AXIS = {...DATES, incrs: [...[1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => minutes * 60), ...DAYS_AXIS.incrs]};
// The range that uPlot hands over is years wide for a single value.
const within = (range) => ({range: ({data: [at]}) => range(at[0], at.at(-1))});
const untilLast = (least, room = 0) => within((low, high) => [Math.min(low - (high - low) * room, high - least), high]);
const wholeDays = within((low, high) => [Math.min(low, high - DAY) - DAY / 2, high + DAY / 2]);
const fromZero = {range: (_, low, high) => [0, Math.max(4, Math.ceil((high || 0) * 1.1))]};
const inUtc = (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC");

// Series on top of each other: the sums are drawn from the highest to the lowest, the legend has the values.
// The line goes on to where no dot is: after so many of them.
function stacked(at, series, paths, xWords, yWords, dots = at.length) {
  let sums = at.map(() => 0);
  const layers = series.map((one) => { sums = sums.map((sum, index) => sum + one.values[index]); return {...one, sums}; }).reverse();
  return {
    data: [at, ...layers.map((one) => one.sums)],
    options: {
      tzDate: inUtc,
      scales: {x: paths === "bars" ? wholeDays : untilLast(120), y: fromZero},
      axes: [paths === "bars" ? DAYS_AXIS : TIMES_AXIS, {...COUNTS, ...named(yWords)}],
      series: [{label: xWords, value: (_, value) => value === null ? "–" : xWords === "day" ? day(value) : utc(Math.min(value, at[dots - 1]))}, ...layers.map((one) => ({
        label: one.name, stroke: colour(one.tone, "--line"), fill: colour(one.tone, "--line") + (paths === "bars" ? "" : "59"), width: paths === "bars" ? 0 : 1.5,
        paths: paths === "bars" ? uPlot.paths.bars({size: [0.8, 30], radius: 0.1}) : uPlot.paths.stepped({align: 1}), points: {show: paths !== "bars" && at.length < 40, size: 5, filter: (_, __, shown) => shown ? at.slice(0, dots).map((_, index) => index) : null},
        value: (_, __, place, index) => index === null || index === undefined ? "–" : number(one.values[index]),
      }))],
    },
  };
}
function driftPlot(drift) {
  const {at, series} = drift;
  if (!at.length) return quiet("No reports of drift were given, so nothing is known about it.");
  const last = at.length - 1, words = series.map((one) => `${number(one.values[last])} ${one.name}`).join(", ") || "no findings";
  const times = made > at[last] ? [...at, made] : at;
  const until = (values) => made > at[last] ? [...values, values[last]] : values;
  return plot("Findings over time", `${plural(at.length, "check")}; the last one has ${words}.`, ["checked", "stacks", ...series.map((one) => one.name)], at.map((one, index) => [utc(one), number(drift.stacks[index]), ...series.map((s) => number(s.values[index]))]),
    () => stacked(times, (series.length ? series : [{name: "findings", tone: "good", values: at.map(() => 0)}]).map((one) => ({...one, values: until(one.values)})), "steps", "checked", "findings", at.length));
}
function activityPlot(activity) {
  if (!activity.series.length) return quiet("No run changed anything in the last days.");
  const sum = (one) => one.values.reduce((total, value) => total + value, 0);
  return plot("Runs on each day", `In the last ${plural(activity.days.length, "day")}: ${activity.series.map((one) => `${number(sum(one))} ${one.name}`).join(", ")}.`, ["day", ...activity.series.map((one) => one.name)], activity.days.map((at, index) => [day(at), ...activity.series.map((one) => number(one.values[index]))]),
    () => stacked(activity.days, activity.series, "bars", "day", "runs"));
}

// Pages.
const WORDS = [
  ["drift", "changed on the platform or in the registry, outside of the files"],
  ["failed", "the last run failed or was interrupted"],
  ["orphaned", "in the state, but no folder declares it any more"],
  ["pending", "changed in the files, and not applied yet"],
  ["behind", "runs a lower version than another environment"],
  ["acknowledged", "drift that is accepted until a date"],
  ["not checked", "the last check could not read it, or there was none since the last apply"],
  ["ignored", "not as in the files in fields that ignore_changes names"],
  ["in sync", "none of these"],
  ["not managed", "on the platform, but in no pipeline's state"],
];
function explained() {
  return h("details", {class: "words"}, h("summary", {}, "What the words mean"), h("dl", {}, WORDS.map(([word, meaning]) => [h("dt", {}, word), h("dd", {}, meaning)])));
}
function overview() {
  let state = settings().get("state") || "";
  const environments = DATA.environments;
  const rank = new Map(DATA.tiles.map((tile, index) => [tile.state, index]));
  const lines = DATA.pipelines.map((line) => ({
    ...line,
    text: [line.name, line.folder, line.workspace, ...line.cells.filter(Boolean).flatMap((cell) => [cell.version, cell.by, cell.words])].join(" ").toLowerCase(),
    worst: Math.min(...line.cells.filter(Boolean).flatMap((cell) => cell.states.map((one) => rank.get(one))), rank.size),
    last: Math.max(0, ...line.cells.filter(Boolean).map((cell) => cell.at)),
  }));
  const cell = (one) => !one ? h("span", {class: "soft"}, "–") : [
    h("span", {class: "version"}, one.version || "–"), one.behind ? [" ", badge("info", `${number(one.behind)} behind`)] : "", one.outcome ? [" ", badge(TONES[one.outcome], `last run ${one.outcome}`)] : "",
    h("span", {class: `state ${one.tone}`}, h("span", {class: "dot", "aria-hidden": "true"}), one.words),
    one.at ? h("span", {class: "soft"}, when(one.at), one.by && ` by ${one.by}`) : "",
  ];
  const found = table("Pipelines and environments: the version that runs, how many versions it is behind, its drift and its last apply", ["pipeline", ...environments.map((one) => one.name)],
    (line) => [[pipelineLink(line.name, line.key), line.folder && h("span", {class: "soft"}, line.folder)], ...line.cells.map(cell)], "pipeline");
  const tiles = DATA.tiles.map((tile) => h("button", {type: "button", class: `tile ${tile.tone} ${tile.count ? "" : "zero"}`, "aria-pressed": String(tile.state === state), title: tile.unknown ? `Not looked for: ${tile.unknown}.` : null, onclick: () => choose(tile.state === state ? "" : tile.state, true)}, h("b", {}, tile.unknown ? "–" : number(tile.count)), tile.state));
  const byName = (a, b) => ORDER.compare(a.name, b.name);
  const orders = {"Worst first": (a, b) => a.worst - b.worst || byName(a, b), "By name": byName, "Latest apply first": (a, b) => b.last - a.last};
  const query = search("q", "Pipeline, folder, version, user…", fill);
  const environment = choice("env", "All environments", environments.map((one) => one.name), fill);
  const workspaces = [...new Set(lines.map((line) => line.workspace))].filter(Boolean).sort();
  const workspace = workspaces.length > 1 ? choice("workspace", "All workspaces", workspaces, fill) : {element: "", fits: () => true};
  const order = h("select", {"aria-label": "Order", onchange: fill}, Object.keys(orders).map((words) => h("option", {}, words)));
  function fill() {
    const fits = (one, index) => one && environment.fits(environments[index].name) && (!state || one.states.includes(state));
    found.fill(lines.filter((line) => query.fits(line.text) && workspace.fits(line.workspace) && line.cells.some(fits)).sort(orders[order.value]), lines.length);
  }
  function choose(chosen, byHand) {
    state = chosen;
    keep("state", state);
    for (const [index, tile] of tiles.entries()) tile.setAttribute("aria-pressed", String(DATA.tiles[index].state === state));
    fill();
    if (byHand && state) document.getElementById("pipelines").scrollIntoView({block: "start"});
  }
  fill();
  document.getElementById("about").prepend(`${plural(lines.length, "pipeline")} in ${plural(environments.length, "environment")}. `);
  const attention = DATA.attention.map((one) => h("li", {}, badge(one.tone, one.word), h("span", {class: "what"}, pipelineLink(one.name, one.key), one.more ? ` and ${number(one.more)} more` : "", ` in ${one.environment}`, h("span", {class: "soft"}, one.what)), when(one.since)));
  const waiting = DATA.tiles.filter((tile) => tile.count && tile.state !== "in sync").map((tile) => `${number(tile.count)} ${tile.state}`).join(", ");
  return [
    h("p", {class: "soft"}, "Pipelines in an environment, by state. Choose one to list only these."),
    h("ul", {class: "tiles", "aria-label": "Totals"}, tiles.map((tile) => h("li", {}, tile)), h("li", {}, h("a", {class: `tile muted ${DATA.unmanaged ? "" : "zero"}`, href: "organization.html", title: DATA.unmanaged === null && "Not looked for: no report of drift --unmanaged was given."}, h("b", {}, DATA.unmanaged === null ? "–" : number(DATA.unmanaged)), "objects not managed"))),
    explained(),
    h("div", {class: "columns"},
      section("Needs attention", DATA.more ? h("a", {href: "drift.html"}, `${number(DATA.more)} more`) : "oldest first", attention.length ? h("ul", {class: "card list"}, attention) : quiet(waiting ? `No drift and no failed run. Not in sync: ${waiting}.` : "Nothing needs attention.")),
      h("div", {class: "plots"}, section("Findings over time", h("a", {href: "drift.html"}, "All findings"), driftPlot(DATA.drift)), section("Runs on each day", h("a", {href: "runs.html"}, "All runs"), activityPlot(DATA.activity)))),
    h("div", {id: "pipelines"}, section("Pipelines and environments", "", lines.length ? [h("form", {class: "filters", role: "search", onsubmit: (event) => event.preventDefault()}, query.element, environment.element, workspace.element, order, found.count), found.element] : quiet("No pipeline has state yet. Apply one: reconciler apply"))),
  ];
}

// Rows of runs: at, pipeline, environment, command, version, outcome, user, note, CI job, commit, serial.
function runsTable(data, ofOne) {
  const {words, pipelines} = data;
  const rows = data.rows.map(([at, pipeline, ...rest]) => {
    const [environment, verb, version, outcome, by, note, ci, commit] = rest.map((place) => words[place]);
    const [name, key] = pipelines[pipeline];
    return {at, name, key, environment, verb, version, outcome, by, note, ci, commit, serial: rest[8], text: [name, environment, verb, version, outcome, by, note, commit].join(" ").toLowerCase()};
  });
  const values = (key) => [...new Set(rows.map((row) => row[key]))].filter(Boolean).sort();
  const query = search("q", "Version, commit, note…", fill);
  const choices = [["environment", "All environments"], ["verb", "All commands"], ["outcome", "All outcomes"], ["by", "Everybody"]].map(([key, label]) => [key, choice(key, label, values(key), fill)]);
  const heads = ["when", ...(ofOne ? [] : ["pipeline"]), "environment", "command", "version", "outcome", "by", "commit", "note"];
  const found = table(ofOne ? "Runs of this pipeline, latest first" : "Runs of all pipelines, latest first", heads, (row) => [
    when(row.at), ...(ofOne ? [] : [pipelineLink(row.name, row.key)]), row.environment, row.verb, row.version ? h("span", {class: "version"}, row.version) : "", badge(TONES[row.outcome], row.outcome), row.by,
    row.commit ? h("code", {}, row.commit) : "", [row.note, row.note && row.ci ? ", " : "", web(row.ci, "CI job"), h("span", {class: "soft"}, ` serial ${row.serial}`)],
  ], "run", ofOne ? FEW : ROWS);
  function fill() { found.fill(rows.filter((row) => query.fits(row.text) && choices.every(([key, one]) => one.fits(row[key]))), rows.length); }
  fill();
  return rows.length ? [h("form", {class: "filters", role: "search", onsubmit: (event) => event.preventDefault()}, query.element, choices.map(([, one]) => one.element), found.count), found.element] : [quiet("No run is in the history.")];
}

function runs() {
  return [section("Runs on each day", "", activityPlot(DATA.activity)), section("All runs", DATA.runs.rows.length === DATA.most ? `the latest ${number(DATA.most)}; the page of a pipeline has its older ones` : "latest first", ...runsTable(DATA.runs, false))];
}

function findingElement(one, ofOne) {
  return h("article", {class: "finding"},
    h("header", {}, badge(one.tone, one.state), h("code", {}, one.where), ofOne ? one.pipelines.map(([, , environment]) => badge("plain", environment)) : "", h("span", {class: "soft"}, "since ", when(one.since))),
    ofOne ? "" : h("ul", {class: "pipelines"}, one.pipelines.slice(0, 12).map(([name, key, environment]) => h("li", {}, pipelineLink(name, key), h("span", {class: "soft"}, ` ${environment}`))), one.pipelines.length > 12 ? h("li", {class: "soft"}, `and ${number(one.pipelines.length - 12)} more`) : ""),
    h("p", {}, one.reason, one.live || one.desired ? [". It is ", h("del", {}, h("code", {}, one.live || "(none)")), " and should be ", h("ins", {}, h("code", {}, one.desired || "(none)"))] : "", ". ", web(one.page, "Open on the platform")),
    one.facts.length ? h("p", {class: "soft"}, one.facts.map(([label, text]) => `${label} ${text}`).join(" · ")) : "",
    one.ways.map(([label, command]) => {
      const pre = h("pre", {}, command);
      const copy = h("button", {type: "button", class: "plain", "aria-label": `Copy the command: ${label}`, onclick: async () => {
        try { await navigator.clipboard.writeText(command); } catch { getSelection().selectAllChildren(pre); document.execCommand("copy"); }
        copy.textContent = "Copied"; setTimeout(() => { copy.textContent = "Copy"; }, 1500);
      }}, "Copy");
      return h("div", {class: "way"}, h("span", {class: "soft"}, label), pre, copy);
    }));
}

function findings(all, ofOne) {
  const place = h("div", {class: "card"}), count = h("output", {"aria-live": "polite"});
  const more = h("button", {type: "button", class: "plain", onclick: () => show()}), foot = h("div", {class: "more"}, more);
  const texts = new Map(all.map((one) => [one, [one.where, one.reason, one.state, ...one.pipelines.flat()].join(" ").toLowerCase()]));
  const query = search("q", "Pipeline, resource, field…", fill);
  const values = (key) => [...new Set(all.flatMap(key))].sort();
  const environment = choice("environment", "All environments", values((one) => one.pipelines.map((place) => place[2])), fill);
  const state = choice("state", "All states", values((one) => one.state), fill);
  let fitting = [], shown = 0;
  function show() {
    const next = fitting.slice(shown, shown + ROWS);
    place.append(...next.map((one) => findingElement(one, ofOne)));
    shown += next.length;
    more.textContent = `Show ${number(Math.min(ROWS, fitting.length - shown))} more`;
    foot.hidden = shown >= fitting.length;
    place.append(foot);
  }
  function fill() {
    fitting = all.filter((one) => query.fits(texts.get(one)) && state.fits(one.state) && one.pipelines.some(([, , name]) => environment.fits(name)));
    shown = 0;
    count.textContent = fitting.length === all.length ? plural(all.length, "finding") : `${number(fitting.length)} of ${plural(all.length, "finding")}`;
    place.replaceChildren(fitting.length ? "" : h("p", {class: "quiet"}, "Nothing fits these filters."));
    show();
  }
  if (!all.length) return [quiet("No findings.")];
  fill();
  return [ofOne ? "" : h("form", {class: "filters", role: "search", onsubmit: (event) => event.preventDefault()}, query.element, environment.element, state.element, count), place];
}

function drift() {
  return [
    section("Findings over time", "the sum at each check; a finding is a value or an object that differs", driftPlot(DATA.drift), explained()),
    section("Findings", "oldest first", ...findings(DATA.findings, false)),
    DATA.failed.length ? section("Not checked", `${number(DATA.failed.length)} in the last checks`, h("ul", {class: "card list"}, DATA.failed.map(([name, problems]) => h("li", {}, badge("unknown", "not checked"), h("span", {class: "what"}, name, h("span", {class: "soft"}, problems.join("; "))))))) : "",
  ];
}

function sizePlot(versions, title) {
  const places = versions.map((_, index) => index);
  const series = [{name: "base image", tone: "muted", values: versions.map((one) => one.size - one.own)}, {name: "own layers", tone: "info", values: versions.map((one) => one.own)}].filter((one) => one.values.some(Boolean));
  return plot(title, `${plural(versions.length, "version")}; the latest has ${size(versions.at(-1).size)}.`, ["version", "size", "own layers", "layers", "created"], versions.map((one) => [one.version || one.digest.slice(0, 19), size(one.size), size(one.own), number(one.count), one.created ? utc(one.created) : ""]), () => {
    const made = stacked(places, series, "bars", "version", "size");
    made.options.scales = {x: {time: false, range: [-0.6, Math.max(versions.length - 0.4, 5.4)]}, y: {range: (_, low, high) => [0, (high || 1) * 1.1]}};
    made.options.series[0].value = (_, value) => value === null ? "–" : versions[value].version;
    for (const one of made.options.series.slice(1)) { const values = series.find((s) => s.name === one.label).values; one.value = (_, __, ___, index) => index === null || index === undefined ? "–" : size(values[index]); }
    made.options.axes = [{size: 30, ...named("version"), splits: () => places, values: (_, splits) => splits.map((place) => versions[place]?.version || ""), space: 60, grid: {show: false}}, {size: 64, ...named("size"), values: (_, splits) => splits.map((value) => size(value))}];
    return made;
  });
}

function images() {
  const rows = DATA.images.map((one) => ({...one, last: one.versions.at(-1), text: [one.address, ...one.pipelines.flat()].join(" ").toLowerCase()})).sort((a, b) => b.last.size - a.last.size);
  if (!rows.length) return [quiet("No reports about images were given. Write them with: reconciler image --all --json > images.json")];
  const query = search("q", "Image, pipeline…", fill);
  const found = table("Images, largest first", ["image", "pipelines", "version", {words: "size", number: true}, {words: "own layers", number: true}, {words: "layers", number: true}, {words: "since the version before", number: true}, "created"], (one) => {
    const before = one.versions.at(-2), grown = before ? one.last.size - before.size : 0;
    return [h("code", {}, one.address), one.pipelines.map(([name, key], index) => [index ? ", " : "", pipelineLink(name, key)]), h("span", {class: "version"}, one.last.version), {number: true, content: size(one.last.size)}, {number: true, content: size(one.last.own)}, {number: true, content: number(one.last.count)}, {number: true, content: !before ? "" : grown ? `${grown < 0 ? "−" : "+"}${size(Math.abs(grown))}` : "no change"}, when(one.last.created)];
  }, "image");
  function fill() { found.fill(rows.filter((one) => query.fits(one.text)), rows.length); }
  fill();
  const total = rows.reduce((sum, one) => sum + one.last.size, 0);
  return [section("Images", `${size(total)} in the latest versions`, h("form", {class: "filters", role: "search", onsubmit: (event) => event.preventDefault()}, query.element, found.count), found.element)];
}

function organization() {
  const links = (pipelines) => pipelines.map(([name, key], index) => [index ? ", " : "", pipelineLink(name, key)]);
  const filled = (caption, heads, rows, cells) => { const made = table(caption, heads, cells); made.fill(rows, rows.length); return made.element; };
  return [
    section("Shared", "models and images that several pipelines have", DATA.shared.length ? filled("Shared models and images", ["resource", "pipelines", "environments"], DATA.shared, (one) => [h("code", {}, one.address), links(one.pipelines), one.environments.join(", ")]) : quiet("Nothing is shared.")),
    section("Orphans", "stacks that no folder declares any more", DATA.orphans.length ? filled("Orphans", ["pipeline", "environment", "folder of its last apply"], DATA.orphans, ([name, key, environment, folder]) => [pipelineLink(name, key), environment, folder]) : quiet(DATA.orphans_unknown ? `Not looked for: ${DATA.orphans_unknown}.` : "There are none.")),
    section("Not managed", "objects that no stack in the state has", DATA.unmanaged.length ? filled("Objects that are not managed", ["object", "environment", "changed", "page"], DATA.unmanaged, (one) => [h("code", {}, one.address), one.environment, [when(one.at), one.by && ` by ${one.by}`], web(one.page, "Open on the platform")]) : quiet(DATA.unmanaged_unknown ? "Not looked for. To find them: reconciler drift --all --unmanaged" : "There are none.")),
  ];
}

function pipeline() {
  const environments = DATA.environments.map((one) => h("article", {class: `card environment ${one.tone || "muted"}`},
    h("header", {}, h("h2", {}, one.name), one.stack ? h("span", {class: "version"}, one.version || "–") : ""),
    !one.stack ? h("p", {class: "soft"}, "never applied") : [
      h("p", {class: `state ${one.tone}`}, h("span", {class: "dot", "aria-hidden": "true"}), one.words),
      one.outcome || one.behind ? h("p", {}, one.behind ? badge("info", `${number(one.behind)} behind`) : "", " ", one.outcome ? badge(TONES[one.outcome], `last run ${one.outcome}`) : "") : "",
      h("p", {class: "soft"}, one.at ? ["last applied ", when(one.at), one.by && ` by ${one.by}`, one.ci ? [", ", web(one.ci, "CI job")] : ""] : "nothing is applied", one.checked ? [" · checked ", when(one.checked)] : ""),
      h("dl", {}, one.facts.map(([label, text]) => [h("dt", {}, label), h("dd", {}, h("code", {title: text}, label === "digest" ? text.slice(0, 19) : text))])),
    ]));
  const {rows, words} = DATA.runs;
  const lanes = DATA.environments.map((one) => one.name), ordered = [...rows].reverse();
  // A promotion is a ring, a rollback a larger dot; the colour is the outcome.
  const kind = (row) => `${words[row[3]]}, ${words[row[5]]}`;
  const kinds = [...new Map(ordered.map((row) => [kind(row), row]))];
  const timeline = ordered.length ? plot("Runs over time", `${plural(rows.length, "run")} in ${plural(lanes.length, "environment")}; the table below has them.`, ["when", "environment", "command", "version", "outcome", "by"], ordered.map((row) => [utc(row[0]), ...[2, 3, 4, 5, 6].map((place) => words[row[place]])]), () => ({
    data: [ordered.map((row) => row[0]), ...kinds.map(([name]) => ordered.map((row) => kind(row) === name ? lanes.length - 1 - lanes.indexOf(words[row[2]]) : null))],
    options: {
      tzDate: inUtc, height: 90 + 38 * lanes.length,
      scales: {y: {range: [-0.6, lanes.length - 0.4]}, x: untilLast(3600, 0.04)},
      axes: [TIMES_AXIS, {size: Math.min(150, 24 + 7.5 * Math.max(...lanes.map((name) => name.length))), splits: () => lanes.map((_, index) => index), values: (_, splits) => splits.map((place) => lanes[lanes.length - 1 - place])}],
      series: [{label: "run", value: (_, value) => value === null ? "–" : utc(value)}, ...kinds.map(([name, row]) => {
        const line = colour(TONES[words[row[5]]], "--line"), isRing = words[row[3]] === "promote";
        return {label: name, stroke: line, fill: isRing ? "transparent" : line, paths: () => null, points: {show: true, size: words[row[3]] === "rollback" ? 15 : 10, stroke: line, fill: isRing ? colour("", "--card") : line, width: isRing ? 2.5 : 0},
          value: (_, value, __, index) => value === null || value === undefined ? "" : [4, 6].map((place) => words[ordered[index][place]]).filter(Boolean).join(" by ")};
      })],
    },
  })) : "";
  const latest = DATA.image.at(-1), largest = latest ? Math.max(1, ...latest.layers.map((layer) => layer.size)) : 1;
  const bars = latest ? [...latest.layers].reverse().map((layer) => { const bar = h("span", {class: "length", "aria-hidden": "true"}); bar.style.width = `${100 * layer.size / largest}%`; return h("li", {class: `layer ${layer.base ? "muted" : "info"}`}, h("code", {}, layer.instruction || "(unknown)"), h("span", {class: "size"}, size(layer.size)), bar); }) : [];
  const place = [DATA.folder, DATA.workspace].filter(Boolean).join(" in ");
  if (place) document.getElementById("about").prepend(h("code", {}, place), ". ");
  return [
    h("div", {class: "environments"}, environments),
    DATA.findings.length ? section("Findings", "oldest first", ...findings(DATA.findings, true)) : "",
    section("Runs", "a dot is a deploy or an apply, a ring a promotion, a large dot a rollback; the colour is the outcome", timeline, ...runsTable(DATA.runs, true)),
    latest ? h("div", {class: "columns"}, section("Size of the image", plural(DATA.image.length, "version"), sizePlot(DATA.image, "Size of the image over its versions")), section(`Layers of ${latest.version || "the latest version"}`, `${size(latest.size)}, the top layer first`, h("ul", {class: "card list-plain"}, bars))) : "",
    DATA.resources.length ? section("Resources", plural(DATA.resources.length, "resource"), (() => { const made = table("Resources with their pages", ["resource", "environments"], ([address, places]) => [h("code", {}, address), places.map(([name, page], index) => [index ? ", " : "", web(page, name) || name])]); made.fill(DATA.resources, DATA.resources.length); return made.element; })()) : "",
  ];
}

const view = document.getElementById("view");
view.replaceChildren(...{index: overview, runs, drift, images, organization, pipeline}[body.page]().flat(3).filter(Boolean));
const age = (Date.now() / 1000 - made) / 3600;
document.getElementById("about").append(`, ${ago(made)}`, age > 48 ? " – is the job that makes it still running?" : "");
drawPlots();
let redrawn;
const redraw = () => { clearTimeout(redrawn); redrawn = setTimeout(drawPlots, 100); };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", redraw);
})();
