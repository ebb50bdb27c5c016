// The same walk as tests/bench/cron_next.c, by croner.
import { readFileSync } from "node:fs";
import { Cron } from "croner";

// What this process had of the processor, in milliseconds.
const cpu = () => { const used = process.cpuUsage(); return (used.user + used.system) / 1000; };
const [zone, seconds] = [process.argv[2], Number(process.argv[3])];
const start = new Date(1735689600000), end = new Date(start.getTime() + 12 * 365 * 86400000);
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const job = new Cron(line, { timezone: zone, paused: true });
  const begin = cpu();
  let at = start, count = 0;
  while (cpu() - begin < seconds * 1000) {
    for (let i = 0; i < 20; i++, count++) {
      at = job.nextRun(at);
      if (!at || at > end) at = start;
    }
  }
  console.log(`${line}\t${Math.round((count * 1000) / (cpu() - begin))}`);
}
