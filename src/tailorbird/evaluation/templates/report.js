"use strict";
(function () {
  const root = document.documentElement;

  // Language: the address (?lang=zh), else the last choice, else the browser's.
  function remembered(value) {
    try {
      if (value) localStorage.setItem("tailorbird-language", value);
      return localStorage.getItem("tailorbird-language");
    } catch (error) {
      return null; // a file opened from disk may have no storage
    }
  }
  function speak(language) {
    root.lang = language;
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
    }
  }
  const asked = new URLSearchParams(location.search).get("lang") || remembered();
  const own = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
  speak(asked === "zh" || asked === "en" ? asked : own);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", function () {
      remembered(button.dataset.language);
      speak(button.dataset.language);
    });
  }

  // Tables sort by the heading that is clicked; again for the other way.
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = Array.from(table.tHead.rows[0].cells);
    headings.forEach(function (heading, column) {
      heading.querySelector("button").addEventListener("click", function () {
        const isRising = heading.getAttribute("aria-sort") !== "ascending";
        const value = (row) => row.cells[column].dataset.value;
        const rows = Array.from(table.tBodies[0].rows);
        rows.sort(function (a, b) {
          const [left, right] = [value(a), value(b)];
          const isText = column === 0;
          const order = isText ? left.localeCompare(right, root.lang) : left - right;
          return isRising ? order : -order;
        });
        table.tBodies[0].append(...rows);
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", isRising ? "ascending" : "descending");
      });
    });
  }

  // One floating tip for everything that has something to say.
  const tip = document.getElementById("tip");
  function show(event) {
    const mark = event.target.closest ? event.target.closest("[data-tip]") : null;
    if (!mark) {
      tip.hidden = true;
      return;
    }
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const edge = root.clientWidth - tip.offsetWidth - 8;
    tip.style.left = Math.max(8, Math.min(event.clientX + 14, edge)) + "px";
    const isLow = event.clientY + tip.offsetHeight + 24 > root.clientHeight;
    tip.style.top = (isLow ? event.clientY - tip.offsetHeight - 12 : event.clientY + 16) + "px";
  }
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => (tip.hidden = true), true);
})();
