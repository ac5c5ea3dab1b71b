// Points on a map. Without tiles they lie on a grid of degrees; nothing is fetched from anywhere.
(() => {
  "use strict";
  const box = document.querySelector("[data-map]");
  if (!box || !window.L) return;
  const points = JSON.parse(box.dataset.map);
  const map = L.map(box, { attributionControl: Boolean(box.dataset.tiles), worldCopyJump: true });
  // The view first: lines that are drawn before there is one have nothing to be drawn on.
  map.fitBounds(L.latLngBounds(points.map((point) => [point.lat, point.lon])).pad(0.2), { maxZoom: 15, animate: false });
  if (box.dataset.tiles) {
    L.tileLayer(box.dataset.tiles, { maxZoom: 19 }).addTo(map);
  } else {
    const lines = L.layerGroup().addTo(map);
    const STEPS = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
    const grid = () => {
      lines.clearLayers();
      const view = map.getBounds();
      const wide = Math.max(view.getNorth() - view.getSouth(), (view.getEast() - view.getWest()) / 2);
      const step = STEPS.find((each) => wide / each >= 4) || 0.001;
      const line = (a, b, text) => {
        const label = document.createElement("span");
        label.textContent = text;
        lines.addLayer(L.polyline([a, b], { className: "grid-line", weight: 1, interactive: false }));
        lines.addLayer(L.marker(a, { interactive: false, keyboard: false, icon: L.divIcon({ className: "grid-label", html: label, iconSize: null }) }));
      };
      const first = (from) => Math.ceil(from / step) * step;
      const short = (degrees) => `${Number(degrees.toFixed(3))}°`;
      for (let at = first(view.getSouth()); at <= Math.min(85, view.getNorth()); at += step) line([at, view.getWest()], [at, view.getEast()], short(at));
      for (let at = first(view.getWest()); at <= view.getEast(); at += step) line([view.getSouth(), at], [view.getNorth(), at], short(at));
    };
    map.on("moveend", grid);
    grid();
  }
  points.forEach((point) => {
    const marker = L.circleMarker([point.lat, point.lon], { radius: 7, className: `point ${point.tone}` });
    const link = document.createElement("a");
    link.href = point.href;
    link.textContent = point.label;
    marker.bindPopup(link).addTo(map);
  });
  document.querySelector("[data-map-box]")?.addEventListener("click", (event) => {
    const view = map.getBounds(), degrees = (value, most) => Math.max(-most, Math.min(most, value)).toFixed(6);
    const there = new URL(event.currentTarget.href);
    there.searchParams.set("bbox", [degrees(view.getWest(), 180), degrees(view.getSouth(), 90), degrees(view.getEast(), 180), degrees(view.getNorth(), 90)].join(","));
    event.currentTarget.href = there.href;
  });
})();
