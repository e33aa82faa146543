
"use strict";
// Each card shows the slice that its slider points at.
for (const card of document.querySelectorAll(".card")) {
  const slider = card.querySelector("input[type=range]");
  if (!slider) continue;
  const pictures = [...card.querySelectorAll(".frame img")];
  const shown = card.querySelector(".shown");
  const show = () => {
    pictures.forEach((picture, at) => { picture.hidden = at !== slider.valueAsNumber; });
    const label = pictures[slider.valueAsNumber].dataset.label;
    slider.setAttribute("aria-valuetext", label);
    shown.textContent = label;
  };
  slider.addEventListener("input", show);
  show();
}

// The contents mark the section being read.
const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const visible = new Set();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) visible.add(target.id); else visible.delete(target.id);
  }
  let first = true;
  for (const [id, link] of links) {
    if (first && visible.has(id)) { link.setAttribute("aria-current", "true"); first = false; } else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-5% 0px -45% 0px" });
document.querySelectorAll("main section").forEach((section) => observer.observe(section));
