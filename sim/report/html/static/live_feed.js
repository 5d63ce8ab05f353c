// The feed: what the server tells, and what the page says when it tells nothing any more.

// `failed` counts the requests that failed since the run's data came, which has those before.
const feed = { state: null, rates: {}, failed: {}, link: "opening", source: null, since: null, later: null };
const GIVEN_UP_MS = 10_000;
const AGAIN_MS = [300, 1000, 2000];
const SELDOM_MS = 5000;
let tries = 0;

function openFeed() {
  clearTimeout(feed.later);
  feed.source?.close();
  const source = new EventSource(`/api/live?token=${encodeURIComponent(RUN.live.token)}`);
  feed.source = source;
  source.onopen = () => {
    tries = 0;
    feed.since = null;
    setLink("open");
  };
  source.onerror = () => {
    // A connection that broke is tried again by itself; one that was refused is closed.
    const refused = source.readyState === EventSource.CLOSED;
    source.close();
    lostFeed(refused);
  };
  const on = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  on("state", takeState);
  on("run", (data) => {
    feed.failed = {};
    renewRun(data);
  });
  on("dots", takeDots);
  on("rate", takeRates);
}

function lostFeed(refused) {
  feed.since ??= performance.now();
  const givenUp = performance.now() - feed.since > GIVEN_UP_MS;
  setLink(refused ? "refused" : givenUp ? "gone" : "lost");
  const wait = refused || givenUp ? SELDOM_MS : AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)];
  tries += 1;
  feed.later = setTimeout(openFeed, wait);
}

function setLink(link) {
  if (feed.link === link) return;
  feed.link = link;
  document.documentElement.dataset.link = link;
  showLink();
  if (link !== "open") announce(T(`${link}Text`));
}

function showLink() {
  const { link } = feed;
  const badge = $("link");
  badge.className = `badge ${link}`;
  badge.textContent = T(link === "refused" ? "gone" : link);
  const trouble = $("trouble");
  trouble.hidden = link === "open" || link === "opening";
  if (!trouble.hidden) trouble.firstElementChild.textContent = T(`${link}Text`);
}

function takeState(now) {
  feed.state = now;
  settleOutcomes();
  showState();
}

function takeRates(rates) {
  feed.rates = rates;
  for (const [load, rate] of Object.entries(rates)) feed.failed[load] = (feed.failed[load] ?? 0) + rate.failed;
  renew("strip");
}

acts.tryNow = openFeed;
addEventListener("pagehide", () => feed.source?.close());
addEventListener("pageshow", (event) => { if (event.persisted) openFeed(); });
