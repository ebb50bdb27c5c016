#define OPENSSL_SUPPRESS_DEPRECATED /* the texts of one part have no other way in */
#include "codec/openssl_texts.h"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/cryptoerr_legacy.h>
#include <openssl/err.h>
#include <openssl/proverr.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/attr.h"

/*
 * OpenSSL, once told not to bring its texts in, never does. So the daemons export the three
 * functions by which libpq, libcurl and libmongoc ask for a text (Makefile): the dynamic linker
 * finds these before OpenSSL's own, which they call when the texts are there.
 */
static const ERR_STRING_DATA provider_texts[] = {
        { ERR_PACK(ERR_LIB_PROV, 0, PROV_R_BAD_DECRYPT), "bad decrypt" },
        { ERR_PACK(ERR_LIB_PROV, 0, PROV_R_INVALID_KEY), "invalid key" },
        { ERR_PACK(ERR_LIB_PROV, 0, PROV_R_INVALID_KEY_LENGTH), "invalid key length" },
        { ERR_PACK(ERR_LIB_PROV, 0, PROV_R_MISSING_KEY), "missing key" },
        { ERR_PACK(ERR_LIB_PROV, 0, PROV_R_UNABLE_TO_GET_PASSPHRASE), "unable to get passphrase" },
        { 0, NULL },
};

static void load(void)
{
        static int (*const parts[])(void) = {
                ERR_load_ERR_strings,        ERR_load_ASN1_strings, ERR_load_BIO_strings,
                ERR_load_BN_strings,         ERR_load_BUF_strings,  ERR_load_CONF_strings,
                ERR_load_CRYPTO_strings,     ERR_load_CT_strings,   ERR_load_DH_strings,
                ERR_load_DSA_strings,        ERR_load_EC_strings,   ERR_load_ENGINE_strings,
                ERR_load_EVP_strings,        ERR_load_OBJ_strings,  ERR_load_OCSP_strings,
                ERR_load_OSSL_STORE_strings, ERR_load_PEM_strings,  ERR_load_PKCS12_strings,
                ERR_load_PKCS7_strings,      ERR_load_RAND_strings, ERR_load_RSA_strings,
                ERR_load_UI_strings,         ERR_load_X509_strings, ERR_load_X509V3_strings,
        };

        for (size_t i = 0; i < CM_COUNT(parts); i++)
                (void)parts[i]();
        (void)ERR_load_strings_const(provider_texts);
}

/* OpenSSL asks, too, while it brings them in. */
static void load_once(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        static _Thread_local bool is_loading;

        if (is_loading)
                return;
        is_loading = true;
        (void)pthread_once(&once, load);
        is_loading = false;
}

void cm_openssl_texts_defer(void)
{
        (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS, NULL);
}

/* libssl has its own texts, and asks for one of them to see whether it brought them in. */
const char *ERR_reason_error_string(unsigned long error)
{
        const char *(*next)(unsigned long) = dlsym(RTLD_NEXT, "ERR_reason_error_string");
        const char *text = next(error);

        if (text || ERR_GET_LIB(error) == ERR_LIB_SSL)
                return text;
        load_once();
        return next(error);
}

void ERR_error_string_n(unsigned long error, char *text, size_t size)
{
        void (*next)(unsigned long, char *, size_t) = dlsym(RTLD_NEXT, "ERR_error_string_n");

        load_once();
        next(error, text, size);
}

char *ERR_error_string(unsigned long error, char *text)
{
        char *(*next)(unsigned long, char *) = dlsym(RTLD_NEXT, "ERR_error_string");

        load_once();
        return next(error, text);
}
