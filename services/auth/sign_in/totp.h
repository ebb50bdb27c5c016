#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/time.h"

/*
 * One-time codes of an authenticator app: TOTP (RFC 6238) with SHA-1, 30 seconds and 6 digits, the
 * only values that all apps know. Pure.
 */
enum { TOTP_SECRET_SIZE = 20, TOTP_DIGITS = 6, TOTP_STEP_S = 30 };

/* The code of one time step (RFC 4226 section 5.3), below 10^TOTP_DIGITS. */
uint32_t totp_code(const uint8_t secret[TOTP_SECRET_SIZE], uint64_t step);

/*
 * Whether `code` is that of the present step, the one before or the one after (clocks differ), and
 * later than `after_step`, the last one that was taken. Takes the same time for all codes. *step_r:
 * its step.
 */
bool totp_matches(const uint8_t secret[TOTP_SECRET_SIZE], struct cm_str code, cm_time now,
                  int64_t after_step, int64_t *step_r);

/* The secret as people type it: base32 (RFC 4648 section 6) without padding. */
struct cm_str totp_secret_text(struct cm_arena *arena, const uint8_t secret[TOTP_SECRET_SIZE]);
/* The same for a QR code: otpauth://totp/ISSUER:ACCOUNT?secret=…&issuer=… */
struct cm_str totp_uri(struct cm_arena *arena, struct cm_str issuer, struct cm_str account,
                       const uint8_t secret[TOTP_SECRET_SIZE]);
