/* Ways to end with the module in use. Arguments: scenario, module. Exported functions with the names of
   libcrypto and SQLite end the program at once: the module must never find them. */
#include "host.h"

#define TRAP(name)                                                                                  \
    int name(void) {                                                                                \
        static const char text[] = "the module called the host's " #name "\n";                      \
        if (write(2, text, sizeof text - 1)) _exit(3);                                              \
        _exit(3);                                                                                   \
    }
TRAP(EVP_DigestInit_ex)
TRAP(EVP_EncryptInit_ex)
TRAP(EVP_PKEY_new)
TRAP(EVP_sha256)
TRAP(EC_KEY_new)
TRAP(RSA_new)
TRAP(BN_new)
TRAP(RAND_bytes)
TRAP(ERR_put_error)
TRAP(OPENSSL_malloc)
TRAP(CRYPTO_malloc)
TRAP(ECDSA_sign)
TRAP(sqlite3_open)
TRAP(sqlite3_open_v2)
TRAP(sqlite3_prepare_v3)
TRAP(sqlite3_step)
TRAP(sqlite3_malloc)
TRAP(sqlite3_initialize)

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;

static void at_exit(void) {
    if (!p11) return;
    sign_with(p11, session, key);
    token_secret(p11, session, "at exit");
}

/* Runs before at_exit, which then finds the library closed. */
static void finalize_at_exit(void) {
    CHECK(CKR_OK, p11->C_Finalize(NULL));
    CHECK(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_CloseSession(session));
    p11 = NULL;
}

__attribute__((destructor)) static void destructor(void) {
    CK_INFO info;
    if (p11 && p11->C_GetInfo(&info) != CKR_OK && p11->C_GetInfo(&info) != CKR_CRYPTOKI_NOT_INITIALIZED) _exit(4);
}

static void *busy(void *unused) {
    CK_SESSION_HANDLE own = open_at(p11, 0);
    for (;;) {
        CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
        CK_BYTE hash[32] = {1}, signature[64];
        CK_ULONG length = sizeof signature;
        /* Whatever it answers while the process ends: it comes back. */
        p11->C_SignInit(own, &mechanism, key);
        p11->C_Sign(own, hash, sizeof hash, signature, &length);
        token_secret(p11, own, "busy");
    }
    return unused;
}

static void *last_thread(void *unused) {
    usleep(20000); /* main is gone by then, most times; either order must do */
    at_exit();
    exit(0);
    return unused;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *scenario = argv[1];
    pthread_t thread;
    alarm(60);
    atexit(at_exit); /* before the module is there: runs last */
    void *library = load(argv[2], RTLD_NOW);
    p11 = functions(library);
    CHECK(CKR_OK, p11->C_Initialize(NULL));
    make_token_at(p11, 0);
    session = open_at(p11, 0);
    login_at(p11, session);
    key = ec_key(p11, session, CK_TRUE);
    if (!strcmp(scenario, "plain")) return 0;
    if (!strcmp(scenario, "dlclose")) return dlclose(library);
    if (!strcmp(scenario, "finalize-at-exit")) {
        atexit(finalize_at_exit);
        return 0;
    }
    if (!strcmp(scenario, "busy-threads")) {
        for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, busy, NULL);
        usleep(50000);
        return 0;
    }
    if (!strcmp(scenario, "main-thread-gone")) {
        pthread_create(&thread, NULL, last_thread, NULL);
        pthread_exit(NULL);
    }
    if (!strcmp(scenario, "quick-exit")) {
        at_quick_exit(at_exit);
        quick_exit(0);
    }
    return 2;
}
