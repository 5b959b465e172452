/* The module beside others in one process. Arguments: scenario, module, folder with a.toml and b.toml
   (two tokens), and what the scenario needs. */
#include "host.h"

static CK_FUNCTION_LIST *a, *b;
static const char *module, *folder;

static void initialize(CK_FUNCTION_LIST *p11, const char *config) {
    static char text[4096];
    snprintf(text, sizeof text, "config=%s/%s", folder, config);
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK, .pReserved = text};
    CHECK(CKR_OK, p11->C_Initialize(&arguments));
}

static CK_SESSION_HANDLE user_of(CK_FUNCTION_LIST *p11) {
    CK_SESSION_HANDLE session = open_at(p11, 0);
    login_at(p11, session);
    return session;
}

/* One file, or a link to it: one library, whoever loads it. */
static void same_file(void) {
    char link[4096];
    snprintf(link, sizeof link, "%s/link.so", folder);
    CHECK(0, symlink(module, link));
    a = functions(load(module, RTLD_NOW));
    b = functions(load(link, RTLD_NOW));
    CHECK(1, a == b);
    initialize(a, "a.toml");
    CHECK(CKR_CRYPTOKI_ALREADY_INITIALIZED, b->C_Initialize(NULL));
    make_token_at(a, 0);
    CK_SESSION_HANDLE one = user_of(a), two = open_at(b, 0);
    sign_with(a, one, ec_key(b, two, CK_FALSE));
}

/* A copy of the file is a second library, with a second SQLite: never both on one token. */
static void two_copies(const char *copy) {
    a = functions(load(module, RTLD_NOW));
    b = functions(load(copy, RTLD_NOW));
    CHECK(1, a != b);
    initialize(a, "a.toml");
    initialize(b, "a.toml");
    make_token_at(a, 0);
    CK_SESSION_HANDLE session = user_of(a), none;
    token_secret(a, session, "one");
    CK_TOKEN_INFO info;
    for (int i = 0; i < 3; i++) {
        CHECK(CKR_TOKEN_NOT_RECOGNIZED, b->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &none));
        CHECK(CKR_TOKEN_NOT_RECOGNIZED, b->C_GetTokenInfo(0, &info));
        CHECK(CKR_TOKEN_NOT_RECOGNIZED,
              b->C_InitToken(0, (CK_UTF8CHAR *)so_pin, strlen(so_pin), (CK_UTF8CHAR *)"12345678901234567890123456789012"));
    }
    CHECK(CKR_OK, b->C_Finalize(NULL));
    token_secret(a, session, "two"); /* was lost when both were let in and one left */
    pid_t child = fork();            /* a child may go on, and leaves the claim to its parent */
    if (child == 0) {
        token_secret(a, session, "three");
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    CHECK(0, status);
    initialize(b, "b.toml"); /* each its own token: both work */
    make_token_at(b, 0);
    CK_SESSION_HANDLE other = user_of(b);
    for (int i = 0; i < 20; i++) {
        token_secret(a, session, "in turns");
        token_secret(b, other, "in turns");
    }
    CHECK(20, count_of(a, session, "in turns"));
    CHECK(20, count_of(b, other, "in turns"));
    CHECK(CKR_OK, a->C_Finalize(NULL));
    CHECK(CKR_OK, b->C_Finalize(NULL));
    initialize(b, "a.toml"); /* one after the other: nothing is lost */
    other = user_of(b);
    CHECK(1, count_of(b, other, "one"));
    CHECK(1, count_of(b, other, "two"));
    CHECK(1, count_of(b, other, "three"));
    CHECK(20, count_of(b, other, "in turns"));
    CHECK(CKR_OK, b->C_Finalize(NULL));
}

static void any_way_of_loading(const char *flag) {
    int flags = RTLD_NOW | RTLD_LOCAL;
    if (!strcmp(flag, "deepbind")) flags |= RTLD_DEEPBIND;
    if (!strcmp(flag, "global")) flags = RTLD_LAZY | RTLD_GLOBAL;
    void *library = load(module, flags);
    a = functions(library);
    initialize(a, "a.toml");
    make_token_at(a, 0);
    CK_SESSION_HANDLE session = user_of(a);
    CK_OBJECT_HANDLE key = ec_key(a, session, CK_TRUE);
    dlclose(library);
    sign_with(a, session, key);
    CHECK(1, functions(load(module, flags)) == a);
}

/* ---- another token library, in turns, by several threads */

struct turn {
    CK_FUNCTION_LIST *p11[2];
    CK_SLOT_ID slot[2];
};

static void *turns(void *given) {
    struct turn *turn = given;
    CK_SESSION_HANDLE session[2];
    CK_OBJECT_HANDLE key[2];
    for (int i = 0; i < 2; i++) {
        session[i] = open_at(turn->p11[i], turn->slot[i]);
        key[i] = ec_key(turn->p11[i], session[i], CK_FALSE);
    }
    for (int round = 0; round < 200; round++) sign_with(turn->p11[round % 2], session[round % 2], key[round % 2]);
    return NULL;
}

static void with_softhsm(const char *path) {
    a = functions(load(module, RTLD_NOW));
    b = functions(load(path, RTLD_NOW));
    initialize(a, "a.toml");
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    CHECK(CKR_OK, b->C_Initialize(&arguments));
    struct turn turn = {{a, b}, {make_token_at(a, 0), make_token_at(b, 0)}};
    login_at(a, open_at(a, turn.slot[0]));
    login_at(b, open_at(b, turn.slot[1]));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, turns, &turn);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK(CKR_OK, b->C_Finalize(NULL));
    sign_with(a, open_at(a, 0), ec_key(a, open_at(a, 0), CK_FALSE));
}

/* ---- the host's own OpenSSL and SQLite */

static void *openssl, *sqlite;
static volatile int stop;
static char database[4096];

static void *hash_by_openssl(void *rounds) {
    unsigned char *(*SHA256)(const unsigned char *, size_t, unsigned char *) = dlsym(openssl, "SHA256");
    int (*RAND_bytes)(unsigned char *, int) = dlsym(openssl, "RAND_bytes");
    void *(*EVP_PKEY_Q_keygen)(void *, const char *, const char *, ...) = dlsym(openssl, "EVP_PKEY_Q_keygen");
    void (*EVP_PKEY_free)(void *) = dlsym(openssl, "EVP_PKEY_free");
    unsigned long (*ERR_peek_error)(void) = dlsym(openssl, "ERR_peek_error");
    static const unsigned char abc[] = {0xba, 0x78, 0x16, 0xbf};
    unsigned char out[32];
    for (long i = 0; rounds ? i < (long)rounds : !stop; i++) {
        SHA256((const unsigned char *)"abc", 3, out);
        CHECK(0, memcmp(out, abc, sizeof abc));
        CHECK(1, RAND_bytes(out, sizeof out));
        void *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        CHECK(1, key != NULL);
        EVP_PKEY_free(key);
        CHECK(0, ERR_peek_error()); /* nobody else leaves errors in this queue */
    }
    return NULL;
}

static void *insert_by_sqlite(void *rounds) {
    int (*sqlite3_open)(const char *, void **) = dlsym(sqlite, "sqlite3_open");
    int (*sqlite3_close)(void *) = dlsym(sqlite, "sqlite3_close");
    int (*sqlite3_exec)(void *, const char *, void *, void *, void *) = dlsym(sqlite, "sqlite3_exec");
    void *connection;
    CHECK(0, sqlite3_open(database, &connection));
    CHECK(0, sqlite3_exec(connection, "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t (n)", NULL, NULL, NULL));
    for (long i = 0; rounds ? i < (long)rounds : !stop; i++)
        CHECK(0, sqlite3_exec(connection, "INSERT INTO t VALUES (1)", NULL, NULL, NULL));
    CHECK(0, sqlite3_close(connection));
    return NULL;
}

static void host_libraries(const char *libcrypto, const char *libsqlite) {
    openssl = load(libcrypto, RTLD_NOW | RTLD_GLOBAL);
    sqlite = load(libsqlite, RTLD_NOW | RTLD_GLOBAL);
    snprintf(database, sizeof database, "%s/host.db", folder);
    hash_by_openssl((void *)50);
    insert_by_sqlite((void *)5);
    void *library = load(module, RTLD_NOW | RTLD_GLOBAL);
    a = functions(library);
    initialize(a, "a.toml");
    make_token_at(a, 0);
    CK_SESSION_HANDLE session = user_of(a);
    CK_OBJECT_HANDLE key = ec_key(a, session, CK_TRUE);
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, hash_by_openssl, NULL);
    pthread_create(&threads[1], NULL, insert_by_sqlite, NULL);
    for (int i = 0; i < 60; i++) {
        sign_with(a, session, key);
        token_secret(a, session, "beside");
    }
    stop = 1;
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    CHECK(60, count_of(a, session, "beside"));
    CHECK(CKR_OK, a->C_Finalize(NULL));
    dlclose(library);
    hash_by_openssl((void *)50);
    insert_by_sqlite((void *)5);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const char *scenario = argv[1];
    module = argv[2];
    folder = argv[3];
    alarm(100);
    if (!strcmp(scenario, "same-file")) same_file();
    else if (!strcmp(scenario, "two-copies")) two_copies(argv[4]);
    else if (!strcmp(scenario, "loading")) any_way_of_loading(argv[4]);
    else if (!strcmp(scenario, "softhsm")) with_softhsm(argv[4]);
    else if (!strcmp(scenario, "host-libraries")) host_libraries(argv[4], argv[5]);
    else return 2;
    puts("all well");
    return 0;
}
