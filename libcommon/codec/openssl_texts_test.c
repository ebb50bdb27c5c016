#include "codec/openssl_texts.h"

#include <dlfcn.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* As libpq and libcurl find them. */
static void texts_come_with_the_first_question(CM_UNUSED void **state)
{
        const char *(*others_reason)(unsigned long) =
                dlsym(RTLD_DEFAULT, "ERR_reason_error_string");
        void (*others_text)(unsigned long, char *, size_t) =
                dlsym(RTLD_DEFAULT, "ERR_error_string_n");
        const char *(*own)(unsigned long) = dlsym(RTLD_NEXT, "ERR_reason_error_string");
        BIO *bio = BIO_new_mem_buf("no key at all", -1);
        char text[256];
        unsigned long error;

        assert_ptr_equal(others_reason, ERR_reason_error_string);
        assert_ptr_equal(others_text, ERR_error_string_n);
        assert_null(PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL));
        error = ERR_peek_last_error();
        assert_null(own(error));
        assert_null(others_reason(ERR_PACK(ERR_LIB_SSL, 0, 100)));
        assert_null(own(error));
        assert_non_null(others_reason(error));
        others_text(error, text, sizeof(text));
        assert_non_null(strstr(text, "routines::"));
        assert_null(strstr(text, "reason("));
        assert_string_equal(others_reason(ERR_PACK(ERR_LIB_X509, 0, 116)), "key values mismatch");
        assert_string_equal(others_reason(ERR_PACK(ERR_LIB_PEM, 0, 108)), "no start line");
        assert_string_equal(others_reason(ERR_PACK(ERR_LIB_PROV, 0, 100)), "bad decrypt");
        ERR_clear_error();
        BIO_free(bio);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(texts_come_with_the_first_question),
        };

        cm_openssl_texts_defer();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
