// Sessions as a good better-auth team would have them: e-mail and password, tokens that apps send as bearer, PostgreSQL
// behind a pool, session and user fetched with one query. GET /api/auth/get-session renews the session in the database with
// each call (updateAge 0), with ?disableRefresh=true it reads only. Its limits on requests are off.
import { createServer } from 'node:http';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import { bearer } from 'better-auth/plugins';
import pg from 'pg';

const port = Number(process.env.PORT);
const options = {
  baseURL: `http://127.0.0.1:${port}`,
  database: new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 }),
  emailAndPassword: { enabled: true },
  advanced: { database: { joins: true } },
  plugins: [bearer()],
  rateLimit: { enabled: false },
  secret: process.env.SECRET,
  session: { updateAge: 0 },
  telemetry: { enabled: false },
};

await (await getMigrations(options)).runMigrations();
createServer(toNodeHandler(betterAuth(options))).listen(port, '127.0.0.1');
