// Loads a page in headless Chromium, with scripts off, at phone and desktop width, light and
// dark, and says what is in it. Reads one JSON object from standard input: `chromium`, `url`,
// `headers`, `shots` (a folder for screenshots, or null), `name`. Writes one.
const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const views = [
  { name: "phone-light", viewport: { width: 360, height: 740 }, colorScheme: "light" },
  { name: "phone-dark", viewport: { width: 360, height: 740 }, colorScheme: "dark" },
  { name: "desktop-light", viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  { name: "desktop-dark", viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
];

// What the page shows, as its reader finds it.
function read() {
  const text = (node) => (node ? node.textContent.trim() : null);
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  return {
    title: document.title,
    lang: document.documentElement.lang,
    landmarks: all(document, "header, nav, main, footer").map((node) => node.localName),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    background: getComputedStyle(document.body).backgroundColor,
    rings: all(document, "section").map((ring) => ({
      name: text(ring.querySelector("h2")),
      advice: text(ring.querySelector(".advice")),
      facts: Object.fromEntries(all(ring, "dd[data-fact]").map((dd) => [dd.dataset.fact, text(dd)])),
      keys: all(ring, ".key").map((key) => {
        const bar = key.querySelector("svg.bar").getBoundingClientRect();
        return {
          kid: key.dataset.kid,
          state: key.dataset.state,
          text: text(key.querySelector("p")),
          label: key.querySelector("svg.bar").getAttribute("aria-label"),
          bar: { width: bar.width, height: bar.height },
          segments: all(key, "svg.bar rect").map((rect) => {
            const box = rect.getBoundingClientRect();
            return {
              state: rect.dataset.state,
              from: (box.left - bar.left) / bar.width,
              to: (box.right - bar.left) / bar.width,
              fill: getComputedStyle(rect).fill,
            };
          }),
          verdict: key.querySelector("[data-verdict]")?.dataset.verdict ?? null,
          verdictText: text(key.querySelector("[data-verdict]")),
          reasons: all(key, "li").map(text),
        };
      }),
      uses: all(ring, "tr[data-instance]").map((row) => ({
        instance: row.dataset.instance,
        cells: all(row, "td[data-kid]").map((cell) => ({ ...cell.dataset, text: text(cell) })),
      })),
    })),
  };
}

async function main(request) {
  const browser = await chromium.launch({
    executablePath: request.chromium,
    // Root cannot have a sandbox of this kind; and nothing is to be asked of the network.
    args: ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--no-first-run",
      "--disable-component-update", "--disable-sync"],
  });
  const answer = { views: {}, requests: [], problems: [] };
  try {
    for (const view of views) {
      const context = await browser.newContext({
        viewport: view.viewport,
        colorScheme: view.colorScheme,
        javaScriptEnabled: false,
        extraHTTPHeaders: request.headers,
      });
      const page = await context.newPage();
      page.on("request", (own) => answer.requests.push(own.url()));
      page.on("console", (own) => answer.problems.push(own.text()));
      page.on("pageerror", (own) => answer.problems.push(String(own)));
      const response = await page.goto(request.url);
      const seen = await page.evaluate(read);
      seen.status = response.status();
      if (request.shots) {
        const file = path.join(request.shots, `${request.name}-${view.name}.png`);
        await page.screenshot({ path: file, fullPage: true });
      }
      await context.close();
      // The checker is a script, which waits: it needs a page that may run one.
      const checker = await browser.newContext({
        viewport: view.viewport,
        colorScheme: view.colorScheme,
        extraHTTPHeaders: request.headers,
      });
      const again = await checker.newPage();
      await again.goto(request.url);
      await again.evaluate(axe);
      const checked = await again.evaluate(() => window.axe.run(document));
      await checker.close();
      seen.violations = checked.violations.map((own) => ({
        id: own.id,
        nodes: own.nodes.map((node) => `${node.target}: ${node.failureSummary}`),
      }));
      seen.passes = checked.passes.map((own) => own.id);
      answer.views[view.name] = seen;
    }
  } finally {
    await browser.close();
  }
  return answer;
}

// Whatever hangs, hangs for a while.
setTimeout(() => { console.error("the browser does not answer"); process.exit(2); }, 120000).unref();

const request = JSON.parse(fs.readFileSync(0, "utf8"));
main(request).then(
  (answer) => process.stdout.write(JSON.stringify(answer)),
  (error) => { console.error(error); process.exit(1); },
);
