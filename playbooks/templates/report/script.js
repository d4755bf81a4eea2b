"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const tools = one(".tools");
  const box = one("#filter");
  const status = one(".status");
  const buttons = all("button[data-word]");
  const hosts = all("details.host").map((element) => ({
    element,
    text: element.dataset.host.toLowerCase(),
    vms: all("li.vm", element).map((vm) => ({
      element: vm, text: vm.textContent.toLowerCase(), words: vm.dataset.words.split(" "),
    })),
  }));
  const startOpen = new Set(hosts.filter((host) => host.element.open));

  const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

  function apply() {
    const terms = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const word = buttons.find((button) => button.getAttribute("aria-pressed") === "true")?.dataset.word;
    const filtered = terms.length > 0 || Boolean(word);
    let vms = 0;
    const shown = [];
    for (const host of hosts) {
      let here = 0;
      for (const vm of host.vms) {
        const fits = terms.every((term) => vm.text.includes(term) || host.text.includes(term));
        vm.element.hidden = !(fits && (!word || vm.words.includes(word)));
        here += vm.element.hidden ? 0 : 1;
      }
      const itself = !word && terms.every((term) => host.text.includes(term));
      host.element.hidden = filtered && here === 0 && !itself;
      vms += here;
      if (!host.element.hidden) shown.push(host);
    }
    for (const host of hosts) host.element.open = filtered ? shown.includes(host) && shown.length <= 25 : startOpen.has(host);
    status.textContent = filtered ? `${count(vms, "VM")} on ${count(shown.length, "host")}.` : `${count(hosts.length, "host")}, ${count(vms, "VM")}.`;
  }

  let timer = 0;
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 80);
  });
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      for (const other of buttons) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(!pressed));
      apply();
    });
  }
  one("#open-all").addEventListener("click", () => {
    const visible = hosts.filter((host) => !host.element.hidden);
    const open = visible.some((host) => !host.element.open);
    for (const host of visible) host.element.open = open;
  });
  for (const link of all('a[href^="#host-"]')) {
    link.addEventListener("click", () => {
      box.value = "";
      for (const button of buttons) button.setAttribute("aria-pressed", "false");
      apply();
      const target = document.getElementById(link.hash.slice(1));
      if (target) target.open = true;
    });
  }
  tools.hidden = false;
  apply();
})();
