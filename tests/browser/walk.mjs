// A reader's walk through the pages of a monitor, in a real browser: search, record, difference, proof, a watch; every
// page in light, dark and on a phone, without an accessibility violation, a console error or sideways scrolling.
// node walk.mjs URL LOG_HASH TOKEN CHROMIUM FOLDER
import { createRequire } from "node:module";
import fs from "node:fs";
const [, , url, hash, token, chromium, folder] = process.argv;
const require = createRequire(process.env.DAYBOOK_BROWSER_MODULES + "/package.json");
const puppeteer = require("puppeteer-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
const problems = [];
const expect = (right, what) => { if (!right) problems.push(what); };

async function open(scheme, width) {
  const page = await browser.newPage();
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  page.on("console", (message) => expect(message.type() !== "error", `${page.url()}: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
  page.on("dialog", async (dialog) => { problems.push(`${page.url()}: a script of a record ran`); await dialog.dismiss(); });
  return page;
}

async function look(page, name) {
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  const found = await page.evaluate(`${axe};axe.run(document).then((result) => result.violations.map((one) =>
    one.id + ": " + one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")))`);
  found.forEach((one) => problems.push(`${name}: ${one}`));
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  expect(!sideways, `${name}: scrolls sideways`);
}

const paths = { overview: "/", search: "/search?q=bridge", chinese: "/search?q=%E5%8C%97%E4%BA%AC&lang=zh",
  "chinese-record": `/log/${hash}/3`, "chinese-health": "/health", record: `/log/${hash}/1?lang=en`,
  attack: `/log/${hash}/2`, arabic: `/log/${hash}/4`, log: `/log/${hash}`, agencies: "/agencies",
  agency: `/agency/${hash}/works.gov.example`, watches: "/watches", evidence: "/evidence", health: "/health" };
for (const [kind, scheme, width] of [["light", "light", 1100], ["dark", "dark", 1100], ["phone", "light", 390]]) {
  const page = await open(scheme, width);
  for (const [name, path] of Object.entries(paths)) {
    const answer = await page.goto(url + path, { waitUntil: "load" });
    expect(answer.status() === 200, `${path}: ${answer.status()}`);
    await look(page, `${kind}-${name}`);
  }
  await page.close();
}

const page = await open("light", 1100);
const same = (found, expected, what) =>
  expect(JSON.stringify(found) === JSON.stringify(expected), `${what}: ${JSON.stringify(found)}`);
const rows = (selector) => page.$$eval(selector, (tables) => tables.map((table) =>
  [...table.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent).join(" | "))));
// Each chart by its accessible name, with the numbers in the table below it.
async function charts(path, expected) {
  await page.goto(url + path, { waitUntil: "load" });
  same(await rows("figure.chart"), Object.values(expected), `${path}: the numbers`);
  for (const name of Object.keys(expected)) {
    expect(await page.$(`aria/${name}[role="image"]`), `${path}: no drawing is called ${name}`);
  }
}
const growth = { "Entries in the log over time, from 2025-03-03 08:01 to 2025-03-17 08:00: 11": ["2025-03-03 08:01 | 3",
  "2025-03-05 08:01 | 5", "2025-03-08 08:01 | 7", "2025-03-12 08:01 | 8", "2025-03-17 08:00 | 11"] };
await charts("/?lang=en", growth);
const overview = await page.$eval("main", (main) => main.textContent);
expect(/on average at least 45 days .* the slowest entry at least 144 days/.test(overview), `the delays: ${overview}`);
expect(overview.includes("2 of 3 signed"), "how many witnesses have signed");
await charts(`/log/${hash}`, growth);
same(await rows("[aria-label='Witnesses']"), [["witness-2.example | 2025-03-17 08:00",
  "witness-3.example | 2025-03-17 08:01", "witness-4.example | never"]], "witnesses");
await page.click("figure.chart summary");
await look(page, "chart-numbers");
await charts(`/agency/${hash}/works.gov.example`, {
  "Entries by month of their date, from 2024-10 to 2025-03: 6":
    ["2024-10 | 1", "2024-11 | 1", "2024-12 | 0", "2025-01 | 1", "2025-02 | 2", "2025-03 | 6"],
  "Longest delay in days of the entries that are dated in each month, from 2024-10 to 2025-03: 144":
    ["2024-10 | 144", "2024-11 | 113", "2024-12 | –", "2025-01 | 55", "2025-02 | 28", "2025-03 | 1"] });
await look(page, "agency-charts");
expect((await page.$$("svg rect.bar")).length === 10, "a bar for each month of which something is known");
await page.goto(`${url}/log/${hash}/5`, { waitUntil: "load" });
const late = await page.$eval("main", (main) => main.textContent);
expect(late.includes("between 2025-03-05 08:01 and 2025-03-08 08:01"), `the window of a record: ${late}`);
expect(late.includes("at least 144 days after its date"), `the delay of a record: ${late}`);
const go = (click) => Promise.all([page.waitForNavigation(), click()]);
await page.goto(`${url}/`, { waitUntil: "load" });
await page.type("#q", "harbour");
await go(() => page.keyboard.press("Enter"));
expect((await page.$$("ol.hits mark")).length > 0, "what was found is marked");
await go(() => page.click("ol.hits a"));
expect((await page.$$("ins")).length > 0 && (await page.$$("del")).length > 0, "the difference is shown");
expect((await page.$$("#proof svg rect")).length > 1, "the proof is drawn");
await page.goto(`${url}/search?q=harbour`, { waitUntil: "load" });
await go(() => page.click("a[href^='/watches?query=']"));
await look(page, "sign-in");
await page.type("#token", token);
await go(() => page.click("form[action='/watches/sign-in'] button"));
await look(page, "signed-in");
expect(await page.$eval("#query", (field) => field.value) === "harbour", "the search is taken over");
await go(() => page.click("form[action='/watches'] button"));
expect((await page.$$("ol.hits li")).length > 0, "a new watch shows the past");
await look(page, "watch");
await go(() => page.click("form[action$='/test'] button"));
expect((await page.$$("[role=status]")).length > 0, "the test says that it is on its way");
await go(() => page.click("form[action$='/remove'] button"));
await browser.close();
problems.forEach((problem) => console.error(problem));
process.exit(problems.length ? 1 : 0);
