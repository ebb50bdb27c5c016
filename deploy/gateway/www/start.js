// The start page: asks each service how it is, now and every five seconds while somebody looks.
import { element, services } from "./services.js";

const states = new Map();

async function answers(path) {
  try {
    return (await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(4000) })).ok;
  } catch {
    return false;
  }
}

async function look(service) {
  const [alive, ready] = await Promise.all([answers(`/${service.name}/healthz`), answers(`/${service.name}/readyz`)]);
  const state = states.get(service.name);
  state.textContent = ready ? "ready" : alive ? "up, waits for a store" : "down";
  state.className = `state ${ready ? "up" : "down"}`;
}

for (const service of services) {
  const state = element("span", { class: "state asked" }, "asking");
  states.set(service.name, state);
  document.getElementById("health").append(element("li", {},
    element("h3", {}, service.name, state),
    element("p", {}, service.job),
    element("a", { href: `api.html#${service.name}` }, "API"), " · ",
    element("a", { href: `/${service.name}/openapi.json` }, "openapi.json"), " · ",
    element("a", { href: `/${service.name}/healthz` }, "healthz")));
}

document.getElementById("commands").textContent = `curl -s ${location.origin}/v1/auth/register \\
  -H 'Content-Type: application/json' -d '{
    "email": "dana@example.org", "password": "a long sentence of yours",
    "language": "en", "time_zone": "Asia/Jerusalem" }'

# TOKEN is the access_token of the answer
curl -s ${location.origin}/v1/health-events \\
  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{
    "event_type": "mood", "event_subtype": "quick_checkin",
    "event_data": { "mood": "calm", "energy_level": 6 } }'`;

async function round() {
  if (!document.hidden) await Promise.all(services.map(look));
}
await round();
setInterval(round, 5000);
document.addEventListener("visibilitychange", round);
