#pragma once

/*
 * Texts of OpenSSL's errors, when somebody asks for one. OpenSSL itself brings in all of them with
 * a thread's first look at its errors, which is 0.5 MiB of a process that may never say one.
 */

/* Call it before anything uses OpenSSL; where a library did already, the texts are there. */
void cm_openssl_texts_defer(void);
