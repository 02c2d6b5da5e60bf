/* The chat widget of Tailorbird, for any page: a script tag with src="HOST/widget.js" and defer.
 *
 * data-language  auto (the page's, else the browser's), zh or en
 * data-theme     auto (the system's), light or dark
 * data-title     what stands above the chat
 * data-user-token  who the visitor is, as POST /v1/user-tokens has signed it; without: nobody in particular
 *
 * Everything lives in one shadow root. Texts of others become text nodes and never markup. The id
 * of the conversation and messages that were not acknowledged are in localStorage, so a reload or a
 * lost connection loses nothing: a message is sent again under the same client_id, and the service
 * keeps it once.
 */
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script || window.__tailorbird) return;
  window.__tailorbird = true;

  const base = new URL(script.src).origin;
  const storageName = `tailorbird:${base}`;
  const MAX_CHARS = 4000;
  const WAITS_S = [1, 2, 4, 8, 15, 30];

  const WORDS = {
    en: {
      title: "Customer service", open: "Chat with us", close: "Close the chat",
      hello: "Hello! What can I do for you?", visitor: "You", assistant: "Assistant", agent: "Person", system: "Notice",
      placeholder: "Write a message", send: "Send", person: "Talk to a person", restart: "Start a new conversation",
      sources: "Sources", source: "Source", good: "Helpful", bad: "Not helpful", thanks: "Thank you for the feedback.",
      thinking: "Writing an answer …", waiting: "A person has been asked for.", withAgent: "You are talking to a person.",
      ticket: "Nobody is there right now. Your message is kept, and a person will answer it here.",
      closed: "This conversation is closed.", offline: "No connection. Your message is kept and sent again.",
      slow: "That was a little fast. Your message is sent in a moment.", shut: "This chat is not open right now.",
      failed: "This message could not be sent.", again: "Try again", unread: "unread",
    },
    zh: {
      title: "在线客服", open: "联系客服", close: "关闭对话",
      hello: "您好！请问有什么可以帮您？", visitor: "您", assistant: "助手", agent: "人工客服", system: "提示",
      placeholder: "请输入您的问题", send: "发送", person: "转人工", restart: "开始新的对话",
      sources: "来源", source: "来源", good: "有帮助", bad: "没有帮助", thanks: "感谢您的反馈。",
      thinking: "正在回复……", waiting: "已为您转接人工客服，请稍候。", withAgent: "人工客服正在为您服务。",
      ticket: "现在没有客服在线。您的留言已保存，客服上线后会在这里回复您。",
      closed: "本次对话已结束。", offline: "网络连接中断。您的消息已保存，稍后会自动重新发送。",
      slow: "发送得有点快，您的消息稍后会自动发出。", shut: "在线客服暂未开放。",
      failed: "这条消息没有发送成功。", again: "重试", unread: "条未读",
    },
  };

  const isChinese = (text) => /[\u3400-\u9fff\uf900-\ufaff]/.test(text);
  const asked = script.dataset.language || "auto";
  const language = asked === "zh" || asked === "en" ? asked
    : (document.documentElement.lang || navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
  const words = WORDS[language];
  const title = script.dataset.title || words.title;

  /* What outlives the page ---------------------------------------------------------------- */

  const memory = { conversation: "", last: -1, outbox: [], rated: {}, cited: {}, isOpen: false };
  try { Object.assign(memory, JSON.parse(localStorage.getItem(storageName) || "{}")); } catch { /* begin anew */ }
  if (!Array.isArray(memory.outbox)) memory.outbox = [];
  memory.rated ||= {};
  memory.cited ||= {};
  function remember() {
    const { conversation, outbox, rated, cited, isOpen } = memory;
    try { localStorage.setItem(storageName, JSON.stringify({ conversation, outbox, rated, cited, isOpen })); } catch { /* private mode */ }
  }
  const newName = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

  /* The look -------------------------------------------------------------------------------- */

  const STYLE = `
    :host { all: initial; }
    * { box-sizing: border-box; }
    .root { --bg: #fff; --ink: #1d271b; --soft: #5b6956; --line: #dfe6d9; --leaf: #3b7a31; --leaf-ink: #fff; --leaf-soft: #e8f2e3;
      --mine: #3b7a31; --mine-ink: #fff; --bad: #a03a26; --amber: #7a5000; --amber-soft: #fdf1d7; --shadow: 0 12px 48px rgb(20 40 15 / 22%);
      color-scheme: light; position: fixed; right: 20px; bottom: 20px; z-index: 2147483000; color: var(--ink);
      font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Zen Hei", sans-serif; }
    .root.dark { --bg: #1a201a; --ink: #e6ece2; --soft: #a2af9c; --line: #333d30; --leaf: #8fcb82; --leaf-ink: #10210c; --leaf-soft: #263720;
      --mine: #34552c; --mine-ink: #eef6ea; --bad: #f09c86; --amber: #e8be68; --amber-soft: #33290f; --shadow: 0 12px 48px rgb(0 0 0 / 55%); color-scheme: dark; }
    button { font: inherit; color: inherit; background: none; border: 0; cursor: pointer; padding: 0; }
    button:disabled { cursor: default; opacity: .5; }
    :is(button, textarea, .log, summary):focus-visible { outline: 2px solid var(--leaf); outline-offset: 2px; }
    svg { width: 20px; height: 20px; display: block; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
    .launch { display: flex; align-items: center; gap: 9px; background: var(--leaf); color: var(--leaf-ink); border-radius: 999px; padding: 12px 20px 12px 16px; font-weight: 600; box-shadow: var(--shadow); margin-left: auto; }
    .count { background: var(--leaf-ink); color: var(--leaf); border-radius: 999px; min-width: 20px; padding: 0 6px; font-size: 12px; line-height: 20px; text-align: center; }
    .panel { width: 384px; max-width: calc(100vw - 24px); height: min(620px, calc(100vh - 40px)); height: min(620px, calc(100dvh - 40px)); display: flex; flex-direction: column; background: var(--bg); border: 1px solid var(--line); border-radius: 18px; box-shadow: var(--shadow); overflow: hidden; }
    [hidden] { display: none !important; }
    header { display: flex; align-items: center; gap: 6px; padding: 12px 12px 12px 18px; border-bottom: 1px solid var(--line); }
    h2 { font-size: 16px; font-weight: 650; margin: 0; flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .icon { width: 34px; height: 34px; display: grid; place-items: center; border-radius: 10px; color: var(--soft); flex: none; }
    .icon:hover, .icon[aria-pressed="true"] { background: var(--leaf-soft); color: var(--leaf); }
    .log { flex: 1; overflow-y: auto; padding: 16px 16px 6px; display: flex; flex-direction: column; gap: 12px; overscroll-behavior: contain; }
    .turn { max-width: 88%; align-self: flex-start; }
    .turn.visitor { align-self: flex-end; }
    .turn.system { align-self: center; max-width: 100%; }
    .who { font-size: 12px; color: var(--soft); margin: 0 0 3px 2px; }
    .hidden-who { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
    .bubble { background: var(--leaf-soft); border-radius: 5px 16px 16px 16px; padding: 9px 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
    .visitor .bubble { background: var(--mine); color: var(--mine-ink); border-radius: 16px 5px 16px 16px; }
    .visitor.pending .bubble { opacity: .65; }
    .agent .bubble { background: none; border: 1px solid var(--leaf); }
    .system .bubble { background: var(--amber-soft); color: var(--amber); border-radius: 12px; font-size: 13.5px; text-align: center; }
    .keep { white-space: nowrap; }
    .mark { font-size: 11px; font-weight: 600; vertical-align: super; line-height: 1; color: var(--leaf); padding: 2px 3px; border-radius: 5px; }
    details { font-size: 13px; color: var(--soft); margin: 6px 0 0 2px; }
    summary { cursor: pointer; width: fit-content; border-radius: 6px; }
    ol { margin: 4px 0 0; padding-left: 22px; }
    li { overflow-wrap: anywhere; padding: 1px 0; }
    li.shown { color: var(--ink); font-weight: 600; }
    .under { display: flex; gap: 2px; margin-top: 4px; align-items: center; font-size: 13px; color: var(--soft); }
    .under .icon { width: 28px; height: 28px; } .under svg { width: 16px; height: 16px; }
    .problem { font-size: 13px; color: var(--bad); text-align: right; margin-top: 4px; }
    .link { color: var(--leaf); text-decoration: underline; text-underline-offset: 2px; border-radius: 4px; }
    .status { min-height: 26px; padding: 3px 18px; font-size: 13px; color: var(--soft); }
    .status.bad { color: var(--bad); }
    form { display: flex; gap: 8px; align-items: flex-end; margin: 0 12px; padding: 6px 6px 6px 12px; border: 1px solid var(--line); border-radius: 14px; }
    form:focus-within { border-color: var(--leaf); }
    textarea { flex: 1; font: inherit; color: inherit; background: none; border: 0; outline: 0 !important; resize: none; padding: 5px 0; max-height: 120px; min-height: 33px; field-sizing: content; }
    textarea::placeholder { color: var(--soft); opacity: 1; }
    .send { background: var(--leaf); color: var(--leaf-ink); border-radius: 10px; width: 36px; height: 36px; display: grid; place-items: center; flex: none; }
    footer { display: flex; justify-content: space-between; gap: 8px; padding: 8px 18px 12px; font-size: 13px; color: var(--soft); }
    @media (max-width: 460px) { .root.open { right: 0; bottom: 0; left: 0; } .root.open .panel { width: 100%; max-width: none; height: 100vh; height: 100dvh; border: 0; border-radius: 0; } }
    @media (prefers-reduced-motion: no-preference) { .panel { animation: rise .16s ease-out; } @keyframes rise { from { transform: translateY(10px); opacity: 0; } } }
  `;

  const ICONS = {
    chat: ["M4 5h16v11H9l-5 4z"], close: ["M6 6l12 12M18 6L6 18"], send: ["M4 12h15M13 6l6 6-6 6"], restart: ["M4 12a8 8 0 1 0 3-6M7 2v4h4"],
    good: ["M7 11v9H4v-9zM7 11l4-8c2 0 2.6 1.5 2.3 3L12.7 9H19a1.6 1.6 0 0 1 1.6 2l-1.7 7a2.4 2.4 0 0 1-2.3 2H7"],
    bad: ["M7 13V4H4v9zM7 13l4 8c2 0 2.6-1.500 2.3-3L12.7 15H19a1.6 1.6 0 0 0 1.6-2l-1.7-7a2.4 2.4 0 0 0-2.3-2H7"],
  };

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, String(value));
    }
    made.append(...children.filter((child) => child != null)); // strings become text nodes
    return made;
  }

  function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    for (const line of ICONS[name]) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", line);
      svg.append(path);
    }
    return svg;
  }

  const host = element("tailorbird-chat");
  const shadow = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet(); // made by script, so that a page's style-src does not stop it
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets = [sheet];

  const count = element("span", { class: "count", hidden: true });
  const launch = element("button", { class: "launch", type: "button", "aria-expanded": "false", "aria-controls": "panel", onclick: () => show(true) }, icon("chat"), element("span", {}, words.open), count);
  const log = element("div", { class: "log", role: "log", "aria-live": "polite", "aria-label": title, tabindex: "0" });
  const status = element("div", { class: "status", role: "status" });
  const field = element("textarea", { rows: "1", maxlength: MAX_CHARS, "aria-label": words.placeholder, placeholder: words.placeholder });
  const send = element("button", { class: "send", type: "submit", "aria-label": words.send, title: words.send }, icon("send"));
  const form = element("form", { onsubmit: (event) => { event.preventDefault(); submit(field.value); } }, field, send);
  const person = element("button", { class: "link", type: "button", onclick: askForPerson }, words.person);
  const fresh = element("button", { class: "icon", type: "button", "aria-label": words.restart, title: words.restart, onclick: restart }, icon("restart"));
  const another = element("button", { class: "link", type: "button", onclick: restart }, words.restart);
  const panel = element("section", { class: "panel", id: "panel", role: "dialog", "aria-label": title, hidden: true },
    element("header", {}, element("h2", {}, title),
      fresh,
      element("button", { class: "icon", type: "button", "aria-label": words.close, title: words.close, onclick: () => show(false) }, icon("close"))),
    log, status, form, element("footer", {}, person, another));
  const root = element("div", { class: "root", lang: language === "zh" ? "zh-CN" : "en" }, panel, launch);
  shadow.append(root);

  const system = matchMedia("(prefers-color-scheme: dark)");
  const colour = () => root.classList.toggle("dark", script.dataset.theme === "dark" || (script.dataset.theme !== "light" && system.matches));
  system.addEventListener("change", colour);
  colour();

  field.addEventListener("keydown", (event) => {
    // While a Chinese input method composes, Enter chooses a word and sends nothing.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) { event.preventDefault(); submit(field.value); }
  });
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && !panel.hidden) { event.stopPropagation(); show(false); } });

  /* What is shown --------------------------------------------------------------------------- */

  let unread = 0;
  let state = "assistant";
  let isThinking = false;
  let trouble = "";
  const shown = new Map(); // key of a turn -> its element

  function show(isOpen, { isFocused = true } = {}) {
    memory.isOpen = isOpen;
    remember();
    panel.hidden = !isOpen;
    launch.hidden = isOpen;
    root.classList.toggle("open", isOpen);
    launch.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) { unread = 0; scrollDown(); }
    if (isFocused) (isOpen ? field : launch).focus();
    showState();
  }

  function showState() {
    count.hidden = !unread;
    count.textContent = String(unread);
    launch.setAttribute("aria-label", unread ? `${words.open}, ${unread} ${words.unread}` : words.open);
    const sentences = { waiting: words.waiting, agent: words.withAgent, ticket: words.ticket, closed: words.closed };
    const sentence = trouble || (isThinking && state === "assistant" ? words.thinking : sentences[state] || "");
    if (status.textContent !== sentence) status.textContent = sentence;
    status.classList.toggle("bad", Boolean(trouble));
    form.hidden = state === "closed";
    person.hidden = state !== "assistant";
    another.hidden = !form.hidden;
    fresh.hidden = form.hidden;
  }

  function scrollDown() { log.scrollTop = log.scrollHeight; }

  function place(key, made) {
    const before = shown.get(key);
    if (before) before.replaceWith(made);
    else if (made.matches(".pending")) log.append(made);
    else log.insertBefore(made, log.querySelector(".pending")); // what is not sent yet stays last
    shown.set(key, made);
    scrollDown();
  }

  function bubble(turn, content) {
    const isNamed = turn.author === "agent";
    const whoIs = words[turn.author] || words.assistant;
    return element("div", { class: `turn ${turn.author}`, lang: isChinese(turn.text) ? "zh-CN" : "en" },
      element("div", { class: isNamed ? "who" : "hidden-who", lang: root.lang }, isNamed ? whoIs : `${whoIs}: `),
      element("div", { class: "bubble" }, ...content));
  }

  function showTurn(turn) {
    const sentences = memory.cited[turn.decision] || [];
    const sources = [...new Set(sentences.map((one) => one.source).filter(Boolean))];
    const before = shown.get(turn.number);
    // Heard before its sources were known: shown again, with them.
    if (before && !(sources.length && !before.querySelector("details"))) return;
    if (turn.number > memory.last) memory.last = turn.number;
    if (turn.author === "visitor") {
      memory.outbox = memory.outbox.filter((one) => one.client_id !== turn.client_id);
      remember();
      shown.get(turn.client_id)?.remove();
      shown.delete(turn.client_id);
      place(turn.number, bubble(turn, [turn.text]));
      return;
    }
    isThinking = false;
    const made = bubble(turn, sources.length ? cited(turn.text, sentences, sources) : [turn.text]);
    if (sources.length) made.append(sourceList(sources));
    if (turn.author === "assistant" && turn.decision) made.append(thumbs(turn.decision));
    place(turn.number, made);
    if (panel.hidden && !before) unread += 1;
    showState();
  }

  /* The text with the number of its source behind each sentence that has one. */
  function cited(text, sentences, sources) {
    const parts = [];
    let begin = 0;
    for (const one of sentences) {
      const number = sources.indexOf(one.source) + 1;
      const found = text.indexOf(one.text, begin);
      if (!number || found < 0) continue; // a sentence with personal data is kept masked
      const end = found + one.text.length;
      const name = `${words.source} ${number}: ${one.source}`;
      const last = Math.max(text.lastIndexOf(" ", end - 2) + 1, end - 8, begin); // stays on the line of the number
      parts.push(text.slice(begin, last), element("span", { class: "keep" }, text.slice(last, end), element("button", { class: "mark", type: "button", "aria-label": name, title: one.source, onclick: (event) => openSource(event, number) }, `[${number}]`)));
      begin = end;
    }
    return [...parts, text.slice(begin)];
  }

  function openSource(event, number) {
    const details = event.currentTarget.closest(".turn").querySelector("details");
    details.open = true;
    details.querySelectorAll("li").forEach((row, index) => row.classList.toggle("shown", index + 1 === number));
    details.querySelectorAll("li")[number - 1].scrollIntoView({ block: "nearest" });
  }

  function sourceList(sources) {
    return element("details", { lang: root.lang }, element("summary", {}, `${words.sources} (${sources.length})`),
      element("ol", {}, ...sources.map((name) => element("li", {}, name))));
  }

  function thumbs(decision) {
    const row = element("div", { class: "under", lang: root.lang });
    for (const [name, value] of [["good", 1], ["bad", -1]]) {
      row.append(element("button", {
        class: "icon", type: "button", "aria-label": words[name], title: words[name], "aria-pressed": String(memory.rated[decision] === value),
        onclick: async () => {
          const answer = await call("POST", "/v1/feedback", { decision, thumb: value > 0 ? "up" : "down" }).catch(() => null);
          if (!answer || answer.status >= 300) return;
          memory.rated[decision] = value;
          remember();
          row.querySelectorAll("button").forEach((one) => one.setAttribute("aria-pressed", String(one.title === words[name])));
          if (!row.querySelector("span")) row.append(element("span", {}, words.thanks));
        },
      }, icon(name)));
    }
    return row;
  }

  function showPending(message) {
    const made = bubble({ author: "visitor", text: message.text }, [message.text]);
    made.classList.add("pending");
    if (message.problem) {
      made.append(element("div", { class: "problem" }, words.failed, " ",
        element("button", { class: "link", type: "button", onclick: () => { delete message.problem; showPending(message); flush(); } }, words.again)));
    }
    place(message.client_id, made);
  }

  /* The service ----------------------------------------------------------------------------- */

  function csrf() {
    if (base !== location.origin) return "";
    const found = document.cookie.split("; ").find((one) => one.startsWith("tailorbird_csrf="));
    return found ? decodeURIComponent(found.slice("tailorbird_csrf=".length)) : "";
  }

  async function call(method, path, body) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const token = csrf();
    if (token) headers["X-CSRF-Token"] = token;
    if (path === "/v1/conversations" && script.dataset.userToken) headers["X-Tailorbird-User"] = script.dataset.userToken;
    const response = await fetch(base + path, { method, headers, credentials: "same-origin", cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body) });
    const isJson = (response.headers.get("content-type") || "").includes("json");
    return { status: response.status, waitS: Number(response.headers.get("retry-after")) || 0, content: isJson ? await response.json() : null };
  }

  const address = (rest = "") => `/v1/conversations/${encodeURIComponent(memory.conversation)}${rest}`;
  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const waitOf = (failures) => WAITS_S[Math.min(failures, WAITS_S.length - 1)] * (0.8 + 0.4 * Math.random());

  async function open() {
    const answer = await call("POST", "/v1/conversations", { channel: "widget", language });
    if (answer.status === 201) {
      memory.conversation = answer.content.id;
      memory.last = -1;
      remember();
      listen();
    }
    return answer;
  }

  function submit(text) {
    const said = text.trim();
    if (!said || state === "closed") return;
    field.value = "";
    const message = { client_id: newName(), text: said.slice(0, MAX_CHARS) };
    memory.outbox.push(message);
    remember();
    showPending(message);
    flush();
  }

  /* Sends what is in the outbox, oldest first, until the service has acknowledged it. */
  let isSending = false;
  let wake = () => {};
  async function flush() {
    if (isSending) return wake();
    isSending = true;
    let failures = 0;
    for (let next; (next = memory.outbox.find((one) => !one.problem)); ) {
      isThinking = true;
      showState();
      const waitS = await deliver(next).catch(() => { trouble = words.offline; return waitOf(failures); });
      isThinking = false;
      if (waitS) {
        failures += 1;
        showState();
        await Promise.race([pause(waitS), new Promise((resolve) => { wake = resolve; })]);
      } else failures = 0;
      showState();
    }
    isSending = false;
  }

  /* 0 where the message needs no more; else the seconds until it is to be tried again. */
  async function deliver(message) {
    let answer = memory.conversation ? null : await open();
    if (memory.conversation) {
      answer = await call("POST", address("/turns"), { text: message.text, client_id: message.client_id });
    }
    if (answer.status === 429 || answer.status >= 500) {
      trouble = answer.status === 429 ? words.slow : words.offline;
      return Math.max(answer.waitS, 1);
    }
    trouble = "";
    if (answer.status < 300) {
      const { turn, answers, decision, status: now } = answer.content;
      if (decision) keepDecision(decision);
      [turn, ...answers].forEach(showTurn);
      setState(now);
      return 0;
    }
    if ((answer.status === 404 || answer.status === 409) && !message.moved) {
      message.moved = true; // the conversation is gone or closed: go on in a new one, once
      forget();
      return 0;
    }
    if (answer.status === 401 || answer.status === 403) trouble = words.shut;
    message.problem = true;
    remember();
    showPending(message);
    return 0;
  }

  function keepDecision({ id, sentences }) {
    if (!(sentences || []).some((one) => one.source)) return;
    memory.cited[id] = sentences.map(({ text, source }) => ({ text, source }));
    const ids = Object.keys(memory.cited);
    for (const old of ids.slice(0, Math.max(0, ids.length - 50))) delete memory.cited[old];
    remember();
  }

  function setState(now) {
    if (now === state) return;
    state = now;
    showState();
  }

  async function askForPerson() {
    person.disabled = true;
    try {
      const opened = memory.conversation ? null : await open();
      const answer = memory.conversation ? await call("POST", address("/person"), {}) : opened;
      trouble = answer.status < 300 ? "" : answer.status === 429 ? words.slow : answer.status < 500 ? words.shut : words.offline;
      if (answer.status < 300) setState(answer.content.status);
    } catch { trouble = words.offline; }
    person.disabled = false;
    showState();
  }

  /* Hears what is said, until the conversation is closed; a lost connection is made again. */
  let source = null;
  let listening = 0;
  function listen() {
    if (source) source.close();
    const mine = ++listening;
    const here = new EventSource(`${base}${address(`/events?after=${memory.last}`)}`);
    source = here;
    here.addEventListener("open", () => { lost = 0; });
    here.addEventListener("turn", (event) => { if (mine === listening) showTurn(JSON.parse(event.data)); });
    here.addEventListener("status", (event) => {
      if (mine !== listening) return;
      setState(JSON.parse(event.data).status);
      if (state === "closed") here.close();
    });
    here.addEventListener("error", async () => {
      here.close(); // the browser would give up at a refusal, and ask at once where all are lost
      if (mine !== listening) return;
      const answer = await call("GET", address()).catch(() => null);
      if (mine !== listening) return;
      if (answer && (answer.status === 404 || answer.status === 401 || answer.status === 403)) {
        if (answer.status === 404) forget();
        return;
      }
      await pause(waitOf(lost++));
      if (mine === listening && memory.conversation && state !== "closed") listen();
    });
  }
  let lost = 0;

  /* The next message begins another conversation; what was not sent goes with it. */
  function forget() {
    listening += 1;
    if (source) source.close();
    source = null;
    Object.assign(memory, { conversation: "", last: -1, cited: {}, rated: {} });
    remember();
    state = "assistant";
    for (const [key, made] of [...shown]) if (typeof key === "number") { made.remove(); shown.delete(key); }
    showState();
  }

  function restart() {
    memory.outbox = [];
    trouble = "";
    forget();
    log.replaceChildren();
    shown.clear();
    greet();
    field.focus();
  }

  function greet() {
    place("hello", bubble({ author: "assistant", text: words.hello }, [words.hello]));
  }

  function begin() {
    document.body.append(host);
    greet();
    memory.outbox.forEach(showPending);
    if (memory.conversation) listen();
    if (memory.outbox.some((one) => !one.problem)) flush();
    const comeBack = () => { wake(); if (memory.conversation && state !== "closed") listen(); };
    addEventListener("online", comeBack);
    // A browser has few connections a host: pages nobody looks at do not hold one.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) comeBack();
      else if (source) { listening += 1; source.close(); source = null; }
    });
    if (memory.isOpen) show(true, { isFocused: false });
    showState();
  }

  if (document.body) begin(); else addEventListener("DOMContentLoaded", begin);
})();
